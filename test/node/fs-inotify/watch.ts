/**
 * Runs inside a node: `node watch.ts PATH...` watches each path as inotifywait(1) would, and prints a line for each event:
 * the time in milliseconds since 1970, the path that is watched, the event's words, and the name in it. The first line is
 * its process number and "watching".
 */
import { readSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import type koffiModule from 'koffi';

/** <sys/inotify.h>; not what only reads. */
const WORDS = {
  2: 'MODIFY',
  4: 'ATTRIB',
  8: 'CLOSE_WRITE',
  0x40: 'MOVED_FROM',
  0x80: 'MOVED_TO',
  0x100: 'CREATE',
  0x200: 'DELETE',
  0x400: 'DELETE_SELF',
  0x800: 'MOVE_SELF',
  0x4000: 'OVERFLOW',
  0x8000: 'IGNORED',
  0x40000000: 'DIR',
} as const;
const ASKED = 0xfce;

// The agent's own runtime has koffi beside it.
const koffi = createRequire(process.execPath)('koffi') as typeof koffiModule;
const libc = koffi.load('libc.so.6');
const init = libc.func('int inotify_init1(int)') as (flags: number) => number;
const add = libc.func('int inotify_add_watch(int, const char *, uint32_t)') as (
  fd: number,
  path: string,
  mask: number,
) => number;

const fd = init(0);
const paths = new Map<number, string>();
for (const path of process.argv.slice(2)) {
  const watch = add(fd, path, ASKED);
  if (watch < 0) throw new Error(`${path} cannot be watched: errno ${koffi.errno()}`);
  paths.set(watch, path);
}
// Not process.stdout: what it cannot write at once it writes later, and this thread waits in a system call.
writeSync(1, `${process.pid} watching\n`);

const buffer = Buffer.alloc(64 * 1024);
for (;;) {
  const end = readSync(fd, buffer);
  const now = Date.now();
  for (let at = 0; at < end; at += 16 + buffer.readUInt32LE(at + 12)) {
    const mask = buffer.readUInt32LE(at + 4);
    const words = Object.entries(WORDS).filter(([bit]) => (mask & Number(bit)) !== 0);
    const name = buffer.toString('utf8', at + 16, at + 16 + buffer.readUInt32LE(at + 12)).replace(/\0+$/, '');
    const path = paths.get(buffer.readInt32LE(at)) ?? '?';
    writeSync(1, `${now} ${basename(path)} ${words.map(([, word]) => word).join(',')} ${name}\n`);
  }
}
