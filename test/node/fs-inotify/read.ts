/**
 * Runs inside a node: `node read.ts FOLDER MS` reads without a break what another node changes, and prints as JSON how
 * often it looked and what it saw that never was: `steady` is always there and whole, and its number only grows; each of
 * e0 to e39 comes once and goes once.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs';

const [folder = '', forMs = '0'] = process.argv.slice(2);
const faults: string[] = [];
const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '?');

let last = -1;
let gone = 0;
function readSteady(): void {
  try {
    const text = readFileSync(`${folder}/steady`, 'utf8');
    const number = Number(/^(\d+) y{300}\n$/.exec(text)?.[1] ?? NaN);
    if (!(number >= last)) faults.push(`read ${JSON.stringify(text.slice(0, 20))} of ${text.length} after ${last}`);
    else last = number;
    // By its name while it is not open here: to a process that holds a file that is gone, its name may mean that one.
    const sizes = [statSync(`${folder}/steady`).size];
    const fd = openSync(`${folder}/steady`, 'r');
    try {
      sizes.push(readSync(fd, Buffer.alloc(400)), fstatSync(fd).size);
    } finally {
      closeSync(fd);
    }
    // A version later or earlier, but never without contents.
    for (const size of sizes) if (size < 303 || size > 308) faults.push(`steady has ${size} bytes`);
  } catch (error) {
    // Another node put a new file in the place of the one that is open here: that one is gone (pmxcfs.md), by its open
    // file and not by its name.
    const syscall = error instanceof Error && 'syscall' in error ? error.syscall : '';
    if (codeOf(error) === 'ENOENT' && (syscall === 'fstat' || syscall === 'read')) gone += 1;
    else faults.push(`steady: ${String(error)}`);
  }
}

const stages = new Map<string, 'before' | 'there' | 'after'>();
function lookAt(name: string): void {
  let isThere = true;
  try {
    statSync(`${folder}/${name}`);
  } catch (error) {
    isThere = false;
    if (codeOf(error) !== 'ENOENT') faults.push(`${name}: ${String(error)}`);
  }
  const stage = stages.get(name) ?? 'before';
  if (isThere && stage === 'after') faults.push(`${name} was gone and is back`);
  if (isThere && stage === 'before') stages.set(name, 'there');
  if (!isThere && stage === 'there') stages.set(name, 'after');
}

let rounds = 0;
for (const end = Date.now() + Number(forMs); Date.now() < end; rounds += 1) {
  readSteady();
  for (let number = 0; number < 40; number += 1) lookAt(`e${number}`);
}
process.stdout.write(JSON.stringify({ rounds, gone, last, seen: stages.size, faults: faults.slice(0, 20) }));
