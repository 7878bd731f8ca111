/**
 * One change of a lab at a time. The lock is an abstract Unix socket (unix(7)): the kernel gives it to
 * one process and takes it back when that process ends, however it ends; no file can be left behind.
 */
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';

/**
 * Does the work while holding the lock. Waits for whoever holds it; `onWait` is told who that is, in
 * words, once.
 */
export async function withLock<T>(
  name: string,
  purpose: string,
  onWait: (holder: string) => void,
  work: () => Promise<T>,
): Promise<T> {
  const address = `\0ringmaster-lab-${name}`;
  const clients = new Set<Socket>();
  let told = false;
  let server = await listen(address, purpose, clients);
  while (server === null) {
    await untilReleased(address, (holder) => {
      if (!told && holder !== '') onWait(holder);
      told ||= holder !== '';
    });
    server = await listen(address, purpose, clients);
  }
  try {
    return await work();
  } finally {
    server.close();
    for (const client of clients) client.destroy();
  }
}

/** Null when somebody else listens there. */
function listen(address: string, purpose: string, clients: Set<Socket>): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((client) => {
      clients.add(client);
      client.on('error', () => client.destroy());
      client.on('close', () => clients.delete(client));
      client.write(`"${purpose}" (process ${process.pid})`);
    });
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(null) : reject(error),
    );
    server.listen(address, () => resolve(server));
  });
}

/** Resolves when the holder has let go, or at once when nobody holds it. */
function untilReleased(address: string, onHolder: (holder: string) => void): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(address);
    socket.setEncoding('utf8').once('data', (text: string) => onHolder(text));
    socket.on('error', () => undefined);
    // A short pause, so that two that wait do not spin when a connection is refused.
    socket.on('close', () => setTimeout(resolve, 20));
  });
}
