/**
 * The keys that Corosync makes of a file (cmap_keys(7)), named as it names them. They are what it really runs with,
 * so an apply is read back against them. Held against the keys of 291 real starts of Corosync 3.1.7.
 */
import { keyFact } from './keys.ts';
import { wholeNumber } from './model.ts';
import { multicastGroup } from './multicast.ts';
import { storedEntries } from './stored.ts';
import { parse, type ConfDocument, type Entry } from './syntax.ts';

/** Every key and its value as text. Of several lines for one key the one that Corosync uses. */
export function cmapOf(source: string | ConfDocument): Map<string, string> {
  const document = typeof source === 'string' ? parse(source) : source;
  const keys = new Map<string, string>();
  for (const { entry, path, key, wins } of storedEntries(document)) {
    if (key === null || !wins) continue;
    keys.set(key, path === 'uidgid' ? '1' : valueOf(path, entry));
  }
  return keys;
}

/** A number comes back in its plain form: `007` as 7. */
function valueOf(path: string, { name, value }: Entry): string {
  if (keyFact(path, name)?.type.kind !== 'number') return value;
  const number = wholeNumber(value);
  if (number === null) return value;
  // Of 64 bits and without a sign (measured): -5 is a very high version.
  return path === 'totem' && name === 'config_version' ? String(BigInt.asUintN(64, BigInt(number))) : String(number);
}

/** UDP port of a multicast ring (corosync.conf(5)). */
const MCAST_PORT = 5405;

/** What Corosync adds for the machine that reads the file, its position in the nodelist known. */
export function localKeys(keys: ReadonlyMap<string, string>, position: number): Map<string, string> {
  const added = new Map<string, string>();
  const transport = keys.get('totem.transport') ?? 'knet';
  if (transport !== 'knet') addNodeIds(keys, added);
  for (let link = 0; link < 8; link += 1) {
    const address = keys.get(`nodelist.node.${position}.ring${link}_addr`);
    if (address === undefined) continue;
    added.set(`totem.interface.${link}.bindnetaddr`, address);
    if (transport !== 'udp') continue;
    const port = Number(keys.get(`totem.interface.${link}.mcastport`) ?? '0');
    added.set(`totem.interface.${link}.mcastport`, String(port === 0 ? MCAST_PORT : port));
    const group = keys.get(`totem.interface.${link}.mcastaddr`);
    if (keys.get(`totem.interface.${link}.broadcast`) === 'yes') {
      added.set(`totem.interface.${link}.mcastaddr`, '255.255.255.255');
    } else if (group === undefined) {
      const name = keys.get('totem.cluster_name') ?? '';
      added.set(`totem.interface.${link}.mcastaddr`, multicastGroup(name, link, address.includes(':') ? 6 : 4));
    }
  }
  return added;
}

/** Without knet a node that has no number gets one: its IPv4 address on link 0, as 32 bits. */
function addNodeIds(keys: ReadonlyMap<string, string>, added: Map<string, string>): void {
  for (let position = 0; keys.has(`nodelist.node.${position}.ring0_addr`); position += 1) {
    if (keys.has(`nodelist.node.${position}.nodeid`)) continue;
    const bytes = (keys.get(`nodelist.node.${position}.ring0_addr`) ?? '').split('.').map(Number);
    if (bytes.length !== 4 || !bytes.every((byte) => byte >= 0 && byte < 256)) continue;
    const bits = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
    const clear = keys.get('totem.clear_node_high_bit') === 'yes';
    added.set(`nodelist.node.${position}.nodeid`, String(clear ? bits % 2 ** 31 : bits));
  }
}
