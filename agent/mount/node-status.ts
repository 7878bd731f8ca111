/** What a node says of its machine: processors, memory, load, root disk, uptime. From /proc. */
import { readFileSync, statfsSync } from 'node:fs';
import { availableParallelism } from 'node:os';

export interface NodeStatus {
  /** Seconds since the machine was started. */
  readonly uptimeS: number;
  /** Seconds since 1970 at which this was measured. */
  readonly timeS: number;
  /** Processes that want to run, averaged over a minute. */
  readonly load: number;
  readonly cpus: number;
  /** Shares of all processors' time since the last look, 0 to 1. */
  readonly cpu: number;
  readonly ioWait: number;
  /** Bytes. */
  readonly memory: { readonly total: number; readonly used: number };
  readonly swap: { readonly total: number; readonly used: number };
  readonly root: { readonly total: number; readonly used: number };
  /** Bytes of all interfaces but loopback since they came up. */
  readonly network: { readonly received: number; readonly sent: number };
}

interface Ticks {
  readonly idle: number;
  readonly ioWait: number;
  readonly all: number;
}

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** The first line of /proc/stat: user nice system idle iowait irq softirq steal (proc(5)). */
function ticks(): Ticks {
  const numbers = (read('/proc/stat').split('\n')[0] ?? '').trim().split(/\s+/).slice(1, 9).map(Number);
  return { idle: numbers[3] ?? 0, ioWait: numbers[4] ?? 0, all: numbers.reduce((sum, each) => sum + each, 0) };
}

function network(): { received: number; sent: number } {
  const total = { received: 0, sent: 0 };
  for (const line of read('/proc/net/dev').split('\n')) {
    const [name, rest] = line.split(':');
    if (rest === undefined || name?.trim() === 'lo') continue;
    const numbers = rest.trim().split(/\s+/).map(Number);
    total.received += numbers[0] ?? 0;
    total.sent += numbers[8] ?? 0;
  }
  return total;
}

/** A function that measures; shares of time are those since its last call. */
export function nodeStatusReader(): () => NodeStatus {
  let before = ticks();
  return () => {
    const now = ticks();
    const spent = Math.max(1, now.all - before.all);
    const idle = now.idle - before.idle;
    const ioWait = now.ioWait - before.ioWait;
    before = now;
    const memory = new Map<string, number>();
    for (const [, key = '', value = ''] of read('/proc/meminfo').matchAll(/^(\w+):\s+(\d+) kB$/gm))
      memory.set(key, Number(value) * 1024);
    const bytes = (key: string): number => memory.get(key) ?? 0;
    const disk = statfsSync('/');
    return {
      uptimeS: Math.floor(Number(read('/proc/uptime').split(' ')[0] ?? 0)),
      timeS: Math.floor(Date.now() / 1000),
      load: Number(read('/proc/loadavg').split(' ')[0] ?? 0),
      cpus: availableParallelism(),
      cpu: Math.max(0, Math.min(1, (spent - idle - ioWait) / spent)),
      ioWait: Math.max(0, Math.min(1, ioWait / spent)),
      memory: { total: bytes('MemTotal'), used: bytes('MemTotal') - bytes('MemAvailable') },
      swap: { total: bytes('SwapTotal'), used: bytes('SwapTotal') - bytes('SwapFree') },
      root: { total: disk.blocks * disk.bsize, used: (disk.blocks - disk.bfree) * disk.bsize },
      network: network(),
    };
  };
}

/**
 * One line of `.rrd`, in the order in which Proxmox VE's tools read it: uptime, subscription level (none), time,
 * load, processors, their use, waiting for disks, memory, swap and root disk each with what is used, network.
 */
export function rrdLine(node: string, status: NodeStatus): string {
  const { uptimeS, timeS, load, cpus, cpu, ioWait, memory, swap, root, network } = status;
  const values = [uptimeS, '', timeS, load, cpus, cpu, ioWait, memory.total, memory.used, swap.total, swap.used];
  return `pve2-node/${node}:${[...values, root.total, root.used, network.received, network.sent].join(':')}`;
}
