/**
 * Runs inside a lab node, on the agent's own runtime: calls that Node's fs has not, through koffi, and small words
 * for what came of a call. Everything is synchronous: the rows are read from top to bottom.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import { constants as os } from 'node:os';
import type Koffi from 'koffi';

export const ROOT = '/etc/pve';
export const MIB = 1024 * 1024;

/** One row of the table. `run` gives what came of it, in the words of `expected`. */
export interface Row {
  readonly row: string;
  readonly expected: string;
  run(): string;
}
export interface Section {
  readonly section: string;
  readonly rows: readonly Row[];
}
export const row = (name: string, expected: string, run: () => string): Row => ({ row: name, expected, run });

/** `ok`, what the call gave, or the errno it failed with. */
export function attempt(call: () => unknown): string {
  try {
    const value = call();
    return value === undefined ? 'ok' : String(value);
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}
/** Several in a row, each with its outcome. */
export const attempts = (...calls: (() => unknown)[]): string => calls.map(attempt).join(', ');

export const at = (path: string): string => `${ROOT}/${path}`;
export const put = (path: string, data: string | Uint8Array = ''): void => fs.writeFileSync(at(path), data);
export const text = (path: string): string => fs.readFileSync(at(path), 'utf8');
export const modeOf = (path: string): string => (fs.lstatSync(at(path)).mode & 0o7777).toString(8).padStart(4, '0');

/** Opens, calls, closes; an error of the call wins over one of the close. */
export function opened<T>(path: string, flags: string | number, call: (fd: number) => T): T {
  const fd = fs.openSync(at(path), flags, 0o600);
  try {
    return call(fd);
  } finally {
    fs.closeSync(fd);
  }
}

// The runtime of the agent lies beside its koffi; no package of the repository is on the node.
const koffi = createRequire(process.execPath)('koffi') as typeof Koffi;
const libc = koffi.load('libc.so.6');
const names = new Map(Object.entries(os.errno).map(([name, value]) => [value, name]));
// Two names of one number.
names.set(os.errno.EAGAIN, 'EAGAIN');

type Plain = number | string | Uint8Array | null;
/** A call of the C library: its value, or the errno as an error like those of Node's fs. */
function native(prototype: string): (...args: Plain[]) => number {
  const call = libc.func(prototype);
  return (...args) => {
    const value = Number(call(...args));
    if (value >= 0) return value;
    const errno = koffi.errno();
    const code = errno === os.errno.EOPNOTSUPP ? 'ENOTSUP' : (names.get(errno) ?? String(errno));
    throw Object.assign(new Error(code), { code });
  };
}

export const renameat2 = native('int renameat2(int, const char *, int, const char *, unsigned int)');
export const fallocate = native('int fallocate(int, int, long, long)');
export const mkfifo = native('int mkfifo(const char *, int)');
export const setxattr = native('int setxattr(const char *, const char *, const char *, size_t, int)');
export const getxattr = native('long getxattr(const char *, const char *, void *, size_t)');
export const flock = native('int flock(int, int)');
export const mmap = native('long mmap(void *, size_t, int, int, int, long)');
const socket = native('int socket(int, int, int)');
const bind = native('int bind(int, void *, unsigned int)');
const statvfs = native('int statvfs(const char *, _Out_ uint8_t *)');

export const AT_FDCWD = -100;

export function bindUnix(path: string): void {
  const address = Buffer.alloc(110);
  address.writeUInt16LE(1, 0);
  address.write(path, 2);
  const fd = socket(1, 1, 0);
  try {
    bind(fd, address, address.length);
  } finally {
    fs.closeSync(fd);
  }
}

/** f_bsize, f_blocks, f_bfree, f_files, f_namemax (statvfs(3), 64 bits). */
export function volume(): { bsize: number; blocks: number; free: number; files: number; nameMax: number } {
  const out = Buffer.alloc(112);
  statvfs(ROOT, out);
  const word = (index: number): number => Number(out.readBigUInt64LE(index * 8));
  return { bsize: word(0), blocks: word(2), free: word(3), files: word(5), nameMax: word(10) };
}

/** Runs a shell command as another user; its exit code and its last words. */
export function as(user: { uid: number; gid: number }, command: string): string {
  const { uid, gid } = user;
  const { status, stderr } = spawnSync('sh', ['-c', command], { uid, gid, encoding: 'utf8' });
  if (status === 0) return 'ok';
  return /Permission denied/.test(stderr) ? 'EACCES' : `exit ${status}: ${stderr.trim()}`;
}
