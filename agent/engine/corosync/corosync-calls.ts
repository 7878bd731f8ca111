/** What the calls of Corosync's libraries have in common (corotypes.h). */
import type koffiModule from 'koffi';

export type Library = ReturnType<(typeof koffiModule)['load']>;
export type Handle = bigint;

/** A connection to one of Corosync's services; `fd` can be read when there is something to dispatch. */
export interface Opened {
  readonly handle: Handle;
  readonly fd: number;
  close(): void;
}

export const CS = { ok: 1, library: 2, tryAgain: 6, badHandle: 9, notExist: 12, exist: 14 } as const;

/** cs_error_t in words. */
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

/**
 * Calls a function of a library on a thread of the pool: an answer of Corosync's may take long (it is stopped, or its
 * ring is being formed), and this process has a file system to serve meanwhile. Only for calls without callbacks.
 */
export function onThread(fn: ReturnType<Library['func']>, ...args: readonly unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    fn.async(...args, (error: Error | null, code: number) => {
      if (error === null) resolve(code);
      else reject(error);
    });
  });
}
