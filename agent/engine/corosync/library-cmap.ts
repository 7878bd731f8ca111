/** libcmap 4 (cmap.h): what Corosync has read and what it counts, as keys and values. */
import type koffiModule from 'koffi';
import { CS, onThread, type Handle, type Library, type Opened } from './corosync-calls.ts';

type Koffi = typeof koffiModule;

/** `configuration`: what was read and what came of it. `statistics`: what is counted, under `stats.`. */
export type CmapName = 'configuration' | 'statistics';

export interface CmapConnection extends Opened {
  /** Calls `changed` from now on when a key below this prefix comes or goes, and with `values` when one changes. */
  trackPrefix(prefix: string, values: boolean): number;
  /** Calls `changed` from now on when the value of this key changes. */
  trackKey(key: string): number;
  dispatch(): number;
  get(key: string): string | null;
  /** As many as there are, in text form. On a thread of the pool: this does not wait for Corosync. */
  values(keys: readonly string[]): Promise<ReadonlyMap<string, string>>;
}

export interface Cmap {
  open(map: CmapName, changed: (key: string) => void): CmapConnection | { error: number };
}

const DISPATCH_ALL = 2;
const MAP: Readonly<Record<CmapName, number>> = { configuration: 0, statistics: 1 };
const TRACK = { delete: 1, modify: 2, add: 4, prefix: 8 } as const;
const VALUE_BYTES = 1024;

export function cmapOf(koffi: Koffi, library: Library): Cmap {
  koffi.struct('cmap_notify_value', { type: 'int', len: 'size_t', data: 'const void *' });
  koffi.proto(
    'void cmap_notify_fn(uint64_t, uint64_t, int32_t, const char *, cmap_notify_value, cmap_notify_value, void *)',
  );
  const initialize = library.func('int cmap_initialize_map(_Out_ uint64_t *, int)');
  const finalize = library.func('int cmap_finalize(uint64_t)');
  const fdGet = library.func('int cmap_fd_get(uint64_t, _Out_ int *)');
  const dispatch = library.func('int cmap_dispatch(uint64_t, int)');
  const get = library.func('int cmap_get(uint64_t, const char *, void *, _Inout_ size_t *, _Out_ int *)');
  const trackAdd = library.func(
    'int cmap_track_add(uint64_t, const char *, int32_t, cmap_notify_fn *, void *, _Out_ uint64_t *)',
  );
  return {
    open: (map, changed) => {
      const handle: [Handle] = [0n];
      const code = initialize(handle, MAP[map]) as number;
      if (code !== CS.ok) return { error: code };
      const [own] = handle;
      const fd: [number] = [-1];
      fdGet(own, fd);
      const notify = koffi.register(
        (_handle: Handle, _track: Handle, _event: number, key: string) => changed(key),
        'cmap_notify_fn *',
      );
      const track = (key: string, how: number): number => trackAdd(own, key, how, notify, null, [0n]) as number;
      let reading: Promise<unknown> = Promise.resolve();
      let closed = false;
      const read = async (keys: readonly string[]): Promise<ReadonlyMap<string, string>> => {
        const found = new Map<string, string>();
        for (const key of keys) {
          if (closed) break;
          const value = Buffer.alloc(VALUE_BYTES);
          const length: [number] = [value.length];
          const type: [number] = [0];
          if ((await onThread(get, own, key, value, length, type)) !== CS.ok) continue;
          const text = cmapText(value, type[0], Number(length[0]));
          if (text !== null) found.set(key, text);
        }
        return found;
      };
      return {
        handle: own,
        fd: fd[0],
        close: () => {
          closed = true;
          // Not under the feet of a call that still runs on its thread.
          void reading.finally(() => {
            finalize(own);
            koffi.unregister(notify);
          });
        },
        trackPrefix: (prefix, values) =>
          track(prefix, TRACK.add | TRACK.delete | TRACK.prefix | (values ? TRACK.modify : 0)),
        trackKey: (key) => track(key, TRACK.add | TRACK.delete | TRACK.modify),
        dispatch: () => dispatch(own, DISPATCH_ALL) as number,
        get: (key) => {
          const value = Buffer.alloc(VALUE_BYTES);
          const length: [number] = [value.length];
          const type: [number] = [0];
          if ((get(own, key, value, length, type) as number) !== CS.ok) return null;
          return cmapText(value, type[0], Number(length[0]));
        },
        values: (keys) => {
          const next = reading.then(() => read(keys));
          reading = next.catch(() => undefined);
          return next;
        },
      };
    },
  };
}

/** cmap_value_types_t: 1 to 8 are integers of 8 to 64 bits, signed first; 11 is a string. */
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
