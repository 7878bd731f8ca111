/** Opens a UDP socket by the best means that this machine has. */
import { openNative } from './native-socket.ts';
import { openPlain } from './plain-socket.ts';
import { systemCalls } from './system-calls.ts';
import type { SocketPlan, UdpSocket } from './udp-socket.ts';

/** Rejects with AddressNotLocal, or with a sentence. */
export async function openUdpSocket(plan: SocketPlan, interfaceIndex: (ip: string) => number): Promise<UdpSocket> {
  const calls = await systemCalls();
  return calls === null ? openPlain(plan) : openNative(calls, plan, interfaceIndex);
}
