/**
 * The small process that does once more what was done elsewhere: in Perl, which every Debian has, or in Python, which
 * every Red Hat has. It reads three fields that end with a zero byte (what, where, where to), and writes a line when it
 * is done. Between two it is in `/`, so that the mount can be taken away; what is not the mount it does not touch.
 */
import { existsSync } from 'node:fs';
import { encodeName } from '../../tree/names.ts';
import type { RemoteEvent } from '../fuse/remote-events.ts';

const PERL = `
use strict; use Fcntl;
$0 = 'pmxcfs-watchers'; $/ = "\\0"; $| = 1;
my ($at, $device) = @ARGV;
my %acts = (
  look => sub { lstat $_[0]; 1 },
  modify => sub { my $f; sysopen($f, $_[0], O_WRONLY | O_TRUNC) && close $f },
  create => sub { my $f; sysopen($f, $_[0], O_WRONLY | O_CREAT | O_EXCL) && close $f },
  touch => sub { utime undef, undef, $_[0] },
  mkdir => sub { mkdir $_[0] },
  unlink => sub { unlink $_[0] },
  rmdir => sub { rmdir $_[0] },
  rename => sub { lstat $_[0]; rename $_[0], $_[1] },
);
while (defined(my $act = <STDIN>)) {
  my ($from, $to) = (scalar <STDIN>, scalar <STDIN>);
  chomp($act, $from, $to);
  my $done = chdir($at) && (stat '.')[0] == $device && $acts{$act}->("./$from", "./$to");
  my $why = $done ? 'done' : "$!";
  chdir '/';
  print "$why\\n";
}`;

const PYTHON = `
import os, sys
at, device = sys.argv[1], int(sys.argv[2])
def close(path, flags): os.close(os.open(path, os.O_WRONLY | flags))
def look(a, b):
    try: os.lstat(a)
    except OSError: pass
def rename(a, b):
    look(a, b)
    os.rename(a, b)
acts = {
  b'look': look,
  b'modify': lambda a, b: close(a, os.O_TRUNC),
  b'create': lambda a, b: close(a, os.O_CREAT | os.O_EXCL),
  b'touch': lambda a, b: os.utime(a),
  b'mkdir': lambda a, b: os.mkdir(a),
  b'unlink': lambda a, b: os.lstat(a) and os.unlink(a),
  b'rmdir': lambda a, b: os.rmdir(a),
  b'rename': rename,
}
came = b''
while True:
    more = os.read(0, 65536)
    if not more: break
    came += more
    while came.count(b'\\0') >= 3:
        act, a, b, came = came.split(b'\\0', 3)
        why = b'done'
        try:
            os.chdir(at)
            if os.stat('.').st_dev != device: raise OSError('not the mount')
            acts[act](b'./' + a, b'./' + b)
        except OSError as error: why = str(error).encode()
        os.chdir('/')
        os.write(1, why + b'\\n')
`;

export const REPLAY_PROGRAMS = [
  { program: '/usr/bin/perl', args: ['-e', PERL] },
  { program: '/usr/bin/python3', args: ['-c', PYTHON] },
  { program: '/usr/libexec/platform-python', args: ['-c', PYTHON] },
] as const;

/** The first that is on this node, or null. It wants the mount's path and its device number (st_dev) besides. */
export const replayProgram = (): { readonly program: string; readonly args: readonly string[] } | null =>
  REPLAY_PROGRAMS.find(({ program }) => existsSync(program)) ?? null;

/** What the process is told. `at` is where the entry is now; null for where it was. */
export function replayLine(event: RemoteEvent, at: string | null): Buffer {
  return lineOf(wordOf(event), at ?? pathOf(event.at.steps), event.kind === 'moved' ? pathOf(event.to.steps) : '');
}

/** Asks for a name that is not there: the serving thread gets a request. */
export const LOOK_LINE = lineOf('look', '.nothing', '');

function lineOf(...fields: readonly [word: string, from: string, to: string]): Buffer {
  return Buffer.concat(fields.flatMap((field) => [encodeName(field), Buffer.alloc(1)]));
}

function wordOf({ kind, entry }: RemoteEvent): string {
  const isFolder = entry.kind === 'directory';
  switch (kind) {
    case 'modified':
      return 'modify';
    case 'attributes':
      return 'touch';
    case 'created':
      return isFolder ? 'mkdir' : 'create';
    case 'removed':
      return isFolder ? 'rmdir' : 'unlink';
    case 'moved':
      return 'rename';
  }
}

const pathOf = (steps: RemoteEvent['at']['steps']): string => steps.map(({ name }) => name).join('/');
