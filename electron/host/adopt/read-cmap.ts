/**
 * The keys that corosync-cmapctl(8) prints (Corosync 2 and 3), and corosync-objctl(8) of Corosync 1. Pure.
 */

/** `key (type) = value`; a value may hold anything but a line's end. Lines of another form are passed over. */
export function readCmap(output: string): ReadonlyMap<string, string> {
  const keys = new Map<string, string>();
  for (const line of output.split('\n')) {
    const found = /^(\S+) \([a-z0-9]+\) = (.*)$/.exec(line);
    if (found !== null) keys.set(found[1] ?? '', unquoted(found[2] ?? ''));
  }
  return keys;
}

/** Some versions put strings into quotation marks. */
const unquoted = (value: string): string => (/^".*"$/.test(value) ? value.slice(1, -1) : value);

/** Corosync 1: `key=value`, the objects' names joined by dots. */
export function readObjects(output: string): ReadonlyMap<string, string> {
  const keys = new Map<string, string>();
  for (const line of output.split('\n')) {
    const found = /^([A-Za-z0-9_.]+)=(.*)$/.exec(line);
    if (found !== null) keys.set(found[1] ?? '', found[2] ?? '');
  }
  return keys;
}

export interface RuntimeMember {
  readonly nodeId: number;
  readonly addresses: readonly { readonly link: number; readonly address: string }[];
  readonly joined: boolean;
  /** Null where this version does not say (before 2.3). */
  readonly configVersion: number | null;
}

/**
 * Who was in the ring since this node started. `runtime.members` since 3.1 (as recorded), below
 * `runtime.totem.pg.mrp.srp` before (cmap_keys(8) of 2.x, the object names of 1.x).
 */
export function runtimeMembers(keys: ReadonlyMap<string, string>): RuntimeMember[] {
  const found: RuntimeMember[] = [];
  for (const [key, status] of keys) {
    const match = /^(runtime\.(?:totem\.pg\.mrp\.srp\.)?members\.(\d+))\.status$/.exec(key);
    if (match === null) continue;
    const [, path = '', id = ''] = match;
    const version = Number(keys.get(`${path}.config_version`));
    found.push({
      nodeId: Number(id),
      addresses: [...(keys.get(`${path}.ip`) ?? '').matchAll(/r\((\d+)\) ip\(([^)]*)\)/g)].map((one) => ({
        link: Number(one[1]),
        address: one[2] ?? '',
      })),
      joined: status === 'joined',
      configVersion: Number.isSafeInteger(version) && keys.has(`${path}.config_version`) ? version : null,
    });
  }
  return found.sort((a, b) => a.nodeId - b.nodeId);
}

export interface KnetLink {
  readonly peer: number;
  readonly link: number;
  readonly connected: boolean;
  /** Microseconds; null before the first measurement. */
  readonly latencyUs: number | null;
  readonly latencyMaxUs: number | null;
  /** Bytes of payload that a packet may carry; null while it is not known. */
  readonly mtu: number | null;
  /** How often the link has gone down since it first came up. */
  readonly downs: number;
  readonly sendErrors: number;
}

/** Links to every other node, of the map `stats` (Corosync 3 with knet; cmap_keys(7)). */
export function knetLinks(stats: ReadonlyMap<string, string>, local: number): KnetLink[] {
  const found: KnetLink[] = [];
  for (const [key, connected] of stats) {
    const match = /^(stats\.knet\.node(\d+)\.link(\d+))\.connected$/.exec(key);
    if (match === null || Number(match[2]) === local) continue;
    const [, path = '', peer = '', link = ''] = match;
    const value = (name: string): number => Number(stats.get(`${path}.${name}`) ?? '0');
    if (value('enabled') === 0) continue;
    const measured = value('latency_samples') > 0;
    found.push({
      peer: Number(peer),
      link: Number(link),
      connected: connected === '1',
      latencyUs: measured ? value('latency_ave') : null,
      latencyMaxUs: measured ? value('latency_max') : null,
      mtu: value('mtu') > 0 ? value('mtu') : null,
      // A link begins its life as one that went down (as recorded: 1 on a link that never failed).
      downs: Math.max(0, value('down_count') - 1),
      sendErrors: value('tx_total_errors'),
    });
  }
  return found.sort((a, b) => a.peer - b.peer || a.link - b.link);
}

/** How the ring has fared since this node's Corosync started. */
export interface RingStatistics {
  /** Mean time of one round of the token, in milliseconds; null where it is not told. */
  readonly tokenRoundMs: number | null;
  /** How often the token was lost while the ring was at work. */
  readonly tokenLost: number;
  readonly messagesSent: number;
  readonly messagesReceived: number;
  readonly retransmits: number;
  /** How often a new ring had to be agreed. */
  readonly ringsFormed: number;
}

/** Of the map `stats` (`stats.srp`, 3.1), or of the runtime keys before. Null when neither tells. */
export function ringStatistics(
  stats: ReadonlyMap<string, string>,
  keys: ReadonlyMap<string, string>,
): RingStatistics | null {
  const [from, path] = stats.has('stats.srp.orf_token_rx') ? [stats, 'stats.srp'] : [keys, 'runtime.totem.pg.mrp.srp'];
  if (!from.has(`${path}.orf_token_rx`)) return null;
  const value = (name: string): number => Number(from.get(`${path}.${name}`) ?? '0');
  return {
    tokenRoundMs: from.has(`${path}.mtt_rx_token`) ? value('mtt_rx_token') : null,
    tokenLost: value('operational_token_lost'),
    messagesSent: value('mcast_tx'),
    messagesReceived: value('mcast_rx'),
    retransmits: value('mcast_retx'),
    ringsFormed: value('operational_entered'),
  };
}
