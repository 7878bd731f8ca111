/** I/O on one node. */
import * as fs from 'node:fs';
import { spawnSync } from 'node:child_process';
import { at, attempts, fallocate, flock, mmap, opened, put, row, text, type Section } from './kit.ts';

const { O_DIRECT = 0, O_RDWR, O_RDONLY, O_CREAT } = fs.constants;
const PROT = { read: 1, write: 2 } as const;
const MAP = { shared: 1, private: 2 } as const;
const LOCK = { exclusive: 2, nonBlocking: 4 } as const;

export const io: Section = {
  section: 'input and output',
  rows: [
    row('O_APPEND', 'ok, onetwo', () => {
      put('append', 'one');
      return attempts(
        () => fs.appendFileSync(at('append'), 'two'),
        () => text('append'),
      );
    }),
    row('O_DIRECT, fsync', '5, ok, hello', () =>
      attempts(
        () => opened('direct', O_RDWR | O_CREAT | O_DIRECT, (fd) => fs.writeSync(fd, 'hello')),
        () => opened('direct', O_RDWR, (fd) => fs.fsyncSync(fd)),
        () => text('direct'),
      ),
    ),
    row('fallocate', '0, 8192', () => {
      put('alloc', 'x');
      return attempts(
        () => opened('alloc', 'r+', (fd) => fallocate(fd, 0, 0, 8192)),
        () => fs.statSync(at('alloc')).size,
      );
    }),
    // A shared mapping would show pages of two versions, and one to write to would wait for what waits for it.
    row('mmap: MAP_PRIVATE / MAP_SHARED to read, writable', 'true, ENODEV, ENODEV', () => {
      put('map', 'mapped');
      const map = (flags: number, protection: number, how: number) => (): boolean =>
        opened('map', flags, (fd) => mmap(null, 4096, protection, how, fd, 0) > 0);
      return attempts(
        map(O_RDWR, PROT.read | PROT.write, MAP.private),
        map(O_RDONLY, PROT.read, MAP.shared),
        map(O_RDWR, PROT.read | PROT.write, MAP.shared),
      );
    }),
    row('flock is local to the node: a second holder is kept out', '0, EAGAIN', () => {
      put('lock');
      return opened('lock', 'r+', (one) =>
        opened('lock', 'r+', (two) =>
          attempts(
            () => flock(one, LOCK.exclusive | LOCK.nonBlocking),
            () => flock(two, LOCK.exclusive | LOCK.nonBlocking),
          ),
        ),
      );
    }),
    row('O_EXCL create of what is there', 'EEXIST', () =>
      attempts(() => fs.writeFileSync(at('lock'), 'x', { flag: 'wx' })),
    ),
    row('O_TRUNC: until close a reader has the old contents', 'old, old, old, new', () => {
      put('whole', 'old');
      const seen: string[] = [];
      opened('whole', 'w', (fd) => {
        seen.push(text('whole'));
        fs.writeSync(fd, 'n');
        seen.push(text('whole'));
        fs.writeSync(fd, 'ew');
        seen.push(text('whole'));
      });
      return [...seen, text('whole')].join(', ');
    }),
    row('O_TRUNC and fsync: visible at fsync', 'old, new', () => {
      put('synced', 'old');
      return opened('synced', 'w', (fd) => {
        fs.writeSync(fd, 'new');
        const before = text('synced');
        fs.fsyncSync(fd);
        return `${before}, ${text('synced')}`;
      });
    }),
    row('a shell’s redirection never shows an empty file', 'old, new', () => {
      put('shell', 'old');
      const file = at('shell');
      const script = `exec 3>&1; { cat ${file} >&3; echo new; } > ${file}`;
      const { stdout } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
      return `${stdout}, ${text('shell').trim()}`;
    }),
    row('`: > file` empties it', '0', () => {
      put('empty', 'x');
      spawnSync('bash', ['-c', `: > ${at('empty')}`]);
      return String(fs.statSync(at('empty')).size);
    }),
    row('write a temporary file, rename over it', 'ok, ok, whole', () =>
      attempts(
        () => put('tmp', 'whole'),
        () => fs.renameSync(at('tmp'), at('whole')),
        () => text('whole'),
      ),
    ),
    row('a reader of an open file sees what was written since', 'one, three', () => {
      put('reread', 'one');
      return opened('reread', 'r', (fd) => {
        const read = (): string => {
          const data = Buffer.alloc(64);
          return data.toString('utf8', 0, fs.readSync(fd, data, 0, 64, 0));
        };
        const before = read();
        put('reread', 'three');
        return `${before}, ${read()}`;
      });
    }),
    row('a listing is as it is now', 'false, true, false', () => {
      const listed = (): boolean => fs.readdirSync(at('')).includes('listed');
      const seen = [listed()];
      put('listed');
      seen.push(listed());
      fs.unlinkSync(at('listed'));
      return [...seen, listed()].join(', ');
    }),
  ],
};
