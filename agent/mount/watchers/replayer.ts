/**
 * Wakes whoever watches a file or a directory when it was changed elsewhere. Linux has no word by which a file system
 * could say that (FUSE's notifications raise no events), but tells watchers of everything that is done through the
 * mount. So a small process does it once more, and is answered as if it were done (../fuse/replaying.ts). It runs only
 * while somebody watches; nothing waits for it; when it does not answer it is killed and started anew.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { Tree } from '../../tree/tree.ts';
import type { DeviceNumber } from '../fuse/messages.ts';
import { MOST_EVENTS, type RemoteEvent, type Watched } from '../fuse/remote-events.ts';
import { REPLAY_GROUP } from '../fuse/replaying.ts';
import { LOOK_LINE, replayLine, replayProgram } from './replay-programs.ts';

/** One event takes a tenth of a millisecond; it may have to wait for a local change of the same directory. */
const PATIENCE_MS = 2_000;
/** From its end to the next start; twice as long each time, as long as it does nothing. */
const AGAIN_MS = 1_000;
const LONGEST_AGAIN_MS = 300_000;

/** From one word on lost changes to the next. */
const SAY_AGAIN_MS = 60_000;

type Child = ChildProcessByStdio<Writable, Readable, null>;

export interface ReplayerPort {
  readonly at: string;
  readonly device: DeviceNumber;
  tree(): Tree;
  /** To the serving thread, before the process is told. */
  announce(pid: number, event: RemoteEvent | null): void;
  warn(words: string): void;
}

export class Replayer {
  readonly #port: ReplayerPort;
  #queue: RemoteEvent[] = [];
  #child: Child | null = null;
  /** What the process is about; `look`: it only wakes the serving thread. */
  #current: RemoteEvent | 'look' | null = null;
  /** The serving thread may not have seen the last change. */
  #untaken = false;
  #patience: NodeJS.Timeout | null = null;
  #again: NodeJS.Timeout | null = null;
  #pauseMs = AGAIN_MS;
  /** When the next overflow is told of. */
  #sayAgain = 0;
  #wanted = false;
  #hasWarned = false;

  constructor(port: ReplayerPort) {
    this.#port = port;
  }

  /** Somebody watches, or nobody does. */
  watched(watched: Watched): void {
    const before = this.#wanted;
    this.#wanted = watched === 'all' || watched.length > 0;
    if (this.#wanted === before) return;
    if (this.#wanted) this.#start();
    else this.#stop();
  }

  /**
   * Something was changed elsewhere. The serving thread says what that is to watchers (`happened`); where nobody
   * uses the mount it has to be woken for that.
   */
  changed(): void {
    if (!this.#wanted) return;
    this.#untaken = true;
    this.#next();
  }

  happened(events: readonly RemoteEvent[]): void {
    if (!this.#wanted) return;
    for (const event of events) if (!this.#isWaiting(event)) this.#queue.push(event);
    if (this.#queue.length > MOST_EVENTS) this.#overflow();
    this.#next();
  }

  close(): void {
    this.#wanted = false;
    this.#stop();
  }

  #overflow(): void {
    this.#queue = [];
    if (performance.now() < this.#sayAgain) return;
    this.#sayAgain = performance.now() + SAY_AGAIN_MS;
    this.#port.warn('more was changed on other nodes than watchers here could be told of: they miss changes');
  }

  /** A watcher that is told twice of a file reads it twice. */
  #isWaiting({ kind, entry }: RemoteEvent): boolean {
    if (kind !== 'modified' && kind !== 'attributes') return false;
    return this.#queue.some((event) => event.kind === kind && event.entry.inode === entry.inode);
  }

  #start(): void {
    clearTimeout(this.#again ?? undefined);
    if (this.#child !== null || !this.#wanted) return;
    const found = replayProgram();
    if (found === null) {
      if (!this.#hasWarned)
        this.#port.warn('watchers are not told of changes made elsewhere: this node has neither Perl nor Python');
      this.#hasWarned = true;
      return;
    }
    const { at, device } = this.#port;
    const args = [...found.args, at, String(stDev(device))];
    const child = spawn(found.program, args, {
      ...{ cwd: '/', env: { LC_ALL: 'C' }, stdio: ['pipe', 'pipe', 'ignore'] },
      ...{ uid: 0, gid: REPLAY_GROUP },
    });
    this.#child = child;
    child.unref();
    // What it could not take any more is no loss: its end says it.
    child.stdin.on('error', () => undefined);
    child.stdout.on('data', () => this.#done(child));
    const ended = (words: string): void => {
      if (this.#child !== child) return;
      this.#child = null;
      this.#forget();
      if (!this.#wanted) return;
      // Somebody watches again before it had ended for want of watchers.
      if (child.stdin.writableEnded) return this.#start();
      this.#port.warn(`the process that tells watchers of changes made elsewhere ${words}; it is started anew`);
      this.#again = setTimeout(() => this.#start(), this.#pauseMs);
      this.#pauseMs = Math.min(LONGEST_AGAIN_MS, this.#pauseMs * 2);
      this.#again.unref();
    };
    child.once('error', (error) => ended(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => ended(`ended with ${signal ?? `exit code ${code}`}`));
    this.#next();
  }

  #stop(): void {
    clearTimeout(this.#again ?? undefined);
    this.#queue = [];
    // Its next read is its end. One that waits in the mount ends when it is answered.
    this.#child?.stdin.end();
  }

  #next(): void {
    const child = this.#child;
    if (child === null || this.#current !== null) return;
    const { pid } = child;
    for (let event = this.#queue.shift(); event !== undefined; event = this.#queue.shift()) {
      const isThere = event.kind === 'modified' || event.kind === 'attributes';
      const at = isThere ? this.#port.tree().pathOf(event.entry.inode) : null;
      // Removed since: that is told by itself.
      if (pid === undefined || (isThere && at === null)) continue;
      this.#port.announce(pid, event);
      return this.#tell(child, event, replayLine(event, at));
    }
    if (!this.#untaken) return;
    this.#untaken = false;
    this.#tell(child, 'look', LOOK_LINE);
  }

  #tell(child: Child, what: RemoteEvent | 'look', line: Buffer): void {
    this.#current = what;
    child.stdin.write(line);
    this.#patience = setTimeout(() => this.#lose(child), PATIENCE_MS);
    this.#patience.unref();
  }

  #done(child: Child): void {
    if (child !== this.#child) return;
    this.#pauseMs = AGAIN_MS;
    this.#forget();
    this.#next();
  }
  #forget(): void {
    clearTimeout(this.#patience ?? undefined);
    if (this.#current !== null && this.#current !== 'look') this.#port.announce(0, null);
    this.#current = null;
  }

  /** It stays the present one until it is gone: where the mount holds it, a second one would be held too. */
  #lose(child: Child): void {
    this.#queue = [];
    this.#port.warn(`the process that tells watchers of changes made elsewhere has not answered for ${PATIENCE_MS} ms`);
    child.kill('SIGKILL');
  }
}

/** As stat(2) gives it (gnu_dev_makedev); `major` is 0 for a file system without a disk. */
const stDev = ({ major, minor }: DeviceNumber): number =>
  (minor & 0xff) + (major & 0xfff) * 2 ** 8 + (minor & ~0xff) * 2 ** 12;
