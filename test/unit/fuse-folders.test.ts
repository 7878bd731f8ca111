/** Listings of directories with the kernel's copy of them: which handle may use it, and that no listing is ever wrong. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Folders } from '../../agent/mount/fuse/folders.ts';
import { FOPEN, type DirectoryItem } from '../../agent/mount/fuse/protocol.ts';

const FOLDER = 7;
const PAGE = 4096;
const itemOf = (name: string): DirectoryItem => ({ ino: 8, name, type: 'file' });

/** The items of an answer to READDIR, with the place after each. */
function parse(bytes: Uint8Array): { name: string; next: number }[] {
  const buffer = Buffer.from(bytes);
  const found: { name: string; next: number }[] = [];
  for (let at = 0; at < buffer.length;) {
    const length = buffer.readUInt32LE(at + 16);
    const name = buffer.toString('latin1', at + 24, at + 24 + length);
    found.push({ name, next: Number(buffer.readBigUInt64LE(at + 8)) });
    at += 24 + Math.ceil(length / 8) * 8;
  }
  return found;
}

interface Reader {
  readonly handle: number;
  readonly uses: boolean;
  /** Names that were there from its open on, without a break. */
  readonly stayed: Set<string>;
  readonly seen: string[];
  place: number;
  /** An answer on its way. */
  coming: { name: string; next: number }[] | null;
  ended: boolean;
}

/** What fs/fuse/readdir.c does with its copy: fuse_readdir_cached, fuse_add_dirent_to_cache, fuse_readdir_cache_end. */
class Kernel {
  readonly names: Set<string>;
  readonly folders: Folders;
  readonly readers: Reader[] = [];
  copy: { name: string; next: number }[] = [];
  place = 0;
  whole = false;
  /** Its pages are gone, and it does not know yet. */
  lost = false;

  constructor(names: readonly string[]) {
    this.names = new Set(names);
    this.folders = new Folders(() => [...this.names].map(itemOf));
  }

  open(): void {
    const { handle, flags } = this.folders.open(FOLDER);
    if ((flags & FOPEN.keepCache) === 0) this.drop();
    const uses = (flags & FOPEN.cacheDir) !== 0;
    this.readers.push({ handle, uses, stayed: new Set(this.names), seen: [], place: 0, coming: null, ended: false });
  }

  /** One getdents(2) that returns a few items: begun, or ended when an answer is on its way. */
  step(reader: Reader): void {
    if (reader.ended) return;
    if (reader.coming !== null) return this.#take(reader, reader.coming);
    if (reader.uses && this.whole) {
      if (!this.lost) {
        const from = reader.place === 0 ? 0 : this.copy.findIndex(({ next }) => next === reader.place) + 1;
        return this.#emit(reader, this.copy.slice(from, from + 3));
      }
      this.#reset();
    }
    const page = this.folders.read(reader.handle, reader.place, 100);
    assert.ok(page !== null);
    reader.coming = parse(page);
  }

  close(reader: Reader): void {
    this.folders.close(reader.handle);
    this.readers.splice(this.readers.indexOf(reader), 1);
  }

  /** A change on another node: the tree, then the notification. */
  change(added: string | null, removed: string | null): void {
    if (removed !== null) {
      this.names.delete(removed);
      for (const reader of this.readers) reader.stayed.delete(removed);
    }
    if (added !== null) this.names.add(added);
    this.folders.changed(FOLDER);
    this.drop();
  }

  drop(): void {
    if (this.copy.length > 0) this.lost = true;
  }
  #reset(): void {
    Object.assign(this, { copy: [], place: 0, whole: false, lost: false });
  }

  #take(reader: Reader, items: { name: string; next: number }[]): void {
    reader.coming = null;
    let { place } = reader;
    for (const item of items) {
      if (reader.uses && !this.whole && place === this.place && !this.lost) {
        this.copy.push(item);
        this.place = item.next;
      }
      place = item.next;
    }
    if (items.length === 0 && reader.uses && this.place === place) this.whole = true;
    this.#emit(reader, items);
  }
  #emit(reader: Reader, items: readonly { name: string; next: number }[]): void {
    if (items.length === 0) this.#check(reader);
    for (const { name, next } of items) {
      reader.seen.push(name);
      reader.place = next;
    }
  }
  #check(reader: Reader): void {
    reader.ended = true;
    assert.equal(new Set(reader.seen).size, reader.seen.length, `seen twice: ${reader.seen.join(' ')}`);
    const missed = [...reader.stayed].filter((name) => !reader.seen.includes(name));
    assert.deepEqual(missed, [], 'what was there all the time is in the listing');
  }
}

describe('the kernel and the listing of a directory', () => {
  const flagsOf = (folders: Folders): { handle: number; uses: boolean; keeps: boolean } => {
    const { handle, flags } = folders.open(FOLDER);
    return { handle, uses: (flags & FOPEN.cacheDir) !== 0, keeps: (flags & FOPEN.keepCache) !== 0 };
  };
  const made = (): Folders => new Folders(() => ['a', 'b'].map(itemOf));

  test('who reads it again is served by the kernel alone, until it changes', () => {
    const folders = made();
    const first = flagsOf(folders);
    assert.deepEqual([first.uses, first.keeps], [true, false]);
    folders.read(first.handle, 0, PAGE);
    folders.close(first.handle);
    const second = flagsOf(folders);
    assert.deepEqual([second.uses, second.keeps], [true, true]);
    folders.close(second.handle);
    folders.changed(FOLDER);
    const third = flagsOf(folders);
    assert.deepEqual([third.uses, third.keeps], [true, false]);
  });

  test('a second reader at the same time neither fills the copy nor throws it away', () => {
    const folders = made();
    const first = flagsOf(folders);
    const second = flagsOf(folders);
    assert.deepEqual([second.uses, second.keeps], [false, true]);
    folders.close(first.handle);
    assert.equal(flagsOf(folders).uses, true);
  });

  test('a copy that is in use while the directory changes is not taken for the new one afterwards', () => {
    const folders = made();
    const first = flagsOf(folders);
    folders.read(first.handle, 0, PAGE);
    folders.changed(FOLDER);
    const second = flagsOf(folders);
    folders.read(second.handle, 0, PAGE);
    for (const { handle } of [first, second]) folders.close(handle);
    assert.equal(flagsOf(folders).keeps, false);
  });

  test('half way through, the rest comes from the version that the kernel had', () => {
    const names = ['a', 'b', 'c'];
    const folders = new Folders(() => names.map(itemOf));
    const first = flagsOf(folders);
    folders.read(first.handle, 0, PAGE);
    folders.close(first.handle);
    const second = flagsOf(folders);
    names.shift();
    folders.changed(FOLDER);
    assert.deepEqual(parse(folders.read(second.handle, 1, PAGE) ?? Buffer.alloc(0)), [
      { name: 'b', next: 2 },
      { name: 'c', next: 3 },
    ]);
  });

  test('only whole items are sent, from the first one asked for', () => {
    const folders = new Folders(() => ['a', 'a-longer-name', 'c'].map(itemOf));
    const { handle } = folders.open(FOLDER);
    const names = (offset: number, size: number): string[] =>
      parse(folders.read(handle, offset, size) ?? Buffer.alloc(0)).map(({ name }) => name);
    assert.deepEqual(names(0, 71), ['a']);
    assert.deepEqual(names(0, 72), ['a', 'a-longer-name']);
    assert.deepEqual(names(1, PAGE), ['a-longer-name', 'c']);
    assert.deepEqual(names(3, PAGE), []);
    assert.deepEqual(names(99, PAGE), []);
  });

  test('whatever readers and changes do at once: nothing is seen twice, and nothing that stays is missed', () => {
    const act = fc.oneof(
      { weight: 2, arbitrary: fc.constant({ kind: 'open' } as const) },
      { weight: 12, arbitrary: fc.record({ kind: fc.constant('step' as const), who: fc.nat(7) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('close' as const), who: fc.nat(7) }) },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('change' as const),
          added: fc.option(fc.nat(12)),
          removed: fc.option(fc.nat(12)),
        }),
      },
    );
    const scenario = fc.array(act, { maxLength: 80 });
    fc.assert(
      fc.property(scenario, (acts) => {
        const kernel = new Kernel(['n0', 'n1', 'n2', 'n3', 'n4', 'n5', 'n6']);
        const named = (number: number | null): string | null => (number === null ? null : `n${number}`);
        for (const next of acts) {
          const reader = 'who' in next ? kernel.readers[next.who % Math.max(1, kernel.readers.length)] : undefined;
          if (next.kind === 'open') kernel.open();
          else if (next.kind === 'change') kernel.change(named(next.added), named(next.removed));
          else if (reader !== undefined && next.kind === 'step') kernel.step(reader);
          // A file is not closed while it is read from.
          else if (reader !== undefined && reader.coming === null) kernel.close(reader);
        }
        for (const reader of [...kernel.readers]) {
          while (!reader.ended) kernel.step(reader);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
