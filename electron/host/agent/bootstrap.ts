/**
 * Brings the agent onto a host over SSH: finds out what the host is and has, uploads what is
 * missing, checks its hash there, unpacks it beside what runs, and lets it install itself. Two of
 * these may run at once: each works in a directory of its own, and parts appear by rename.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { err, ok } from '../../../agent/result.ts';
import type { Result } from '../../../agent/result.ts';
import type { Executed, SshConnection } from '../ssh/connection.ts';
import { quote } from '../ssh/shell.ts';
import { readManifest } from './manifest.ts';
import type { BundlePart } from './manifest.ts';

/** Where the agent lives, in words of the remote shell. A rootless node has a root of its own. */
export const AGENT_HOME = '"${RINGMASTER_ROOT:-}/var/lib/ringmaster"';

/** `uname -m` -> the name of the runtime in the manifest. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x86_64: 'x64',
  amd64: 'x64',
  aarch64: 'arm64',
  arm64: 'arm64',
};

export interface InstalledAgent {
  readonly system: string;
  readonly machine: string;
  /** Version that `current` points to; null where there is none. */
  readonly version: string | null;
}

/** What the host is, and which agent it has. Rejects when the connection is lost. */
export async function detectAgent(connection: SshConnection): Promise<InstalledAgent> {
  const { stdout } = await connection.exec(
    `uname -s; uname -m; readlink ${AGENT_HOME}/current && test -x ${AGENT_HOME}/current/ringmaster-agent && echo usable`,
  );
  const [system = '', machine = '', link = '', usable = ''] = stdout.split('\n').map((line) => line.trim());
  const version = usable === 'usable' ? (link.split('/').at(-1) ?? '') : '';
  return { system, machine, version: version === '' ? null : version };
}

/**
 * Makes the bundle's version the one that is installed and running. `fraction` is that of all bytes
 * to upload. `fresh` says that there was no agent before. Fails with a sentence that says what to do.
 */
export async function bootstrapAgent(
  connection: SshConnection,
  bundleDirectory: string,
  onProgress: (doing: string, fraction: number) => void,
): Promise<Result<{ version: string; fresh: boolean }, string>> {
  const incoming = `${AGENT_HOME}/incoming/${randomBytes(8).toString('hex')}`;
  try {
    onProgress('Looking at the host', 0);
    const manifest = await readManifest(bundleDirectory);
    const found = await detectAgent(connection);
    const unsupported = whyUnsupported(found, Object.keys(manifest.runtimes));
    if (unsupported !== null) return err(unsupported);
    const runtime = manifest.runtimes[ARCHITECTURES[found.machine] ?? ''];
    if (runtime === undefined) return err(`The agent bundle has no runtime for ${found.machine}.`);

    const runtimeHome = `${AGENT_HOME}/runtimes/${quote(runtime.id)}`;
    const programHome = `${AGENT_HOME}/agents/${quote(manifest.version)}`;
    const has = await connection.exec(
      `test -x ${runtimeHome}/node && echo runtime; test -f ${programHome}/agent.mjs && echo program; exit 0`,
    );
    const parts: { part: BundlePart; home: string; file: string; name: string }[] = [];
    if (!has.stdout.includes('runtime'))
      parts.push({ part: runtime, home: runtimeHome, file: 'node', name: 'the runtime' });
    if (!has.stdout.includes('program'))
      parts.push({ part: manifest.program, home: programHome, file: 'agent.mjs', name: 'the agent' });

    const total = parts.reduce((sum, { part }) => sum + part.bytes, 0);
    if (total > 0) {
      // Packed, unpacked, and room to breathe; a full disk halfway through is a worse message.
      const needed = total * 5;
      const free = Number((await connection.exec(`df -Pk "\${RINGMASTER_ROOT:-/}" | awk 'NR==2 {print $4}'`)).stdout);
      if (Number.isFinite(free) && free > 0 && free * 1024 < needed) {
        return err(
          `The host has ${Math.round(free / 1024)} MiB free; the agent needs ${Math.round(needed / 1048576)} MiB.`,
        );
      }
      await expectSuccess(connection.exec(`mkdir -p ${incoming} && chmod 700 ${AGENT_HOME}/incoming`), 'make room');
    }
    let before = 0;
    for (const { part, home, file, name } of parts) {
      const doing = `Uploading ${name}`;
      onProgress(doing, before / total);
      const at = before;
      await upload(connection, join(bundleDirectory, part.file), part, incoming, { home, file }, (bytes) =>
        onProgress(doing, Math.min(1, (at + bytes) / total)),
      );
      before += part.bytes;
    }
    onProgress('Starting the agent', 1);
    await expectSuccess(connection.exec(`${programHome}/ringmaster-agent install`), 'install the agent');
    return ok({ version: manifest.version, fresh: found.version === null });
  } catch (error) {
    return err((error as Error).message);
  } finally {
    await connection.exec(`rm -rf ${incoming}`).catch(() => undefined);
  }
}

/**
 * Stops the agent and removes it. With `keepData` the replicated tree's database and corosync.conf
 * stay. Rejects with the agent's own words when it cannot.
 */
export async function removeAgent(connection: SshConnection, keepData: boolean): Promise<void> {
  const command = `${AGENT_HOME}/current/ringmaster-agent uninstall${keepData ? ' --keep-data' : ''}`;
  await expectSuccess(connection.exec(command), 'remove the agent');
}

/** Why the agent cannot run there, in a sentence; null when it can. `bundled` names the runtimes at hand. */
export function whyUnsupported(found: InstalledAgent, bundled: readonly string[]): string | null {
  if (found.system !== 'Linux') {
    const system = found.system === '' ? 'an unknown system' : found.system;
    return `This host runs ${system}. A node must run Linux.`;
  }
  const architecture = ARCHITECTURES[found.machine];
  if (architecture === undefined) {
    return `This host's processor is ${found.machine}. The agent runs on x86_64 and aarch64 (64-bit ARM).`;
  }
  if (!bundled.includes(architecture)) {
    return `This app was built without the agent for ${found.machine}. Build it with "npm run build:agent".`;
  }
  return null;
}

/** Uploads one archive, checks it on the host, unpacks it, and moves it into place whole. */
async function upload(
  connection: SshConnection,
  source: string,
  part: BundlePart,
  incoming: string,
  { home, file }: { readonly home: string; readonly file: string },
  onBytes: (bytes: number) => void,
): Promise<void> {
  const archive = `${incoming}/${quote(part.file)}`;
  const unpacked = `${incoming}/unpacked`;
  const uploaded = await connection.exec(`cat > ${archive}`, await readFile(source), onBytes);
  if (uploaded.code !== 0) throw new Error(`The upload to the host failed: ${lastWords(uploaded)}`);
  const summed = await expectSuccess(connection.exec(`sha256sum < ${archive}`), 'check the upload');
  if (summed.stdout.slice(0, 64) !== part.sha256) {
    throw new Error('The upload arrived damaged: its SHA-256 on the host is another. Try again.');
  }
  await expectSuccess(
    connection.exec(
      `rm -rf ${unpacked} && mkdir ${unpacked} && tar -xzf ${archive} -C ${unpacked} --no-same-owner && rm -f ${archive}`,
    ),
    'unpack the agent',
  );
  // Another bootstrap may have been first: then its copy, of the same hash, stays. What a broken-off
  // one left without the file that matters makes way.
  const move = `mv -T ${unpacked} ${home}`;
  await expectSuccess(
    connection.exec(
      `mkdir -p "$(dirname ${home})" && { ${move} 2>/dev/null || test -e ${home}/${file} || { rm -rf ${home} && ${move}; }; }`,
    ),
    'put the agent into place',
  );
}

async function expectSuccess(running: Promise<Executed>, purpose: string): Promise<Executed> {
  const done = await running;
  if (done.code !== 0) throw new Error(`Could not ${purpose} on the host: ${lastWords(done)}`);
  return done;
}

function lastWords(done: Executed): string {
  const lines = `${done.stdout}\n${done.stderr}`.trim().split('\n');
  const said = lines.slice(-3).join(' ').trim();
  return said === '' ? `exit code ${done.code}` : said;
}
