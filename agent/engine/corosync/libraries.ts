/**
 * Corosync's own client libraries (libcpg 4, libvotequorum 8, libquorum 5, libcmap 4, libcfg 7), called through koffi.
 * Signatures and constants from corosync's public headers (cpg.h, quorum.h, votequorum.h, cmap.h, cfg.h).
 */
import type koffiModule from 'koffi';

type Koffi = typeof koffiModule;
export type Handle = bigint;

export const CS = { ok: 1, library: 2, tryAgain: 6, badHandle: 9, notExist: 12, exist: 14 } as const;

/** cs_error_t in words (corotypes.h). */
export function csError(code: number): string {
  const words: Readonly<Record<number, string>> = {
    2: 'Corosync does not run',
    5: 'timeout',
    6: 'Corosync is busy',
    7: 'invalid parameter',
    9: 'the connection to Corosync is gone',
    11: 'access denied: this needs root',
    12: 'it does not exist',
    14: 'it exists already',
    21: 'security error: this needs root',
  };
  return words[code] ?? `Corosync's error ${code}`;
}

export interface CpgEvents {
  deliver(sender: number, payload: Uint8Array): void;
  /** Membership of the group. */
  confchg(members: readonly number[], left: readonly number[], joined: readonly number[]): void;
  /** A new ring, whether or not the group has changed. */
  ring(representative: number, sequence: number, members: readonly number[]): void;
}

export interface QuorumEvents {
  /** Corosync has settled quorum for this ring. */
  quorum(quorate: boolean, ring: { representative: number; sequence: number }, members: readonly number[]): void;
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

/** votequorum_info.flags (votequorum.h). */
export const VOTE_FLAG = {
  twoNode: 1,
  quorate: 2,
  waitForAll: 4,
  lastManStanding: 8,
  autoTieBreaker: 16,
  allowDownscale: 32,
  qdevice: 64,
} as const;

export interface Corosync {
  readonly cpg: {
    open(events: CpgEvents): { handle: Handle; fd: number; close(): void } | { error: number };
    join(handle: Handle, group: string): number;
    leave(handle: Handle, group: string): number;
    mcast(handle: Handle, payload: Uint8Array): number;
    dispatch(handle: Handle): number;
    localNode(handle: Handle): number | null;
  };
  readonly quorum: {
    open(events: QuorumEvents): { handle: Handle; fd: number; close(): void } | { error: number };
    dispatch(handle: Handle): number;
  };
  readonly votes: {
    /** Votes of this node's view; null when Corosync cannot be reached. */
    info(): VoteInfo | null;
    setExpected(votes: number): number;
  };
  /** A value of cmap in text form, or null. */
  cmap(key: string): string | null;
  /** corosync-cfgtool -R: has every node read its file. */
  reload(): number;
  /** Resolves when one of the descriptors can be read or is broken, or after `timeoutMs`. */
  poll(fds: readonly number[], timeoutMs: number): Promise<void>;
}

const NAME_BYTES = 128;
const DISPATCH_ALL = 2;
const TYPE_AGREED = 2;
const MODEL_V1 = 1;
const INITIAL_RING = 1;
const TRACK_CHANGES = 0x02;
const TRACK_CURRENT = 0x01;

/** Loads the libraries. Rejects with the name of the package that is missing. */
export async function loadCorosync(): Promise<Corosync> {
  const koffi: Koffi = (await import('koffi')).default;
  const open = (file: string, debianPackage: string) => {
    try {
      return koffi.load(file);
    } catch {
      throw new Error(`${file} is not on this node: install Debian's corosync (${debianPackage})`);
    }
  };
  const libc = koffi.load('libc.so.6');
  const pollfd = koffi.struct('corosync_pollfd', { fd: 'int', events: 'short', revents: 'short' });
  const pollAsync = libc.func('poll', 'int', [koffi.inout(koffi.pointer(pollfd)), 'ulong', 'int']);
  return {
    cpg: cpgOf(koffi, open('libcpg.so.4', 'libcpg4')),
    quorum: quorumOf(koffi, open('libquorum.so.5', 'libquorum5')),
    votes: votesOf(koffi, open('libvotequorum.so.8', 'libvotequorum8')),
    cmap: cmapOf(koffi, open('libcmap.so.4', 'libcmap4'), libc),
    reload: reloadOf(koffi, open('libcfg.so.7', 'libcfg7')),
    poll: (fds, timeoutMs) =>
      new Promise((resolve) => {
        const set = fds.map((fd) => ({ fd, events: 1, revents: 0 }));
        pollAsync.async(set, set.length, timeoutMs, () => resolve());
      }),
  };
}

type Library = ReturnType<Koffi['load']>;

function cpgOf(koffi: Koffi, library: Library): Corosync['cpg'] {
  koffi.struct('cpg_name', { length: 'uint32_t', value: koffi.array('uint8_t', NAME_BYTES) });
  const address = koffi.struct('cpg_address', { nodeid: 'uint32_t', pid: 'uint32_t', reason: 'uint32_t' });
  koffi.struct('cpg_ring_id', { nodeid: 'uint32_t', seq: 'uint64_t' });
  koffi.proto('void cpg_deliver_fn(uint64_t, void *, uint32_t, uint32_t, void *, size_t)');
  koffi.proto('void cpg_confchg_fn(uint64_t, void *, void *, size_t, void *, size_t, void *, size_t)');
  koffi.proto('void cpg_ring_fn(uint64_t, cpg_ring_id, uint32_t, void *)');
  koffi.struct('cpg_model_v1', {
    model: 'uint32_t',
    deliver: 'cpg_deliver_fn *',
    confchg: 'cpg_confchg_fn *',
    ring: 'cpg_ring_fn *',
    flags: 'uint32_t',
  });
  koffi.struct('cpg_iovec', { base: 'void *', len: 'size_t' });
  const initialize = library.func('int cpg_model_initialize(_Out_ uint64_t *, int, cpg_model_v1 *, void *)');
  const finalize = library.func('int cpg_finalize(uint64_t)');
  const fdGet = library.func('int cpg_fd_get(uint64_t, _Out_ int *)');
  const dispatch = library.func('int cpg_dispatch(uint64_t, int)');
  const join = library.func('int cpg_join(uint64_t, cpg_name *)');
  const leave = library.func('int cpg_leave(uint64_t, cpg_name *)');
  const mcast = library.func('int cpg_mcast_joined(uint64_t, int, cpg_iovec *, uint32_t)');
  const localGet = library.func('int cpg_local_get(uint64_t, _Out_ uint32_t *)');
  const nameOf = (group: string) => {
    const bytes = Buffer.alloc(NAME_BYTES);
    return { length: bytes.write(group, 0, 'utf8'), value: bytes };
  };
  const nodes = (list: unknown, count: number): number[] =>
    count === 0
      ? []
      : (koffi.decode(list, address, Number(count)) as { nodeid: number }[]).map((entry) => entry.nodeid);
  return {
    open: (events) => {
      const model = {
        model: MODEL_V1,
        deliver: koffi.register(
          (_handle: Handle, _name: unknown, sender: number, _pid: number, bytes: unknown, length: number) =>
            // A copy: the library's buffer is its own again after the call.
            events.deliver(sender, Buffer.from(new Uint8Array(koffi.view(bytes, Number(length))))),
          'cpg_deliver_fn *',
        ),
        confchg: koffi.register(
          (
            ...[, , members, memberCount, left, leftCount, joined, joinedCount]: [
              Handle,
              unknown,
              unknown,
              number,
              unknown,
              number,
              unknown,
              number,
            ]
          ) => events.confchg(nodes(members, memberCount), nodes(left, leftCount), nodes(joined, joinedCount)),
          'cpg_confchg_fn *',
        ),
        ring: koffi.register(
          (_handle: Handle, ring: { nodeid: number; seq: number | bigint }, count: number, list: unknown) => {
            const members = count === 0 ? [] : (koffi.decode(list, 'uint32_t', count) as number[]);
            events.ring(ring.nodeid, Number(ring.seq), [...members]);
          },
          'cpg_ring_fn *',
        ),
        flags: INITIAL_RING,
      };
      const callbacks = [model.deliver, model.confchg, model.ring];
      const free = (): void => callbacks.forEach((callback) => koffi.unregister(callback));
      const handle: [Handle] = [0n];
      const code = initialize(handle, MODEL_V1, model, null) as number;
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
      return { handle: handle[0], fd: fd[0], close };
    },
    join: (handle, group) => join(handle, nameOf(group)) as number,
    leave: (handle, group) => leave(handle, nameOf(group)) as number,
    mcast: (handle, payload) => mcast(handle, TYPE_AGREED, { base: payload, len: payload.length }, 1) as number,
    dispatch: (handle) => dispatch(handle, DISPATCH_ALL) as number,
    localNode: (handle) => {
      const node: [number] = [0];
      return (localGet(handle, node) as number) === CS.ok ? node[0] : null;
    },
  };
}

function quorumOf(koffi: Koffi, library: Library): Corosync['quorum'] {
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
      const quorum = koffi.register(
        (
          _handle: Handle,
          quorate: number,
          ring: { nodeid: number; seq: number | bigint },
          count: number,
          list: unknown,
        ) => {
          const members = count === 0 ? [] : [...(koffi.decode(list, 'uint32_t', count) as number[])];
          events.quorum(quorate !== 0, { representative: ring.nodeid, sequence: Number(ring.seq) }, members);
        },
        'quorum_v1_fn *',
      );
      const handle: [Handle] = [0n];
      const type: [number] = [0];
      const code = initialize(handle, MODEL_V1, { model: MODEL_V1, quorum, nodelist: null }, type, null) as number;
      if (code !== CS.ok) {
        koffi.unregister(quorum);
        return { error: code };
      }
      const fd: [number] = [-1];
      fdGet(handle[0], fd);
      trackStart(handle[0], TRACK_CHANGES | TRACK_CURRENT);
      const close = (): void => {
        finalize(handle[0]);
        koffi.unregister(quorum);
      };
      return { handle: handle[0], fd: fd[0], close };
    },
    dispatch: (handle) => dispatch(handle, DISPATCH_ALL) as number,
  };
}

function votesOf(koffi: Koffi, library: Library): Corosync['votes'] {
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
  const initialize = library.func('int votequorum_initialize(_Out_ uint64_t *, void *)');
  const finalize = library.func('int votequorum_finalize(uint64_t)');
  const getInfo = library.func('int votequorum_getinfo(uint64_t, uint32_t, _Out_ votequorum_info *)');
  const setExpected = library.func('int votequorum_setexpected(uint64_t, uint32_t)');
  const using = <T>(work: (handle: Handle) => T, otherwise: (code: number) => T): T => {
    const handle: [Handle] = [0n];
    const code = initialize(handle, null) as number;
    if (code !== CS.ok) return otherwise(code);
    try {
      return work(handle[0]);
    } finally {
      finalize(handle[0]);
    }
  };
  return {
    info: () =>
      using(
        (handle) => {
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
        () => null,
      ),
    setExpected: (votes) =>
      using(
        (handle) => setExpected(handle, votes) as number,
        (code) => code,
      ),
  };
}

function cmapOf(koffi: Koffi, library: Library, libc: Library): Corosync['cmap'] {
  const initialize = library.func('int cmap_initialize(_Out_ uint64_t *)');
  const finalize = library.func('int cmap_finalize(uint64_t)');
  const get = library.func('int cmap_get(uint64_t, const char *, void *, _Inout_ size_t *, _Out_ int *)');
  void libc;
  return (key) => {
    const handle: [Handle] = [0n];
    if ((initialize(handle) as number) !== CS.ok) return null;
    try {
      const value = Buffer.alloc(1024);
      const length: [number] = [value.length];
      const type: [number] = [0];
      if ((get(handle[0], key, value, length, type) as number) !== CS.ok) return null;
      return cmapText(value, type[0], Number(length[0]));
    } finally {
      finalize(handle[0]);
    }
  };
}

/** cmap_value_types_t (cmap.h): 1 to 8 are integers of 8 to 64 bits, signed first; 11 is a string. */
function cmapText(value: Buffer, type: number, length: number): string | null {
  switch (type) {
    case 1:
      return String(value.readInt8());
    case 2:
      return String(value.readUInt8());
    case 3:
      return String(value.readInt16LE());
    case 4:
      return String(value.readUInt16LE());
    case 5:
      return String(value.readInt32LE());
    case 6:
      return String(value.readUInt32LE());
    case 7:
      return String(value.readBigInt64LE());
    case 8:
      return String(value.readBigUInt64LE());
    case 11:
      return value.toString('utf8', 0, Math.max(0, length - 1));
    default:
      return null;
  }
}

function reloadOf(koffi: Koffi, library: Library): Corosync['reload'] {
  void koffi;
  const initialize = library.func('int corosync_cfg_initialize(_Out_ uint64_t *, void *)');
  const finalize = library.func('int corosync_cfg_finalize(uint64_t)');
  const reload = library.func('int corosync_cfg_reload_config(uint64_t)');
  return () => {
    const handle: [Handle] = [0n];
    const code = initialize(handle, null) as number;
    if (code !== CS.ok) return code;
    try {
      return reload(handle[0]) as number;
    } finally {
      finalize(handle[0]);
    }
  };
}
