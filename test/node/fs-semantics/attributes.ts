/** Attributes. */
import * as fs from 'node:fs';
import { as, at, attempt, attempts, getxattr, modeOf, put, row, setxattr, type Section } from './kit.ts';

const WWW_DATA = { uid: 33, gid: 33 };
const NOBODY = { uid: 65534, gid: 65534 };
const facts = (path: string): string => {
  const { uid, gid, blksize, blocks } = fs.lstatSync(at(path));
  return `uid ${uid}, gid ${gid}, blksize ${blksize}, blocks ${blocks}`;
};
const mtimeOf = (path: string): number => fs.lstatSync(at(path)).mtimeMs;

export const attributes: Section = {
  section: 'attributes',
  rows: [
    row('all entries', 'uid 0, gid 33, blksize 4096, blocks 2', () => {
      put('a', 'x'.repeat(4097));
      return facts('a');
    }),
    row(
      'virtual files and links too',
      'uid 0, gid 33, blksize 4096, blocks 1; uid 0, gid 33, blksize 4096, blocks 1',
      () => `${facts('.members')}; ${facts('local')}`,
    ),
    row('file / directory / priv file / priv directory', '0640, 0755, 0600, 0700', () => {
      fs.mkdirSync(at('adir'));
      fs.mkdirSync(at('priv'), { recursive: true });
      put('priv/a', 'x');
      return [modeOf('a'), modeOf('adir'), modeOf('priv/a'), modeOf('priv')].join(', ');
    }),
    row('nodes/<name>/priv likewise', '0755, 0700, 0600', () => {
      fs.mkdirSync(at('nodes/x/priv'), { recursive: true });
      put('nodes/x/priv/key', 'x');
      return [modeOf('nodes/x'), modeOf('nodes/x/priv'), modeOf('nodes/x/priv/key')].join(', ');
    }),
    row('links / virtual files / .debug, mtime 0', '0755, 0440, 0640, 0', () =>
      [modeOf('local'), modeOf('.version'), modeOf('.debug'), mtimeOf('.version')].join(', '),
    ),
    row('chmod to what it is / to something else', 'ok, EPERM, ok, EPERM', () =>
      attempts(
        () => fs.chmodSync(at('a'), 0o640),
        () => fs.chmodSync(at('a'), 0o644),
        () => fs.chmodSync(at('priv'), 0o700),
        () => fs.chmodSync(at('priv'), 0o755),
      ),
    ),
    row('chown 0:33, -1:33, 0:-1 / 1:33, 0:0', 'ok, ok, ok, EPERM, EPERM', () =>
      attempts(
        () => fs.chownSync(at('a'), 0, 33),
        () => fs.chownSync(at('a'), -1, 33),
        () => fs.chownSync(at('a'), 0, -1),
        () => fs.chownSync(at('a'), 1, 33),
        () => fs.chownSync(at('a'), 0, 0),
      ),
    ),
    row('utime: whole seconds, atime = mtime = ctime', 'ok, 1000000000000 1000000000000 1000000000000', () =>
      attempts(
        () => fs.utimesSync(at('a'), 5, 1_000_000_000.7),
        () => {
          const { atimeMs, mtimeMs, ctimeMs } = fs.statSync(at('a'));
          return `${atimeMs} ${mtimeMs} ${ctimeMs}`;
        },
      ),
    ),
    row('utime on the root, .version, local', 'EACCES, EACCES, EACCES', () =>
      attempts(
        () => fs.utimesSync(at(''), 5, 5),
        () => fs.utimesSync(at('.version'), 5, 5),
        () => fs.lutimesSync(at('local'), 5, 5),
      ),
    ),
    row('xattr: set, get', 'ENOTSUP, ENOTSUP', () =>
      attempts(
        () => setxattr(at('a'), 'user.x', 'y', 1, 0),
        () => getxattr(at('a'), 'user.x', Buffer.alloc(8), 8),
      ),
    ),
    row('group www-data reads normal files', 'ok', () => as(WWW_DATA, `cat ${at('a')}`)),
    row('group www-data: write; priv', 'EACCES, EACCES', () =>
      [as(WWW_DATA, `echo x >> ${at('a')}`), as(WWW_DATA, `cat ${at('priv/a')}`)].join(', '),
    ),
    row('others: list the root; a directory; read a file', 'ok, EACCES, EACCES', () =>
      [as(NOBODY, `ls ${at('')}`), as(NOBODY, `ls ${at('adir')}`), as(NOBODY, `cat ${at('a')}`)].join(', '),
    ),
    row('a mtime that nobody set is now', 'true', () => {
      put('new');
      return attempt(() => Math.abs(mtimeOf('new') - Date.now()) < 5_000);
    }),
  ],
};
