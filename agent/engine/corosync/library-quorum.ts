/** libquorum 5 and libvotequorum 8 (quorum.h, votequorum.h): who is in the ring, and the votes. */
import type koffiModule from 'koffi';
import { CS, onThread, type Handle, type Library, type Opened } from './corosync-calls.ts';

type Koffi = typeof koffiModule;

export interface QuorumRing {
  readonly representative: number;
  readonly sequence: number;
}

export interface QuorumEvents {
  /** Corosync has settled quorum for this ring. */
  quorum(quorate: boolean, ring: QuorumRing, members: readonly number[]): void;
  /** A new ring: its services are being synchronised, quorum is not settled yet. */
  nodelist(ring: QuorumRing): void;
}

export interface VoteInfo {
  readonly nodeId: number;
  readonly votes: number;
  readonly expected: number;
  readonly highestExpected: number;
  readonly total: number;
  readonly quorum: number;
  readonly flags: number;
}

/** votequorum_info.flags. */
export const VOTE_FLAG = {
  twoNode: 1,
  quorate: 2,
  waitForAll: 4,
  lastManStanding: 8,
  autoTieBreaker: 16,
  allowDownscale: 32,
  qdevice: 64,
} as const;

export interface Quorum {
  open(events: QuorumEvents): Opened | { error: number };
  dispatch(handle: Handle): number;
}

export interface Votes {
  /** `changed`: what `info` tells may be another. */
  open(changed: () => void): Opened | { error: number };
  dispatch(handle: Handle): number;
  /** Votes in this node's view; null when Corosync does not tell at present. */
  info(handle: Handle): VoteInfo | null;
  setExpected(votes: number): Promise<number>;
}

const DISPATCH_ALL = 2;
const MODEL_V1 = 1;
const TRACK = 0x01 | 0x02; // CS_TRACK_CURRENT, CS_TRACK_CHANGES

type RawRing = { readonly nodeid: number; readonly seq: number | bigint };
const ringOf = (ring: RawRing): QuorumRing => ({ representative: ring.nodeid, sequence: Number(ring.seq) });

export function quorumOf(koffi: Koffi, library: Library): Quorum {
  koffi.struct('quorum_ring_id', { nodeid: 'uint32_t', seq: 'uint64_t' });
  koffi.proto('void quorum_v1_fn(uint64_t, uint32_t, quorum_ring_id, uint32_t, void *)');
  koffi.proto(
    'void quorum_v1_nodelist_fn(uint64_t, quorum_ring_id, uint32_t, void *, uint32_t, void *, uint32_t, void *)',
  );
  koffi.struct('quorum_model_v1', { model: 'uint32_t', quorum: 'quorum_v1_fn *', nodelist: 'quorum_v1_nodelist_fn *' });
  const initialize = library.func(
    'int quorum_model_initialize(_Out_ uint64_t *, int, quorum_model_v1 *, _Out_ uint32_t *, void *)',
  );
  const finalize = library.func('int quorum_finalize(uint64_t)');
  const fdGet = library.func('int quorum_fd_get(uint64_t, _Out_ int *)');
  const trackStart = library.func('int quorum_trackstart(uint64_t, uint32_t)');
  const dispatch = library.func('int quorum_dispatch(uint64_t, int)');
  return {
    open: (events) => {
      const quorum = koffi.register((_handle: Handle, quorate: number, ring: RawRing, count: number, list: unknown) => {
        const members = count === 0 ? [] : [...(koffi.decode(list, 'uint32_t', count) as number[])];
        events.quorum(quorate !== 0, ringOf(ring), members);
      }, 'quorum_v1_fn *');
      const nodelist = koffi.register(
        (_handle: Handle, ring: RawRing) => events.nodelist(ringOf(ring)),
        'quorum_v1_nodelist_fn *',
      );
      const free = (): void => [quorum, nodelist].forEach((callback) => koffi.unregister(callback));
      const handle: [Handle] = [0n];
      const type: [number] = [0];
      const code = initialize(handle, MODEL_V1, { model: MODEL_V1, quorum, nodelist }, type, null) as number;
      if (code !== CS.ok) {
        free();
        return { error: code };
      }
      const fd: [number] = [-1];
      fdGet(handle[0], fd);
      const close = (): void => {
        finalize(handle[0]);
        free();
      };
      const tracked = trackStart(handle[0], TRACK) as number;
      if (tracked !== CS.ok) {
        close();
        return { error: tracked };
      }
      return { handle: handle[0], fd: fd[0], close };
    },
    dispatch: (handle) => dispatch(handle, DISPATCH_ALL) as number,
  };
}

export function votesOf(koffi: Koffi, library: Library): Votes {
  koffi.struct('votequorum_info', {
    node_id: 'uint32_t',
    node_state: 'uint32_t',
    node_votes: 'uint32_t',
    node_expected_votes: 'uint32_t',
    highest_expected: 'uint32_t',
    total_votes: 'uint32_t',
    quorum: 'uint32_t',
    flags: 'uint32_t',
    qdevice_votes: 'uint32_t',
    qdevice_name: koffi.array('uint8_t', 255),
  });
  koffi.struct('votequorum_ring_id', { nodeid: 'uint32_t', seq: 'uint64_t' });
  koffi.proto('void votequorum_quorum_fn(uint64_t, uint64_t, uint32_t, uint32_t, void *)');
  koffi.proto('void votequorum_expected_fn(uint64_t, uint64_t, uint32_t)');
  koffi.proto('void votequorum_nodelist_fn(uint64_t, uint64_t, votequorum_ring_id, uint32_t, void *)');
  koffi.struct('votequorum_callbacks', {
    quorum: 'votequorum_quorum_fn *',
    expected: 'votequorum_expected_fn *',
    nodelist: 'votequorum_nodelist_fn *',
  });
  const initialize = library.func('int votequorum_initialize(_Out_ uint64_t *, votequorum_callbacks *)');
  const finalize = library.func('int votequorum_finalize(uint64_t)');
  const fdGet = library.func('int votequorum_fd_get(uint64_t, _Out_ int *)');
  const trackStart = library.func('int votequorum_trackstart(uint64_t, uint64_t, uint32_t)');
  const dispatch = library.func('int votequorum_dispatch(uint64_t, int)');
  const getInfo = library.func('int votequorum_getinfo(uint64_t, uint32_t, _Out_ votequorum_info *)');
  const setExpected = library.func('int votequorum_setexpected(uint64_t, uint32_t)');
  return {
    open: (changed) => {
      const callbacks = {
        quorum: koffi.register(() => changed(), 'votequorum_quorum_fn *'),
        expected: koffi.register(() => changed(), 'votequorum_expected_fn *'),
        nodelist: koffi.register(() => changed(), 'votequorum_nodelist_fn *'),
      };
      const free = (): void => Object.values(callbacks).forEach((callback) => koffi.unregister(callback));
      const handle: [Handle] = [0n];
      const code = initialize(handle, callbacks) as number;
      if (code !== CS.ok) {
        free();
        return { error: code };
      }
      const fd: [number] = [-1];
      fdGet(handle[0], fd);
      const close = (): void => {
        finalize(handle[0]);
        free();
      };
      const tracked = trackStart(handle[0], 0, TRACK) as number;
      if (tracked !== CS.ok) {
        close();
        return { error: tracked };
      }
      return { handle: handle[0], fd: fd[0], close };
    },
    dispatch: (handle) => dispatch(handle, DISPATCH_ALL) as number,
    info: (handle) => {
      const info: Record<string, number> = {};
      if ((getInfo(handle, 0, info) as number) !== CS.ok) return null;
      const at = (name: string): number => info[name] ?? 0;
      return {
        nodeId: at('node_id'),
        votes: at('node_votes'),
        expected: at('node_expected_votes'),
        highestExpected: at('highest_expected'),
        total: at('total_votes'),
        quorum: at('quorum'),
        flags: at('flags'),
      };
    },
    setExpected: async (votes) => {
      const handle: [Handle] = [0n];
      const code = initialize(handle, null) as number;
      if (code !== CS.ok) return code;
      try {
        return await onThread(setExpected, handle[0], votes);
      } finally {
        finalize(handle[0]);
      }
    },
  };
}
