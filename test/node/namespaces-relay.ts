/**
 * The cables of a test network as a process: a TAP device in every host, and between them delay, jitter, reordering and
 * duplication, which this kernel may not have (sch_netem). Loss and cuts are nftables' business (namespaces.ts).
 * Ethernet frames pass as they are, so ARP, IPv6 and multicast work, and source addresses stay.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, read, writeSync } from 'node:fs';
import koffi from 'koffi';
import { PERFECT, type Cable, type Change, type Impairment, type RelayOrder } from './namespaces-impairment.ts';

/** linux/if_tun.h */
const TUNSETIFF = 0x400454ca;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const FRAME_BYTES = 65_536;
/** Packets kept by a recording, at most. */
const MOST_RECORDED = 1000;
/** A second copy comes at most this late, in milliseconds. */
const SECOND_COPY = 10;

const ioctl = koffi.load('libc.so.6').func('int ioctl(int, ulong, void *)');

class Port {
  readonly network: number;
  readonly #fd: number;
  readonly #waiting: { readonly at: number; readonly frame: Buffer }[] = [];
  #lastAt = 0;

  constructor(cable: Cable) {
    this.network = cable.network;
    // Made here under a name of its own, then moved: inside it is called eth0, and here another may be.
    const name = `rmt${process.pid}-${cable.host}${cable.network}`.slice(-15);
    this.#fd = openSync('/dev/net/tun', 'r+');
    const request = Buffer.alloc(40);
    request.write(name, 0, 'latin1');
    request.writeUInt16LE(IFF_TAP | IFF_NO_PI, 16);
    if (ioctl(this.#fd, TUNSETIFF, request) !== 0) throw new Error(`no TAP device for ${cable.namespace}`);
    execFileSync('ip', ['link', 'set', name, 'netns', cable.namespace, 'name', cable.name]);
  }

  /** Calls back with every frame that the host sends. */
  listen(take: (frame: Buffer) => void): void {
    const buffer = Buffer.alloc(FRAME_BYTES);
    const next = (): void =>
      read(this.#fd, buffer, 0, FRAME_BYTES, null, (error, length) => {
        // The device is gone with its namespace: the test is over.
        if (error !== null) return closeSync(this.#fd);
        take(Buffer.from(buffer.subarray(0, length)));
        next();
      });
    next();
  }

  put(frame: Buffer, { delay, jitter, reorder, reorderBy, duplicate }: Impairment, now: number): void {
    const inOrder = Math.max(this.#lastAt, now + delay + Math.random() * jitter);
    this.#lastAt = inOrder;
    this.#add(Math.random() < reorder ? inOrder + reorderBy : inOrder, frame);
    if (Math.random() < duplicate) this.#add(inOrder + Math.random() * SECOND_COPY, frame);
  }

  /** Hands over what is due; gives the time of the next, or Infinity. */
  flush(now: number): number {
    for (;;) {
      const first = this.#waiting[0];
      if (first === undefined || first.at > now) return first?.at ?? Infinity;
      this.#waiting.shift();
      try {
        writeSync(this.#fd, first.frame);
      } catch {
        // The interface is down: a frame is lost, as on any cable.
      }
    }
  }

  #add(at: number, frame: Buffer): void {
    let index = this.#waiting.length;
    while (index > 0 && (this.#waiting[index - 1]?.at ?? 0) > at) index -= 1;
    this.#waiting.splice(index, 0, { at, frame });
  }
}

interface Recorded {
  readonly port: Port;
  readonly frame: Buffer;
}
let recording: Recorded[] | null = null;
let impairment = PERFECT;
let ports: readonly Port[] = [];
let timer: NodeJS.Timeout | null = null;

function flush(): void {
  const now = performance.now();
  const next = Math.min(...ports.map((port) => port.flush(now)));
  clearTimeout(timer ?? undefined);
  timer = next === Infinity ? null : setTimeout(flush, Math.max(0, next - performance.now()));
}

/** A switch: it learns who is where, and sends to all what is for all or for somebody unknown. */
function connect(cables: readonly Cable[]): void {
  ports = cables.map((cable) => new Port(cable));
  const placeOf = new Map<string, Port>();
  for (const port of ports) {
    port.listen((frame) => {
      placeOf.set(frame.toString('hex', 6, 12), port);
      const place = placeOf.get(frame.toString('hex', 0, 6));
      const others = ports.filter((other) => other !== port && other.network === port.network);
      const now = performance.now();
      for (const other of place === undefined ? others : [place]) {
        other.put(frame, impairment, now);
        if (recording !== null && isUdp4(frame)) recording.push({ port: other, frame });
        if ((recording?.length ?? 0) > MOST_RECORDED) recording?.shift();
      }
      flush();
    });
  }
}

/** Ethernet, IPv4 without options, UDP, not a fragment. */
const isUdp4 = (frame: Buffer): boolean =>
  frame.length > IP + 28 && frame.readUInt16BE(12) === 0x0800 && frame[IP] === 0x45 && frame[IP + 9] === 17;
/** Where the IP header begins. */
const IP = 14;

function changed(frame: Buffer, change: Change): Buffer {
  if (change === 'none') return frame;
  const payload = IP + 28;
  const copy = Buffer.from(frame);
  // A checksum of 0 is none (RFC 768): the packet must reach the program.
  copy.writeUInt16BE(0, IP + 26);
  if (change === 'flip') {
    const at = payload + Math.floor(Math.random() * (copy.length - payload));
    copy[at] = (copy[at] ?? 0) ^ (1 + Math.floor(Math.random() * 255));
    return copy;
  }
  const cut = copy.subarray(0, payload + Math.floor(Math.random() * (copy.length - payload)));
  cut.writeUInt16BE(cut.length - IP, IP + 2);
  cut.writeUInt16BE(cut.length - IP - 20, IP + 24);
  cut.writeUInt16BE(0, IP + 10);
  let sum = 0;
  for (let at = IP; at < IP + 20; at += 2) sum += cut.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  cut.writeUInt16BE(~sum & 0xffff, IP + 10);
  return cut;
}

function replay(change: Change, times: number): void {
  const recorded = recording ?? [];
  recording = null;
  for (let time = 0; time < times; time += 1) {
    for (const { port, frame } of recorded) port.put(changed(frame, change), PERFECT, performance.now());
    flush();
  }
  recording = recorded;
}

process.on('message', (order: RelayOrder) => {
  switch (order.kind) {
    case 'cables':
      connect(order.cables);
      break;
    case 'impair':
      impairment = order.impairment;
      break;
    case 'record':
      recording = [];
      break;
    case 'replay':
      replay(order.change, order.times);
  }
  process.send?.('done');
});
process.on('disconnect', () => process.exit(0));
