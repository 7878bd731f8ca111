/** On a node that is cut off. What the rows need was made before. */
import * as fs from 'node:fs';
import { at, attempt, attempts, modeOf, opened, put, row, text, type Section } from './kit.ts';

/** With quorum: what the rows below find. */
export const prepareNoQuorum: Section = {
  section: 'without quorum (made before)',
  rows: [
    row('a file, a directory, a private one', 'ok', () =>
      attempt(() => {
        put('q', 'before');
        fs.mkdirSync(at('qdir'));
        fs.mkdirSync(at('priv'), { recursive: true });
      }),
    ),
  ],
};

export const noQuorum: Section = {
  section: 'without quorum',
  rows: [
    row('write, ftruncate on a file opened for writing', 'EACCES, EACCES', () =>
      opened('q', 'r+', (fd) =>
        attempts(
          () => fs.writeSync(fd, 'x'),
          () => fs.ftruncateSync(fd, 1),
        ),
      ),
    ),
    row('O_TRUNC open, create, mkdir', 'EACCES, EACCES, EACCES', () =>
      attempts(
        () => put('q', 'x'),
        () => put('new', 'x'),
        () => fs.mkdirSync(at('newdir')),
      ),
    ),
    row('unlink, rmdir, rename, utime', 'EACCES, EACCES, EACCES, EACCES', () =>
      attempts(
        () => fs.unlinkSync(at('q')),
        () => fs.rmdirSync(at('qdir')),
        () => fs.renameSync(at('q'), at('q2')),
        () => fs.utimesSync(at('q'), 5, 5),
      ),
    ),
    row('EEXIST and ENOENT come first', 'EEXIST, ENOENT, ENOENT', () =>
      attempts(
        () => fs.mkdirSync(at('qdir')),
        () => fs.unlinkSync(at('nothing')),
        () => fs.mkdirSync(at('no/thing')),
      ),
    ),
    row('reads; open for writing without truncation', 'before, ok', () =>
      attempts(
        () => text('q'),
        () => opened('q', 'r+', () => undefined),
      ),
    ),
    row('a chmod and a chown that change nothing; .debug', 'ok, ok, ok', () =>
      attempts(
        () => fs.chmodSync(at('q'), 0o640),
        () => fs.chownSync(at('q'), 0, 33),
        () => put('.debug', '0\n'),
      ),
    ),
    row('modes of file, directory, private directory', '0440, 0555, 0500', () =>
      [modeOf('q'), modeOf('qdir'), modeOf('priv')].join(', '),
    ),
    row('the mount itself stays rw', 'true', () => {
      const line = fs
        .readFileSync('/proc/mounts', 'utf8')
        .split('\n')
        .find((each) => each.includes(' /etc/pve '));
      return String(line?.split(' ')[3]?.split(',').includes('rw'));
    }),
  ],
};
