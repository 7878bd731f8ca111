/** Directories, rename, unlink. */
import * as fs from 'node:fs';
import {
  AT_FDCWD,
  at,
  attempt,
  attempts,
  bindUnix,
  mkfifo,
  modeOf,
  opened,
  put,
  renameat2,
  row,
  text,
  type Section,
} from './kit.ts';

const O_TMPFILE = 0o20000000 | fs.constants.O_DIRECTORY;
const NOREPLACE = 1;
const EXCHANGE = 2;
const move = (from: string, to: string): void => fs.renameSync(at(from), at(to));
const mkdir = (path: string): void => fs.mkdirSync(at(path));

export const directories: Section = {
  section: 'directories, rename, unlink',
  rows: [
    row('mkdir and create in the root; the requested mode is ignored', 'ok, ok, 0755, 0640', () =>
      attempts(
        () => fs.mkdirSync(at('d'), 0o700),
        () => fs.writeFileSync(at('f'), 'one', { mode: 0o777 }),
        () => modeOf('d'),
        () => modeOf('f'),
      ),
    ),
    row('mkdir existing / parent missing / below a file', 'EEXIST, ENOENT, ENOTDIR', () =>
      attempts(
        () => mkdir('d'),
        () => mkdir('no/d'),
        () => mkdir('f/d'),
      ),
    ),
    row('rmdir non-empty; unlink a directory; rmdir a file', 'ENOTEMPTY, EISDIR, ENOTDIR', () => {
      put('d/f', 'x');
      return attempts(
        () => fs.rmdirSync(at('d')),
        () => fs.unlinkSync(at('d')),
        () => fs.rmdirSync(at('f')),
      );
    }),
    row('rename file over file; across directories; onto itself', 'ok, ok, ok, one', () => {
      put('g', 'two');
      return attempts(
        () => move('f', 'g'),
        () => move('g', 'd/g'),
        () => move('d/g', 'd/g'),
        () => text('d/g'),
      );
    }),
    row('rename an empty directory; over an empty directory', 'ok, ok', () => {
      mkdir('e1');
      mkdir('e2');
      return attempts(
        () => move('e1', 'e3'),
        () => move('e3', 'e2'),
      );
    }),
    row('rename a non-empty directory; a directory over a non-empty one', 'ENOTEMPTY, ENOTEMPTY', () =>
      attempts(
        () => move('d', 'd2'),
        () => move('e2', 'd'),
      ),
    ),
    row('file over directory / directory over file / directory into itself', 'EISDIR, ENOTDIR, EINVAL', () => {
      put('h');
      return attempts(
        () => move('h', 'e2'),
        () => move('e2', 'h'),
        () => move('e2', 'e2/x'),
      );
    }),
    row('renameat2 NOREPLACE over something, over nothing (ours); EXCHANGE', 'EEXIST, 0, EINVAL', () =>
      attempts(
        () => renameat2(AT_FDCWD, at('h'), AT_FDCWD, at('d/g'), NOREPLACE),
        () => renameat2(AT_FDCWD, at('h'), AT_FDCWD, at('h2'), NOREPLACE),
        () => renameat2(AT_FDCWD, at('h2'), AT_FDCWD, at('d/g'), EXCHANGE),
      ),
    ),
    row('rename from another file system', 'EXDEV', () => {
      fs.writeFileSync('/tmp/other', 'x');
      return attempt(() => fs.renameSync('/tmp/other', at('other')));
    }),
    row('rename into priv/', 'ok, 0600', () => {
      mkdir('priv');
      return attempts(
        () => move('h2', 'priv/h'),
        () => modeOf('priv/h'),
      );
    }),
    row('rename over .version; rename, unlink local; unlink .members', 'EACCES, EACCES, EACCES, EACCES', () =>
      attempts(
        () => move('d/g', '.version'),
        () => move('local', 'x'),
        () => fs.unlinkSync(at('local')),
        () => fs.unlinkSync(at('.members')),
      ),
    ),
    row(
      'unlink while open: the handle keeps working, and nothing hidden is seen',
      'ok, kept, 4, keptmore, true, ENOENT',
      () => {
        put('open', 'kept');
        return opened('open', 'r+', (fd) =>
          attempts(
            () => fs.unlinkSync(at('open')),
            () => fs.readFileSync(fd, 'utf8'),
            () => fs.writeSync(fd, 'more', 4),
            () => {
              const data = Buffer.alloc(64);
              return data.toString('utf8', 0, fs.readSync(fd, data, 0, 64, 0));
            },
            () => !fs.readdirSync(at('')).some((name) => name.startsWith('.fuse')),
            () => text('open'),
          ),
        );
      },
    ),
    row('renamed over while open: the handle still has the old file', 'ok, old, new', () => {
      put('target', 'old');
      put('source', 'new');
      return opened('target', 'r', (fd) =>
        attempts(
          () => move('source', 'target'),
          () => fs.readFileSync(fd, 'utf8'),
          () => text('target'),
        ),
      );
    }),
    row('symlink, mkfifo, unix socket', 'ENOSYS, ENOSYS, ENOSYS', () =>
      attempts(
        () => fs.symlinkSync('f', at('link')),
        () => mkfifo(at('fifo'), 0o600),
        () => bindUnix(at('sock')),
      ),
    ),
    row('hard link / O_TMPFILE', 'EPERM, ENOTSUP', () =>
      attempts(
        () => fs.linkSync(at('d/g'), at('hard')),
        () => fs.closeSync(fs.openSync(at(''), O_TMPFILE | fs.constants.O_RDWR, 0o600)),
      ),
    ),
  ],
};
