/** `pvecm rekey`: begins the replacement of the cluster's key, shows how it goes, and ends with it. */
import type { EngineStatus } from '../../engine/engine.ts';
import { engineSettings } from '../../engine/settings.ts';
import { readTreeConf } from '../conf-write.ts';
import type { NodePorts } from '../ports.ts';
import { Procedure, type Say, type Watcher } from '../procedure.ts';
import { engineStatus, waitFor, whyNotWritable, type Look } from '../waiting.ts';
import { missing } from './decide.ts';
import { answersTo, beginRekey, changeRekey, lastRekey } from './rekey-store.ts';
import { fingerprint, isOpen, type Answer, type Phase, type Rekey } from './rekey.ts';

export interface RekeyRequest {
  /** Names or ids of nodes that are not waited for. */
  readonly without: readonly string[];
  /** For instance root@pve1. */
  readonly author: string;
  readonly id: string;
  /** SHA-256 in hexadecimal of a key in base64. */
  readonly digestOf: (key: string) => string;
}

/** What became of it. */
export interface Replaced {
  readonly outcome: 'replaced' | 'cancelled';
  /** Names the new key: the beginning of its SHA-256. */
  readonly fingerprint: string;
  /** Names of nodes that need the key by hand. */
  readonly without: readonly string[];
}

/** The nodes carry it out by themselves; this only watches. Longer than a node takes to boot. Milliseconds. */
const WATCH_MS = 24 * 3600 * 1000;
const WRITABLE_MS = 15_000;

type Ports = Pick<NodePorts, 'engine' | 'tree' | 'clock' | 'newAuthkey' | 'log'>;

/**
 * Replaces the key. Where a replacement is under way it is watched to its end, and `without` added to it. An abort
 * cancels it as long as no node seals with the new key; after that it goes on without anybody watching. Rejects with a
 * sentence for a person.
 */
export async function replaceKey(ports: Ports, request: RekeyRequest, watcher: Watcher): Promise<Replaced> {
  const procedure = new Procedure(
    [
      { id: 'check', title: 'Check that every node can take a new key', command: 'pvecm status' },
      { id: 'accept', title: 'Have every node accept the new key beside the present one', command: null },
      { id: 'seal', title: 'Have every node encrypt with the new key', command: null },
      { id: 'forget', title: 'Have every node forget the old key', command: null },
    ],
    watcher,
  );
  try {
    const begun = await procedure.step('check', (say) => begin(ports, request, watcher.signal, say));
    const past = async (id: 'accept' | 'seal' | 'forget', phases: readonly Phase[]): Promise<void> => {
      await procedure.step(id, (say) => untilPast(ports, begun.id, phases, watcher.signal, say));
    };
    await past('accept', ['accept']);
    await past('seal', ['accept', 'seal']);
    await past('forget', ['accept', 'seal', 'forget', 'cancelled']);
    const ended = await lastRekey(ports.tree);
    if (ended?.id !== begun.id || ended.outcome === null) throw new Error('another replacement has taken its place');
    if (ended.outcome === 'cancelled') throw new Error('the replacement of the key was cancelled: the old key stays');
    const status = await running(ports);
    const without = ended.without.map((node) => nameOf(status, node));
    return { outcome: ended.outcome, fingerprint: fingerprint(ended.digest), without };
  } catch (error) {
    procedure.end();
    if (!watcher.signal.aborted) throw error;
    const words = await cancelKey(ports).catch(() => null);
    throw new Error(words ?? 'it goes on by itself; "pvecm rekey" shows how', { cause: error });
  }
}

/** Gives the replacement up that is under way. Resolves to a sentence; rejects when it is too late, or there is none. */
export async function cancelKey(ports: Ports): Promise<string> {
  const present = await lastRekey(ports.tree);
  if (!isOpen(present)) throw new Error('no key is being replaced');
  const changed = await changeRekey(ports, present.id, (rekey) =>
    rekey.phase === 'accept' ? { ...rekey, phase: 'cancelled', key: null } : null,
  );
  if (changed?.phase !== 'cancelled')
    throw new Error('it is too late to cancel: nodes encrypt with the new key already. Let it come to its end.');
  ports.log('notice', `the new cluster key ${fingerprint(present.digest)} is given up`);
  return 'the replacement of the key is cancelled: the old key stays';
}

async function begin(ports: Ports, request: RekeyRequest, signal: AbortSignal, say: Say): Promise<Rekey> {
  await waitFor(ports, signal, WRITABLE_MS, 'the tree did not become writable', async () => {
    const reason = await whyNotWritable(ports);
    return reason === null ? { found: null } : { missing: reason };
  });
  if (ports.engine.choice() === 'corosync') {
    throw new Error(
      'only the bundled engine replaces its key while it runs. Stop Corosync on all nodes, put the same /etc/corosync/authkey on each, and start it again.',
    );
  }
  const text = await readTreeConf(ports);
  const settings = engineSettings(text ?? '');
  if (!settings.ok) throw new Error(`corosync.conf in the tree cannot be used: ${settings.error}`);
  if (settings.value.crypto === 'none')
    throw new Error('this cluster does not encrypt (secauth: off): there is no key to replace');
  const status = await running(ports);
  const without = request.without.map((word) => nodeOf(status, word));
  const open = await lastRekey(ports.tree);
  if (isOpen(open)) return join(ports, open, without, say);
  const absent = status.members.filter(({ state, nodeId }) => state === 'absent' && !without.includes(nodeId));
  if (absent.length > 0) {
    const names = absent.map(({ nodeId }) => nameOf(status, nodeId));
    throw new Error(
      `${names.join(' and ')} cannot take a new key now: not in the ring. Start it first, or say --without ` +
        `${names.join(' ')} and bring it /etc/corosync/authkey by hand before it starts again.`,
    );
  }
  const key = ports.newAuthkey();
  const rekey: Rekey = {
    id: request.id,
    author: request.author,
    startedMs: ports.clock.now(),
    phase: 'accept',
    key,
    digest: request.digestOf(key),
    without,
    outcome: null,
  };
  await beginRekey(ports, rekey);
  ports.log('notice', `${request.author} has the cluster key replaced: the new one is ${fingerprint(rekey.digest)}`);
  say(`the new key is ${fingerprint(rekey.digest)}`);
  return rekey;
}

/** Another command, or one that was ended, has begun it. */
async function join(ports: Ports, open: Rekey, without: readonly number[], say: Say): Promise<Rekey> {
  say(`${open.author} began to replace the key; the new one is ${fingerprint(open.digest)}`);
  const more = without.filter((node) => !open.without.includes(node));
  if (more.length === 0) return open;
  const changed = await changeRekey(ports, open.id, (rekey) => ({ ...rekey, without: [...rekey.without, ...more] }));
  return changed ?? open;
}

/** Until the record has left these phases. Says what each node answers, once. */
async function untilPast(
  ports: Ports,
  id: string,
  phases: readonly Phase[],
  signal: AbortSignal,
  say: Say,
): Promise<void> {
  const told = new Set<string>();
  await waitFor(ports, signal, WATCH_MS, 'it did not come to its end', async (): Promise<Look<null>> => {
    const rekey = await lastRekey(ports.tree);
    if (rekey?.id !== id) return { found: null };
    const answers = await answersTo(ports.tree, id);
    const status = await running(ports);
    for (const answer of answers) tell(told, `${answer.name}: ${answer.detail}`, answer.state, phases, say);
    if (!isOpen(rekey) || !phases.includes(rekey.phase)) return { found: null };
    const states = new Map(answers.map(({ nodeId, state }) => [nodeId, state]));
    const { members } = status;
    const ring = new Set<number>(members.filter(({ state }) => state === 'member').map(({ nodeId }) => nodeId));
    const lacking: readonly number[] = missing(
      { answers: states, configured: members.map(({ nodeId }) => nodeId), ring },
      rekey,
    );
    for (const node of lacking.filter((one) => !ring.has(one))) {
      const words = `${nameOf(status, node)} is not in the ring: start it, or say --without ${nameOf(status, node)}`;
      if (!told.has(words)) say(words);
      told.add(words);
    }
    return { missing: `waiting for ${lacking.map((node) => nameOf(status, node)).join(', ')}` };
  });
}

/** An answer belongs to the step whose phase it is for; a failure to the one that is waited in. */
function tell(told: Set<string>, words: string, state: Answer['state'], phases: readonly Phase[], say: Say): void {
  const phase = { accepts: 'accept', seals: 'seal', forgot: 'forget', failed: phases.at(-1) }[state];
  const mine = phase === phases.at(-1) || (phase === 'forget' && phases.includes('forget'));
  if (!mine || told.has(words)) return;
  told.add(words);
  say(words);
}

async function running(ports: Ports): Promise<EngineStatus> {
  const status = await engineStatus(ports);
  if (status === null) throw new Error('this node belongs to no cluster');
  return status;
}

const nameOf = ({ members }: EngineStatus, node: number): string =>
  members.find(({ nodeId }) => nodeId === node)?.name ?? `node ${node}`;

function nodeOf({ members }: EngineStatus, word: string): number {
  const found = members.find(({ name, nodeId }) => name === word || String(nodeId) === word);
  if (found === undefined) throw new Error(`no node of the cluster is named ${word}`);
  if (found.local) throw new Error(`${word} is this node: it takes the new key itself`);
  return found.nodeId;
}
