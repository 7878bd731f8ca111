/** Virtual files, VMIDs. */
import * as fs from 'node:fs';
import { hostname } from 'node:os';
import { at, attempt, attempts, opened, put, row, text, type Section } from './kit.ts';

const HOST = hostname();
const MEMBERS =
  /^\{\n"nodename": "\w+",\n"version": \d+,\n"cluster": \{ "name": "\w+", "version": \d+, "nodes": 3, "quorate": 1 \},\n"nodelist": \{\n( {2}"\w+": \{ "id": \d+, "online": 1, "ip": "[\d.]+"\}(,\n)?){3}\n {2}\}\n\}\n$/;
const LOG_LINE =
  /^\{"uid": \d+, "time": \d+, "pri": \d, "tag": "\w+", "pid": \d+, "node": "\w+", "user": "root", "msg": "[^\n]*"\},?$/;
interface VersionFile {
  readonly starttime: number;
  readonly clinfo: number;
  readonly vmlist: number;
  readonly 'storage.cfg': number;
  readonly kvstore: Readonly<Record<string, Readonly<Record<string, number>>>>;
}
const version = (): VersionFile => JSON.parse(text('.version')) as VersionFile;
const mkdir = (path: string): void => void fs.mkdirSync(at(path), { recursive: true });
const vmlistVersion = (): number => (JSON.parse(text('.vmlist')) as { version: number }).version;
const move = (from: string, to: string): void => fs.renameSync(at(from), at(to));

export const virtual: Section = {
  section: 'virtual files',
  rows: [
    row('.members, byte for byte', 'true', () => String(MEMBERS.test(text('.members')))),
    row('.vmlist empty, byte for byte', 'true', () => String(/^\{\n"version": \d+\n\n\}\n$/.test(text('.vmlist')))),
    row('.vmlist with a guest, byte for byte', 'true', () => {
      mkdir(`nodes/${HOST}/qemu-server`);
      put(`nodes/${HOST}/qemu-server/100.conf`, 'memory: 512\n');
      const pattern = `^\\{\\n"version": (\\d+),\\n"ids": \\{\\n"100": \\{ "node": "${HOST}", "type": "qemu", "version": \\1 \\}\\}\\n\\n\\}\\n$`;
      return String(new RegExp(pattern).test(text('.vmlist')));
    }),
    row('.vmlist counts a change of a guest', 'true', () => {
      const before = vmlistVersion();
      put(`nodes/${HOST}/qemu-server/100.conf`, 'memory: 1024\n');
      return String(vmlistVersion() > before);
    }),
    row('.clusterlog, byte for byte, of every node', 'true, pve1 pve2 pve3', () => {
      const lines = text('.clusterlog').split('\n');
      const good = lines[0] === '{' && lines[1] === '"data": [' && lines.at(-3) === ']' && lines.at(-2) === '}';
      const entries = (JSON.parse(text('.clusterlog')) as { data: { node: string }[] }).data;
      const nodes = [...new Set(entries.map(({ node }) => node))].sort();
      return `${good && lines.slice(2, -3).every((line) => LOG_LINE.test(line))}, ${nodes.join(' ')}`;
    }),
    row('.version: starttime, clinfo, counters, kvstore of every node', 'true, true, 1, pve1 pve2 pve3', () => {
      const before = version();
      put('storage.cfg', 'x');
      const after = version();
      const grown = after['storage.cfg'] - before['storage.cfg'];
      // A file that is created and then filled changes twice.
      const counted = grown === 1 || grown === 2 ? 1 : grown;
      return [after.starttime > 1_600_000_000, after.clinfo > 0, counted, Object.keys(after.kvstore).join(' ')].join(
        ', ',
      );
    }),
    row('.rrd: a line of every node', 'pve1 pve2 pve3', () =>
      [...text('.rrd').matchAll(/^pve2-node\/(\w+):(?:[\d.]*:){14}[\d.]*$/gm)].map(([, node]) => node).join(' '),
    ),
    row('.debug: 0 at first, takes 0 and 1, nothing else', '"0\\n", ok, "1\\n", ok, EIO, EIO', () =>
      attempts(
        () => JSON.stringify(text('.debug')),
        () => put('.debug', '1\n'),
        () => JSON.stringify(text('.debug')),
        () => put('.debug', '0\n'),
        () => put('.debug', '2\n'),
        () => put('.debug', 'x'),
      ),
    ),
    row('writing .version', 'EIO', () => attempt(() => opened('.version', 'r+', (fd) => fs.writeSync(fd, 'x')))),
    row('local, qemu-server, lxc, openvz lead to this node', 'true', () =>
      String(
        fs.readlinkSync(at('local')) === `nodes/${HOST}` &&
          ['qemu-server', 'lxc', 'openvz'].every((name) => fs.readlinkSync(at(name)) === `nodes/${HOST}/${name}`),
      ),
    ),
    row('a file made through a link', 'ok, x', () =>
      attempts(
        () => put('local/made', 'x'),
        () => text(`nodes/${HOST}/made`),
      ),
    ),
  ],
};

export const guests: Section = {
  section: 'VMIDs',
  rows: [
    row('a second 100.conf by create: other type, other node', 'EEXIST, EEXIST', () => {
      for (const folder of [`nodes/${HOST}/lxc`, 'nodes/y/qemu-server']) mkdir(folder);
      return attempts(
        () => put(`nodes/${HOST}/lxc/100.conf`, 'x'),
        () => put('nodes/y/qemu-server/100.conf', 'x'),
      );
    }),
    row('100.conf.tmp is free; by rename 100.conf is not', 'ok, EEXIST', () =>
      attempts(
        () => put('nodes/y/qemu-server/100.conf.tmp', 'x'),
        () => move('nodes/y/qemu-server/100.conf.tmp', 'nodes/y/qemu-server/100.conf'),
      ),
    ),
    row('a guest moves to another node, another VMID, to lxc', 'ok, ok, ok', () =>
      attempts(
        () => move(`nodes/${HOST}/qemu-server/100.conf`, 'nodes/y/qemu-server/100.conf'),
        () => move('nodes/y/qemu-server/100.conf', 'nodes/y/qemu-server/101.conf'),
        () => move('nodes/y/qemu-server/101.conf', `nodes/${HOST}/lxc/101.conf`),
      ),
    ),
    row('.vmlist follows', `101 ${HOST} lxc`, () => {
      const { ids } = JSON.parse(text('.vmlist')) as { ids: Record<string, { node: string; type: string }> };
      return Object.entries(ids)
        .map(([vmid, { node, type }]) => `${vmid} ${node} ${type}`)
        .join('; ');
    }),
    row('0102.conf and 4294967296.conf are stored and not listed', 'ok, ok, true', () =>
      attempts(
        () => put(`nodes/${HOST}/lxc/0102.conf`, 'x'),
        () => put(`nodes/${HOST}/lxc/4294967296.conf`, 'x'),
        () => !/102|4294967296/.test(text('.vmlist')),
      ),
    ),
  ],
};

export const locks: Section = {
  section: 'locks',
  rows: [
    row('mkdir takes it; who comes second', 'ok, EEXIST', () => {
      mkdir('priv/lock');
      return attempts(
        () => fs.mkdirSync(at('priv/lock/storage')),
        () => fs.mkdirSync(at('priv/lock/storage')),
      );
    }),
    row('utime(now) by the owner’s node renews', 'ok', () => {
      const now = Date.now() / 1000;
      return attempt(() => fs.utimesSync(at('priv/lock/storage'), now, now));
    }),
    row('utime(0, 0) on a live lock', 'EACCES', () => attempt(() => fs.utimesSync(at('priv/lock/storage'), 0, 0))),
  ],
};
