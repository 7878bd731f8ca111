/** Files made from good ones by small accidents, each named by its seed: what people do to a corosync.conf. */
import { KEYS } from '../../agent/conf/keys.ts';

/** A number from 0 up to, not including, `below`. */
export type Pick = (below: number) => number;

/** Numbers from a seed (mulberry32). */
function numbers(seed: number): Pick {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** A file whose first node is called `hostname`, with one to three accidents. */
export function accidentalFile(seed: number, hostname: string): string {
  const pick = numbers(seed);
  const lines = goodFile(pick, hostname);
  for (let count = 1 + pick(3); count > 0; count -= 1) accident(lines, pick);
  return `${lines.join('\n')}\n`;
}

function goodFile(pick: Pick, hostname: string): string[] {
  const transport = one(['knet', 'knet', 'udpu', 'udp'], pick);
  const links = transport === 'knet' ? 1 + pick(3) : 1;
  const nodes = 1 + pick(5);
  const six = pick(6) === 0;
  const lines = ['totem {', 'version: 2', 'cluster_name: diff', 'config_version: 4'];
  if (transport !== 'knet' || pick(2) === 1) lines.push(`transport: ${transport}`);
  if (six && transport === 'udp') lines.push('ip_version: ipv6');
  if (pick(3) === 0) lines.push(`token: ${one(['1000', '3000', '10000'], pick)}`);
  if (pick(4) === 0) lines.push(`consensus: ${one(['3600', '4200', '13000'], pick)}`);
  for (let link = 0; link < links; link += 1) {
    if (pick(2) === 0) continue;
    lines.push('interface {', `linknumber: ${link}`);
    if (pick(2) === 1) lines.push(`mcastport: ${5405 + link * 2}`);
    lines.push('}');
  }
  lines.push('}', 'nodelist {');
  for (let id = 1; id <= nodes; id += 1) {
    lines.push('node {', `name: ${id === 1 ? hostname : `other${id}`}`, `nodeid: ${id}`);
    if (pick(2) === 1) lines.push('quorum_votes: 1');
    for (let link = 0; link < links; link += 1) {
      lines.push(`ring${link}_addr: ${six ? `2001:db8:${link}::${id}` : `10.83.${link}.${id}`}`);
    }
    lines.push('}');
  }
  lines.push('}', 'quorum {', 'provider: corosync_votequorum');
  if (nodes === 2 && pick(2) === 1) lines.push('two_node: 1');
  lines.push('}', 'logging {', 'to_syslog: no', 'debug: off', '}');
  return lines;
}

const one = (words: readonly string[], pick: Pick): string => words[pick(words.length)] ?? '';

const VALUES = [
  ...['0', '1', '2', '7', '8', '9', '-1', '-0', '+3', '29', '30', '31', '100', '101', '125', '126', '255', '256'],
  ...['65535', '65536', '4294967295', '4294967296', '18446744073709551615', '99999999999999999999', ' 5', '0x10'],
  ...['1.5', '1e3', '1x', '1 2', '6 # c', 'yes', 'no', 'on', 'off', 'Yes', 'ON', 'true', '', 'abc', 'a b', '"on"'],
  ...["'1'", 'x{y', '10.83.0.9', '10.83.1.9', 'fd00::1', '224.0.0.1', '239.1.1.1', 'active', 'passive', 'rr'],
  ...['none', 'aes256', 'sha256', 'md5', 'knet', 'udp', 'udpu', 'sctp', 'ipv4', 'ipv6', 'ipv4-6', 'nss', 'openssl'],
  ...['debug', 'trace', 'info', 'err', 'warning', 'warn', 'error', 'daemon', 'local0', 'local8', 'hires', 'zlib'],
  ...['/tmp/x.log', '/nonexistent/x.log', 'corosync_votequorum', 'net', 'lowest'],
];
const LETTERS = [' ', '\t', ':', '{', '}', '#', 'x', ';', '\r', 'é', '.', '"'];

function accident(lines: string[], pick: Pick): void {
  const kind = pick(16);
  if (kind < 7) return addKey(lines, pick);
  const at = pick(lines.length);
  const line = lines[at] ?? '';
  const place = pick(line.length + 1);
  if (kind < 10) lines[at] = line.replace(/:.*/, () => `: ${one(VALUES, pick)}`);
  else if (kind === 10) lines.splice(at, 1);
  else if (kind === 11) lines.splice(at, 0, line);
  else if (kind === 12) lines[at] = line.slice(0, place) + one(LETTERS, pick) + line.slice(place);
  else if (kind === 13) lines[at] = line.slice(0, place) + line.slice(place + 1);
  else if (kind === 14) {
    const [moved = ''] = lines.splice(at, 1);
    lines.splice(pick(lines.length + 1), 0, moved);
  } else if (at + 1 < lines.length) {
    lines[at] = line + one([' ', '', ': '], pick) + lines.splice(at + 1, 1).join('');
  }
}

/** Any known key with any value, in its section or with it. */
function addKey(lines: string[], pick: Pick): void {
  const fact = KEYS[pick(KEYS.length)];
  // Which users, groups and files there are is the machine's business.
  if (fact === undefined || fact.section === 'uidgid' || /^(logfile|state_dir)$/.test(fact.name)) return;
  let value = one(VALUES, pick);
  if (fact.type.kind === 'choice' && pick(2) === 1) value = one(fact.type.values, pick);
  if (fact.type.kind === 'number' && pick(2) === 1) {
    const { min, max } = fact.type;
    value = one([String(min), String(max), String(max + 1), '50', '1000'], pick);
  }
  const path = fact.section.split('.');
  const name = path.at(-1) ?? '';
  const places = openingsOf(lines, path);
  const key = `${fact.name}: ${value}`;
  if (places.length > 0) return void lines.splice((places[pick(places.length)] ?? 0) + 1, 0, key);
  const section = [
    `${name} {`,
    ...(name === 'logger_subsys' && fact.name !== 'subsys' ? ['subsys: QUORUM'] : []),
    key,
    '}',
  ];
  if (path.length === 1) return void lines.push(...section);
  const outer = openingsOf(lines, path.slice(0, -1))[0];
  if (outer !== undefined) lines.splice(outer + 1, 0, ...section);
}

/** Lines on which a section of this path opens. */
function openingsOf(lines: readonly string[], path: readonly string[]): number[] {
  const open: string[] = [];
  return lines.flatMap((line, index) => {
    if (/\{\s*$/.test(line)) {
      open.push(line.split(/[\s{]/)[0] ?? '');
      return open.join('.') === path.join('.') ? [index] : [];
    }
    if (line.trim() === '}') open.pop();
    return [];
  });
}
