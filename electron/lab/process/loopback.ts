/** Loopback addresses and a port that nothing uses. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** The engine's port (corosync.conf(5), mcastport). */
const ENGINE_PORT = 5405;
const FIRST_PORT = 20000;
const PORTS = 10000;

/**
 * The first three numbers of the addresses, and the port of the SSH servers. Where to begin follows from
 * the lab's id. Of each candidate the first address is tried for all.
 */
export async function freeLoopback(id: string): Promise<{ network: string; port: number }> {
  const seed = Number.parseInt(id, 16);
  for (let step = 0; step < 200; step++) {
    const number = (seed + step * 7) % (126 * 256);
    // 127.0 and 127.1 are left to others: some systems have names and resolvers there.
    const network = `127.${2 + Math.floor(number / 256)}.${number % 256}`;
    const port = FIRST_PORT + ((seed + step) % PORTS);
    if ((await bindsUdp(`${network}.1`)) && (await bindsTcp(`${network}.1`, port))) return { network, port };
  }
  throw new Error(`No loopback network with UDP port ${ENGINE_PORT} free was found.`);
}

function bindsUdp(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => resolve(false));
    socket.bind({ address, port: ENGINE_PORT, exclusive: true }, () => socket.close(() => resolve(true)));
  });
}

function bindsTcp(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, address, () => server.close(() => resolve(true)));
  });
}
