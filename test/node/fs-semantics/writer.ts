/**
 * Runs inside a node, one half of a row that takes two: `node writer.ts KIND PATH [COUNT]`. Prints `ready`, waits
 * for a line on standard input where it has to, and prints one JSON document with what came of it.
 */
import * as fs from 'node:fs';
import { attempt, attempts, flock } from './kit.ts';

const [kind = '', path = '', argument = '0'] = process.argv.slice(2);
const count = Number(argument);

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Blocks until the test says so. */
function go(): void {
  process.stdout.write('ready\n');
  const line = Buffer.alloc(16);
  fs.readSync(0, line);
}

/** Contents whose every byte tells which writing it belongs to. */
const contents = (index: number, size: number): string => String.fromCharCode(97 + (index % 26)).repeat(size);

const kinds: Readonly<Record<string, () => void>> = {
  append: () => {
    go();
    for (let index = 0; index < count; index += 1) fs.appendFileSync(path, `${process.pid}-${index}\n`);
    say('done');
  },
  /** COUNT names, each made by whoever is first. */
  exclusive: () => {
    go();
    const won: number[] = [];
    const errors = new Set<string>();
    for (let index = 0; index < count; index += 1) {
      const outcome = attempt(() => {
        if (index % 2 === 0) fs.closeSync(fs.openSync(`${path}/${index}`, 'wx'));
        else fs.mkdirSync(`${path}/${index}`);
      });
      if (outcome === 'ok') won.push(index);
      else errors.add(outcome);
    }
    say({ won, errors: [...errors] });
  },
  /** Overwrites with O_TRUNC until standard input says stop; sizes change all the time. */
  overwrite: () => {
    go();
    fs.writeFileSync(`${path}.stop`, '');
    let index = 0;
    for (; fs.existsSync(`${path}.stop`); index += 1)
      fs.writeFileSync(path, contents(index, 100 + ((index * 37) % 9000)));
    say({ written: index });
  },
  /** Reads COUNT times, in one go and by an open descriptor in small pieces; counts what is torn. */
  read: () => {
    go();
    let [torn, empty] = [0, 0];
    const look = (data: string): void => {
      if (data === '') empty += 1;
      else if (data !== data.charAt(0).repeat(data.length) || data.length < 100) torn += 1;
    };
    for (let index = 0; index < count; index += 1) look(fs.readFileSync(path, 'latin1'));
    say({ torn, empty });
  },
  /** Holds the file open while the test does something elsewhere. */
  hold: () => {
    const fd = fs.openSync(path, 'r+');
    const data = Buffer.alloc(16);
    fs.readSync(fd, data, 0, 16, 0);
    go();
    say(
      attempts(
        () => fs.readSync(fd, data, 0, 16, 0),
        () => fs.writeSync(fd, 'x'),
        () => fs.fstatSync(fd).size,
      ),
    );
  },
  /** Holds the file open for writing, then writes. */
  write: () => {
    const fd = fs.openSync(path, 'r+');
    go();
    const begun = Date.now();
    say({ outcome: attempt(() => fs.writeSync(fd, 'x')), tookMs: Date.now() - begun });
  },
  lock: () => {
    const fd = fs.openSync(path, 'r+');
    const outcome = attempt(() => flock(fd, 2 | 4));
    go();
    say(outcome);
  },
  /** Watches a directory, and says what it saw until the test says stop. */
  watch: () => {
    const seen: string[] = [];
    fs.watch(path, (event, name) => void seen.push(`${event} ${name ?? ''}`));
    process.stdout.write('ready\n');
    process.stdin.once('data', () => {
      say(seen);
      process.exit(0);
    });
  },
  /** How often a second: reads of 200 bytes, stats, listings of the directory. */
  speed: () => {
    go();
    const rate = (call: () => void): number => {
      const begun = performance.now();
      let done = 0;
      for (; performance.now() - begun < count; done += 1) call();
      return Math.round((done * 1000) / (performance.now() - begun));
    };
    const fd = fs.openSync(`${path}/0`, 'r');
    const data = Buffer.alloc(4096);
    say({
      openReadClose: rate(() => void fs.readFileSync(`${path}/0`)),
      readOpen: rate(() => void fs.readSync(fd, data, 0, 4096, 0)),
      stat: rate(() => void fs.statSync(`${path}/1`)),
      missing: rate(() => void fs.existsSync(`${path}/missing`)),
      readdir: rate(() => void fs.readdirSync(path)),
    });
  },
};

const run = kinds[kind];
if (run === undefined) throw new Error(`there is no kind ${kind}`);
run();
