/**
 * What a node does next about the replacement of the cluster's key, by the record in the tree and its own key files.
 * No node leads: the lowest in the ring turns the page once all have answered, so that nobody's end stops it.
 */
import { isOpen, type Answer, type OpenRekey, type Phase, type Rekey } from './rekey.ts';

/** SHA-256 of the node's key files in hexadecimal, null where there is no file. */
export interface KeysOnDisk {
  readonly sealing: string | null;
  readonly accepted: string | null;
  readonly previous: string | null;
}

export interface Seen {
  readonly self: number;
  /** null when there never was one, or the tree cannot be read. */
  readonly rekey: Rekey | null;
  readonly disk: KeysOnDisk;
  /** Has the engine loaded the key files as they are on the disk? */
  readonly loaded: boolean;
  /** What the nodes answered to this replacement, by node id. */
  readonly answers: ReadonlyMap<number, Answer['state']>;
  /** Every node of corosync.conf. */
  readonly configured: readonly number[];
  /** Node ids in the ring. */
  readonly ring: ReadonlySet<number>;
  readonly treeWritable: boolean;
}

export type Action =
  | { readonly kind: 'nothing' }
  /** Open with the new key too. */
  | { readonly kind: 'accept'; readonly key: string }
  /** Seal with the new key, and keep the one before for opening. */
  | { readonly kind: 'seal'; readonly key: string }
  /** Open with the sealing key only. */
  | { readonly kind: 'forget' }
  /** The files are right; the engine has to read them. */
  | { readonly kind: 'load' }
  | { readonly kind: 'answer'; readonly state: Answer['state']; readonly detail: string }
  | { readonly kind: 'turn'; readonly from: OpenRekey; readonly to: Phase };

const NOTHING: Action = { kind: 'nothing' };

/** What every node has to have answered before the next phase. */
const ANSWER = { accept: 'accepts', seal: 'seals', forget: 'forgot', cancelled: 'forgot' } as const;
const NEXT = { accept: 'seal', seal: 'forget', forget: 'ended', cancelled: 'ended' } as const;

const WORDS = {
  accepts: 'it opens with the new key too',
  seals: 'it seals with the new key',
  forgot: 'it has one key only',
} as const;

export function decide(seen: Seen): Action {
  const { rekey, disk } = seen;
  if (rekey === null) return NOTHING;
  if (!isOpen(rekey)) return afterwards(rekey, disk);
  const wanted = ANSWER[rekey.phase];
  if (!isDone(rekey, disk)) return work(seen, rekey);
  if (!seen.loaded) return { kind: 'load' };
  if (!seen.treeWritable) return NOTHING;
  if (seen.answers.get(seen.self) !== wanted) return { kind: 'answer', state: wanted, detail: WORDS[wanted] };
  if (Math.min(...seen.ring) !== seen.self) return NOTHING;
  return missing(seen, rekey).length === 0 ? { kind: 'turn', from: rekey, to: NEXT[rekey.phase] } : NOTHING;
}

/** Node ids that have to answer before the next phase, and have not. */
export function missing(seen: Pick<Seen, 'answers' | 'configured' | 'ring'>, rekey: OpenRekey): number[] {
  const { phase, without } = rekey;
  // To accept and to seal, every node is needed: one that was forgotten could not come back. A node that is away
  // when keys are forgotten does that when it returns, from the record of the end.
  const needed = phase === 'accept' || phase === 'seal' ? seen.configured : [...seen.ring];
  return needed.filter((node) => !without.includes(node) && seen.answers.get(node) !== ANSWER[phase]);
}

/** Are this node's files what the phase asks for? */
function isDone({ phase, digest }: OpenRekey, disk: KeysOnDisk): boolean {
  switch (phase) {
    case 'accept':
      return disk.accepted === digest || disk.sealing === digest;
    case 'seal':
      return disk.sealing === digest && disk.accepted === null;
    case 'forget':
    case 'cancelled':
      return disk.accepted === null && disk.previous === null;
  }
}

function work(seen: Seen, { phase, key, digest }: OpenRekey): Action {
  const { disk } = seen;
  if (phase === 'cancelled') return { kind: 'forget' };
  // A node that was passed over and has the old key only keeps what it has: somebody has to bring it the new one.
  if (phase === 'forget') return disk.sealing === digest ? { kind: 'forget' } : passedOver(seen);
  if (key === null) return NOTHING;
  return phase === 'accept' ? { kind: 'accept', key } : { kind: 'seal', key };
}

function passedOver(seen: Seen): Action {
  if (!seen.treeWritable || seen.answers.get(seen.self) === 'failed') return NOTHING;
  return { kind: 'answer', state: 'failed', detail: 'it has another key than the cluster' };
}

/** Files that a replacement has left, because the node was away when it ended. */
function afterwards({ outcome, digest }: Rekey, disk: KeysOnDisk): Action {
  if (disk.accepted === null && disk.previous === null) return NOTHING;
  return (outcome === 'replaced') === (disk.sealing === digest) ? { kind: 'forget' } : NOTHING;
}
