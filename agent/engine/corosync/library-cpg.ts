/** libcpg 4 (cpg.h): process groups. */
import type koffiModule from 'koffi';
import { CS, type Handle, type Library, type Opened } from './corosync-calls.ts';

type Koffi = typeof koffiModule;

/** cpg_address: a process in a group, and why it came or went (CPG_REASON). */
export interface CpgProcess {
  readonly nodeid: number;
  readonly pid: number;
  readonly reason: number;
}

/** cpg_reason_t: whether a process or its whole node came or went. */
export const CPG_REASON = { join: 1, leave: 2, nodeDown: 3, nodeUp: 4, processDown: 5 } as const;

export interface CpgEvents {
  deliver(sender: number, payload: Uint8Array, pid: number): void;
  /** Membership of the group. */
  confchg(members: readonly CpgProcess[], left: readonly CpgProcess[], joined: readonly CpgProcess[]): void;
  /** A new ring, whether or not the group has changed. */
  ring(representative: number, sequence: number, members: readonly number[]): void;
}

export interface Cpg {
  open(events: CpgEvents): Opened | { error: number };
  join(handle: Handle, group: string): number;
  leave(handle: Handle, group: string): number;
  /** One message made of these parts, at most `largest` bytes. CS.tryAgain: Corosync takes none at present. */
  mcast(handle: Handle, ...parts: readonly Uint8Array[]): number;
  /** The most bytes that Corosync takes in one message: about 1 MiB. */
  largest(handle: Handle): number;
  dispatch(handle: Handle): number;
}

const NAME_BYTES = 128;
const DISPATCH_ALL = 2;
const TYPE_AGREED = 2;
const MODEL_V1 = 1;
const INITIAL_RING = 1;
/** What every Corosync takes, should it not tell. Bytes. */
const SMALL_MESSAGE = 512 * 1024;

export function cpgOf(koffi: Koffi, library: Library): Cpg {
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
  const largest = library.func('int cpg_max_atomic_msgsize_get(uint64_t, _Out_ uint32_t *)');
  const nameOf = (group: string) => {
    const bytes = Buffer.alloc(NAME_BYTES);
    return { length: bytes.write(group, 0, 'utf8'), value: bytes };
  };
  const processes = (list: unknown, count: number): CpgProcess[] =>
    Number(count) === 0 ? [] : [...(koffi.decode(list, address, Number(count)) as CpgProcess[])];
  return {
    open: (events) => {
      const model = {
        model: MODEL_V1,
        deliver: koffi.register(
          (_handle: Handle, _name: unknown, sender: number, pid: number, bytes: unknown, length: number) =>
            // A copy: the library's buffer is its own again after the call.
            events.deliver(sender, Buffer.from(new Uint8Array(koffi.view(bytes, Number(length)))), pid),
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
          ) =>
            events.confchg(processes(members, memberCount), processes(left, leftCount), processes(joined, joinedCount)),
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
    mcast: (handle, ...parts) =>
      mcast(
        handle,
        TYPE_AGREED,
        parts.map((part) => ({ base: part, len: part.length })),
        parts.length,
      ) as number,
    largest: (handle) => {
      const size: [number] = [0];
      return (largest(handle, size) as number) === CS.ok && size[0] > 0 ? size[0] : SMALL_MESSAGE;
    },
    dispatch: (handle) => dispatch(handle, DISPATCH_ALL) as number,
  };
}
