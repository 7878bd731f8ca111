/** Sizes and names. */
import * as fs from 'node:fs';
import { at, attempt, attempts, MIB, opened, put, row, text, volume, type Section } from './kit.ts';

const full = (): Buffer => Buffer.alloc(MIB, 'x');
const sizeOf = (path: string): number => fs.statSync(at(path)).size;
const GIB4 = 4 * 1024 ** 3;
/** pwrite(2) at an offset beyond what a small integer holds. */
const pwrite = (path: string, data: string, offset: number): number =>
  opened(path, 'r+', (fd) => fs.writeSync(fd, data, offset));

export const sizes: Section = {
  section: 'sizes and names',
  rows: [
    row('file of 1 MiB', 'ok, 1048576', () =>
      attempts(
        () => put('m', full()),
        () => sizeOf('m'),
      ),
    ),
    row('one byte past 1 MiB by write', 'EFBIG, 1048576', () =>
      attempts(
        () => opened('m', 'a', (fd) => fs.writeSync(fd, 'y')),
        () => sizeOf('m'),
      ),
    ),
    row('one byte past 1 MiB by pwrite', 'EFBIG, 1048576', () =>
      attempts(
        () => pwrite('m', 'y', MIB),
        () => sizeOf('m'),
      ),
    ),
    row('one byte past 1 MiB by truncate', 'EFBIG, 1048576', () =>
      attempts(
        () => fs.truncateSync(at('m'), MIB + 1),
        () => sizeOf('m'),
      ),
    ),
    row('one write(2) of 1 MiB+1', '1048576, 1048576', () =>
      attempts(
        () => opened('n', 'w', (fd) => fs.writeSync(fd, Buffer.alloc(MIB + 1, 'z'))),
        () => sizeOf('n'),
      ),
    ),
    row('pwrite past the end', '1, "a\\u0000\\u0000b"', () => {
      put('hole', 'a');
      return attempts(
        () => pwrite('hole', 'b', 3),
        () => JSON.stringify(text('hole')),
      );
    }),
    row('truncate up: the hole reads as zeros', 'ok, "a\\u0000\\u0000"', () => {
      put('up', 'a');
      return attempts(
        () => fs.truncateSync(at('up'), 3),
        () => JSON.stringify(text('up')),
      );
    }),
    row('an empty file, truncated up and read', 'ok, "\\u0000\\u0000"', () => {
      put('crash');
      return attempts(
        () => fs.truncateSync(at('crash'), 2),
        () => JSON.stringify(text('crash')),
      );
    }),
    row('pwrite at 4 GiB+10', 'EFBIG, 1', () => {
      put('far', 'a');
      return attempts(
        () => pwrite('far', 'b', GIB4 + 10),
        () => sizeOf('far'),
      );
    }),
    row('truncate to 4 GiB+3', 'EFBIG, 1', () =>
      attempts(
        () => fs.truncateSync(at('far'), GIB4 + 3),
        () => sizeOf('far'),
      ),
    ),
    row('statvfs', 'bsize 4096, blocks 32768, files 262144, namemax 255', () => {
      const { bsize, blocks, files, nameMax } = volume();
      return `bsize ${bsize}, blocks ${blocks}, files ${files}, namemax ${nameMax}`;
    }),
    row('a name of 255 bytes, of 256', 'ok, ENAMETOOLONG', () =>
      attempts(
        () => put('n'.repeat(255)),
        () => put('n'.repeat(256)),
      ),
    ),
    ...['new\nline', 'ä€', 'a b', 'a\\b', 'a:b', '*?', '..x', 'a.'].map((name) =>
      row(`the name ${JSON.stringify(name)}`, 'ok, true', () =>
        attempts(
          () => put(name, 'x'),
          () => fs.readdirSync(at('')).includes(name),
        ),
      ),
    ),
    row('a name with the byte 0xff', 'ok, true', () => {
      const path = Buffer.concat([Buffer.from(at('')), Buffer.from([0x62, 0xff])]);
      return attempts(
        () => fs.writeFileSync(path, 'x'),
        () => fs.readdirSync(at(''), { encoding: 'buffer' }).some((name) => name.equals(Buffer.from([0x62, 0xff]))),
      );
    }),
    row('names are case-sensitive', 'ok, one, two', () => {
      put('Case', 'one');
      return attempts(
        () => put('case', 'two'),
        () => text('Case'),
        () => text('case'),
      );
    }),
    row('a nested path of 4032 bytes', 'ok, 4032', () => {
      let path = at('deep');
      fs.mkdirSync(path);
      while (path.length + 252 < 4032) fs.mkdirSync((path += `/${'d'.repeat(251)}`));
      if (path.length < 4031) path += `/${'e'.repeat(4032 - path.length - 1)}`;
      return attempts(
        () => fs.mkdirSync(path, { recursive: true }) && undefined,
        () => fs.statSync(path) && path.length,
      );
    }),
  ],
};

/** On a node of its own, in local mode: 128 MiB over a ring take long. */
export const room: Section = {
  section: 'sizes and names (local mode)',
  rows: [
    row('127 files of 1 MiB', 'ok', () =>
      attempt(() => {
        for (let file = 0; file < 127; file += 1) put(`full-${file}`, full());
      }),
    ),
    row('statvfs says what is left', 'true', () => String(volume().free <= 256 && volume().free > 0)),
    row('two more: 128 MiB are the end', 'ENOSPC', () => {
      put('full-127', Buffer.alloc(MIB / 2));
      return attempt(() => put('full-128', full()));
    }),
    row('what is there stays', '127', () =>
      String(fs.readdirSync(at('')).filter((name) => /^full-/.test(name) && sizeOf(name) === MIB).length),
    ),
    row('after removing them there is room again', 'ok', () => {
      for (const name of fs.readdirSync(at(''))) if (name.startsWith('full-')) fs.unlinkSync(at(name));
      return attempt(() => put('again', full()));
    }),
  ],
};
