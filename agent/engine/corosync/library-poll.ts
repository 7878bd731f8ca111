/** Waiting for what the libraries' descriptors tell, on a thread of libuv's pool, and being woken from it. */
import type koffiModule from 'koffi';

type Koffi = typeof koffiModule;

export interface Waker {
  readonly fd: number;
  /** Ends the poll that runs, or the next one. */
  wake(): void;
  /** Forgets that it was woken. */
  drain(): void;
  close(): void;
}

export interface Polling {
  /** Resolves when one of the descriptors can be read or is broken, or after `timeoutMs`; -1 waits for ever. */
  poll(fds: readonly number[], timeoutMs: number): Promise<void>;
  waker(): Waker;
}

const POLLIN = 1;
/** eventfd(2): EFD_CLOEXEC and EFD_NONBLOCK. */
const EVENT_FLAGS = 0x80800;

export function pollingOf(koffi: Koffi): Polling {
  const libc = koffi.load('libc.so.6');
  const pollfd = koffi.struct('corosync_pollfd', { fd: 'int', events: 'short', revents: 'short' });
  const poll = libc.func('poll', 'int', [koffi.inout(koffi.pointer(pollfd)), 'ulong', 'int']);
  const eventfd = libc.func('int eventfd(unsigned int, int)');
  const write = libc.func('long write(int, const void *, size_t)');
  const read = libc.func('long read(int, void *, size_t)');
  const close = libc.func('int close(int)');
  return {
    poll: (fds, timeoutMs) =>
      new Promise((resolve) => {
        const set = fds.map((fd) => ({ fd, events: POLLIN, revents: 0 }));
        poll.async(set, set.length, timeoutMs, () => resolve());
      }),
    waker: () => {
      const fd = eventfd(0, EVENT_FLAGS) as number;
      if (fd < 0) throw new Error('no descriptor is left for waking the engine');
      const one = Buffer.alloc(8);
      one.writeBigUInt64LE(1n);
      const wake = (): void => void write(fd, one, one.length);
      // Node ends its pool's threads before it ends itself: one that waits for ever would hold the exit up for ever.
      process.once('exit', wake);
      return {
        fd,
        wake,
        drain: () => void read(fd, Buffer.alloc(8), 8),
        close: () => {
          process.off('exit', wake);
          close(fd);
        },
      };
    },
  };
}
