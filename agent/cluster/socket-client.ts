/** Calls to a daemon of this node over its Unix socket (birpc over JSON lines). */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { createBirpc } from 'birpc';
import type { BirpcReturn } from 'birpc';
import { jsonLines } from '../json-lines.ts';

export interface SocketClient<Remote extends object> {
  readonly remote: BirpcReturn<Remote, object>;
  /** Resolves when the connection has ended, from either side. */
  readonly closed: Promise<void>;
  close(): void;
}

/**
 * Connects. Rejects with the socket's error (ENOENT, ECONNREFUSED) when nobody listens there. A call
 * rejects after `timeoutMs`, or as soon as the connection ends.
 */
export function connectSocket<Remote extends object>(
  path: string,
  local: object = {},
  timeoutMs = 60_000,
): Promise<SocketClient<Remote>> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(path);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      let ended = (): void => undefined;
      const closed = new Promise<void>((done) => (ended = done));
      const channel = jsonLines(socket, socket, () => {
        remote.$close(new Error(`the connection to ${path} ended`));
        socket.destroy();
        ended();
      });
      const remote = createBirpc<Remote, object>(local, { ...channel, timeout: timeoutMs });
      resolve({
        remote,
        closed,
        close: () => {
          remote.$close();
          socket.destroy();
          ended();
        },
      });
    });
  });
}
