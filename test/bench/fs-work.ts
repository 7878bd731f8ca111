/**
 * Runs inside a node: `node fs-work.ts FOLDER WORK` with WORK as JSON; prints what it came to, as JSON. Each writer is a
 * thread of its own that loops without a break; the process that serves the mount has no part in it.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

export type Work =
  | {
      readonly kind: 'create' | 'overwrite' | 'append' | 'read' | 'stat' | 'readdir';
      readonly writers: number;
      /** Bytes of a file, or of what is added; files of the directory for `readdir`. */
      readonly size: number;
      /** Milliseconds. */
      readonly forMs: number;
      /** Milliseconds before that which do not count: a runtime compiles what is hot, in the daemons and in this client. */
      readonly warmMs: number;
      /** fsync(2) after each write: what a local disk needs to keep it. */
      readonly sync: boolean;
    }
  /** Writes `times` values, one every few milliseconds, and says when each was begun. */
  | { readonly kind: 'tell'; readonly times: number }
  /** Reads without a break until it has seen the last of them, and says when it saw each. */
  | { readonly kind: 'watch'; readonly times: number }
  | { readonly kind: 'fill'; readonly files: number; readonly size: number }
  /** Until the folder has so many entries, or none after 60 s. */
  | { readonly kind: 'await'; readonly files: number };

export interface Rates {
  readonly count: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
}

type Steady = Extract<Work, { forMs: number }>;
const now = (): number => Number(process.hrtime.bigint()) / 1e6;
const sleep = (ms: number): unknown => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/** One action of a writer, prepared. */
function action({ kind, size, sync }: Steady, folder: string, writer: number): () => void {
  const data = Buffer.alloc(size, 'x');
  const own = `${folder}/w${writer}`;
  let serial = 0;
  const put = (path: string, flags: string): void => {
    const fd = openSync(path, flags);
    writeSync(fd, data);
    if (sync) fsyncSync(fd);
    closeSync(fd);
  };
  switch (kind) {
    case 'create':
      return () => put(`${own}.${(serial += 1)}`, 'wx');
    case 'overwrite':
      writeFileSync(own, data);
      return () => put(own, 'w');
    case 'append':
      writeFileSync(own, '');
      return () => {
        // A file has at most 1 MiB.
        if ((serial += 1) % 4_000 === 0) writeFileSync(own, '');
        put(own, 'a');
      };
    case 'read': {
      writeFileSync(own, data);
      const buffer = Buffer.alloc(size + 1);
      return () => {
        const fd = openSync(own, 'r');
        if (readSync(fd, buffer) !== size) throw new Error('a read came short');
        closeSync(fd);
      };
    }
    case 'stat':
      writeFileSync(own, data);
      return () => void statSync(own);
    case 'readdir': {
      const list = `${folder}/list`;
      mkdirSync(list, { recursive: true });
      for (let file = 0; file < size; file += 1)
        if (!existsSync(`${list}/f${file}`)) writeFileSync(`${list}/f${file}`, '');
      return () => {
        if (readdirSync(list).length !== size) throw new Error('a listing came short');
      };
    }
  }
}

/** In a thread: loops until the time is over, and says how long each took. */
function loop(work: Steady, folder: string, writer: number, gate: Int32Array): void {
  const act = action(work, folder, writer);
  Atomics.add(gate, 0, 1);
  Atomics.wait(gate, 1, 0);
  const took: number[] = [];
  const warm = now() + work.warmMs;
  for (const end = warm + work.forMs; now() < end;) {
    const begun = now();
    act();
    if (begun >= warm) took.push(now() - begun);
  }
  parentPort?.postMessage(took);
}

async function steady(work: Steady, folder: string): Promise<Rates> {
  const memory = new SharedArrayBuffer(8);
  const gate = new Int32Array(memory);
  const results = Array.from(
    { length: work.writers },
    (_, writer) =>
      new Promise<number[]>((resolve, reject) => {
        const worker = new Worker(import.meta.filename, { workerData: { work, folder, writer, memory } });
        worker.once('message', resolve);
        worker.once('error', reject);
      }),
  );
  await Promise.race([
    Promise.all(results),
    (async () => {
      while (Atomics.load(gate, 0) < work.writers) await new Promise((resolve) => setTimeout(resolve, 10));
    })(),
  ]);
  Atomics.store(gate, 1, 1);
  Atomics.notify(gate, 1);
  return ratesOf((await Promise.all(results)).flat(), work.forMs);
}

export function ratesOf(took: number[], forMs: number): Rates {
  took.sort((left, right) => left - right);
  const at = (part: number): number => took[Math.min(took.length - 1, Math.floor(took.length * part))] ?? 0;
  const perSecond = (took.length * 1000) / forMs;
  return { count: took.length, perSecond, p50: at(0.5), p99: at(0.99), longest: at(1) };
}

function tell(folder: string, times: number): number[] {
  const path = `${folder}/told`;
  return Array.from({ length: times }, (_, number) => {
    sleep(5);
    const begun = now();
    const fd = openSync(path, 'w');
    writeSync(fd, String(number));
    closeSync(fd);
    return begun;
  });
}

function watch(folder: string, times: number): number[] {
  const path = `${folder}/told`;
  const seen: number[] = [];
  for (const end = now() + 60_000; now() < end;) {
    const number = existsSync(path) ? Number(readFileSync(path, 'utf8')) : -1;
    // What was overwritten before it was seen counts from when its successor was.
    for (let next = seen.length; next <= number; next += 1) seen.push(now());
    if (number === times - 1) break;
    sleep(0.1);
  }
  return seen;
}

/** Lines as configuration has them, half of it what nobody can guess: a state is compressed on its way. */
function configuration(size: number): string {
  let text = '';
  while (text.length < size) text += `scsi0: local-lvm:vm-disk,size=32G,serial=${randomBytes(20).toString('hex')}\n`;
  return text.slice(0, size);
}

function fill(folder: string, files: number, size: number): number {
  mkdirSync(folder, { recursive: true });
  const begun = now();
  for (let file = 0; file < files; file += 1) writeFileSync(`${folder}/f${file}`, configuration(size));
  return now() - begun;
}

function awaitFiles(folder: string, files: number): number {
  for (const end = now() + 60_000; now() < end; sleep(5)) {
    try {
      if (readdirSync(folder).length === files) return now();
    } catch {
      // It is not mounted yet, or not filled.
    }
  }
  throw new Error(`${folder} has not ${files} files after 60 s`);
}

if (isMainThread) {
  const [folder = '', text = ''] = process.argv.slice(2);
  const work = JSON.parse(text) as Work; // written by fs.ts, nobody else
  if (work.kind !== 'await') mkdirSync(folder, { recursive: true });
  const result =
    work.kind === 'tell'
      ? tell(folder, work.times)
      : work.kind === 'watch'
        ? watch(folder, work.times)
        : work.kind === 'fill'
          ? fill(folder, work.files, work.size)
          : work.kind === 'await'
            ? awaitFiles(folder, work.files)
            : await steady(work, folder);
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (work.kind === 'create') for (const name of readdirSync(folder)) rmSync(`${folder}/${name}`, { recursive: true });
} else {
  const { work, folder, writer, memory } = workerData as {
    readonly work: Steady;
    readonly folder: string;
    readonly writer: number;
    readonly memory: SharedArrayBuffer;
  }; // set by steady(), nobody else
  loop(work, folder, writer, new Int32Array(memory));
}
