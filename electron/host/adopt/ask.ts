/** Asks a host without an agent, over SSH. What comes in time counts; the rest is known to be missing. */
import { randomBytes } from 'node:crypto';
import type { SshConnection } from '../ssh/connection.ts';
import { readFacts, readStanding } from './facts.ts';
import type { AdoptedFacts, Standing } from './facts.ts';
import { BRIEF, WHOLE } from './questions.ts';
import { askScript, readSections } from './sections.ts';
import type { Answer } from './sections.ts';

/** For one question, in seconds: a healthy tool answers within a tenth of one. */
const QUESTION_S = 4;
/** For all of them together, in milliseconds. */
const ALL_MS = 20_000;
const MOST_OUTPUT = 8 * 1024 * 1024;

/**
 * Null where neither Corosync nor a file of it is. `before` spares the questions whose answers hardly change.
 * Rejects when the connection is lost before the first answer.
 */
export async function askHost(ssh: SshConnection, before: Standing | null): Promise<AdoptedFacts | null> {
  const answers = await answersOf(ssh, before === null);
  const standing = before ?? readStanding(answers);
  return readFacts(answers, standing);
}

async function answersOf(ssh: SshConnection, whole: boolean): Promise<ReadonlyMap<string, Answer>> {
  const mark = `=${randomBytes(12).toString('hex')}=`;
  const command = await ssh.open(askScript(whole ? WHOLE : BRIEF, mark, QUESTION_S));
  const chunks: Buffer[] = [];
  let size = 0;
  command.stderr.resume();
  command.stdin.end();
  command.stdout.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > MOST_OUTPUT) command.close();
    else chunks.push(chunk);
  });
  const timer = setTimeout(() => command.close(), ALL_MS);
  const late = new Promise<null>((resolve) => setTimeout(resolve, ALL_MS + 1000, null).unref());
  try {
    await Promise.race([command.closed, late]);
  } finally {
    clearTimeout(timer);
  }
  if (chunks.length === 0) throw new Error('The host did not answer.');
  return readSections(Buffer.concat(chunks).toString('utf8'), mark);
}
