/** The clients' actions on a real mount, through a descriptor of it, so that none ever touches what lies below. */
import { open, mkdir, readdir, readFile, rename, rmdir, statfs, type FileHandle } from 'node:fs/promises';
import { constants } from 'node:fs';
import { createHash } from 'node:crypto';
import type { Action, Completed, Final, Outcome, Place, ReadMode } from '../history.ts';
import { composeFile, composeRecord, parseFile, parseRecords } from './values.ts';

const { O_RDONLY, O_DIRECTORY, O_WRONLY, O_TRUNC, O_CREAT, O_EXCL, O_APPEND } = constants;
const FUSE_MAGIC = 0x65735546;
export const FOLDER = 'jepsen';
const MOUNT = '/etc/pve';

/** What a step that came to this has certainly not done. Any other errno leaves it open. */
const NOT_DONE = new Set(['EACCES', 'EEXIST', 'ENOENT', 'EAGAIN', 'ENOSPC', 'ENOTEMPTY', 'EFBIG', 'EPERM', 'ESTALE']);
/** The mount that the descriptor belongs to has ended. */
const GONE = new Set(['ENOTCONN', 'ECONNABORTED', 'ENODEV', 'EBADF']);

/** A step before the one that counts has failed: nothing was done. */
class NotBegun extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

export const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : String(error);

type Done = Pick<Completed, 'type' | 'error' | 'outcome'>;

export class Mount {
  #folder: FileHandle | null = null;
  /** How many mounts have been found so far. */
  count = 0;
  #opening: Promise<void> | null = null;

  /** Never rejects. */
  async run(action: Action, length: number): Promise<Done> {
    try {
      await this.#ensure();
    } catch (error) {
      return { type: 'fail', error: codeOf(error) };
    }
    const mount = this.count;
    try {
      const outcome = await this.#act(action, length);
      return outcome === null ? { type: 'ok' } : { type: 'ok', outcome };
    } catch (error) {
      const code = codeOf(error);
      if (GONE.has(code) && mount === this.count) await this.#forget();
      return { type: error instanceof NotBegun || NOT_DONE.has(code) ? 'fail' : 'info', error: code };
    }
  }

  /** Takes a place in the order and waits for it. */
  async sync(): Promise<void> {
    await this.#ensure();
    await this.#barrier();
  }

  /** Rejects while it is not mounted. */
  #ensure(): Promise<void> {
    if (this.#folder !== null) return Promise.resolve();
    return (this.#opening ??= (async () => {
      try {
        const folder = await open(MOUNT, O_RDONLY | O_DIRECTORY);
        const { type } = await statfs(`/proc/self/fd/${folder.fd}`).catch(async (error: unknown) => {
          await folder.close();
          throw error;
        });
        if (type !== FUSE_MAGIC) {
          await folder.close();
          throw new NotBegun('EUNMOUNTED');
        }
        this.#folder = folder;
        this.count += 1;
      } finally {
        this.#opening = null;
      }
    })());
  }
  async #forget(): Promise<void> {
    const folder = this.#folder;
    this.#folder = null;
    await folder?.close().catch(() => undefined);
  }

  #at(path: string): string {
    if (this.#folder === null) throw new NotBegun('EUNMOUNTED');
    return `/proc/self/fd/${this.#folder.fd}/${path}`;
  }

  #act(action: Action, length: number): Promise<Outcome | null> {
    switch (action.f) {
      case 'write':
        return this.#write(action, length);
      case 'read':
        return this.#text(`${FOLDER}/${action.key}`, action.mode).then((text) => ({
          read: text === null ? null : parseFile(text),
        }));
      case 'append':
        return this.#append(this.#at(`${FOLDER}/${action.key}`), composeRecord(action.value, length));
      case 'readRecords':
        return this.#text(`${FOLDER}/${action.key}`, action.mode).then((text) => ({
          records: parseRecords(text ?? ''),
        }));
      case 'create':
        return this.#create(`${FOLDER}/${action.key}`, action.value);
      case 'lock':
        return mkdir(this.#at(`priv/lock/${action.key}`)).then(() => null);
      case 'unlock':
        return rmdir(this.#at(`priv/lock/${action.key}`)).then(() => null);
      case 'move':
        return rename(this.#at(action.from), this.#at(action.to)).then(() => null);
      case 'clone':
        return this.#create(action.to, 'clone');
      case 'locate':
        return this.#text('.vmlist', action.mode).then((text) => ({ places: placesOf(text ?? '') }));
    }
  }

  async #write({ key, value, way }: Extract<Action, { f: 'write' }>, length: number): Promise<null> {
    const text = composeFile(value, length);
    const path = this.#at(`${FOLDER}/${key}`);
    if (way === 'truncate') {
      const file = await begin(open(path, O_WRONLY | O_TRUNC));
      await inPieces(file, text).catch(closing(file));
      // What was written is to be seen, whole, from here on.
      await file.close();
      return null;
    }
    const beside = this.#at(`${FOLDER}/.${value.replace(/\.\d+$/, '')}`);
    const file = await begin(open(beside, O_WRONLY | O_CREAT | O_TRUNC));
    await begin(inPieces(file, text).catch(closing(file)));
    await begin(file.close());
    await rename(beside, path);
    return null;
  }

  async #append(path: string, record: string): Promise<null> {
    const file = await begin(open(path, O_WRONLY | O_APPEND | O_CREAT));
    await file.write(record).catch(closing(file));
    await file.close().catch(() => undefined);
    return null;
  }

  async #create(path: string, text: string): Promise<Outcome> {
    const file = await open(this.#at(path.startsWith('/') ? path.slice(1) : path), O_WRONLY | O_CREAT | O_EXCL);
    try {
      await file.write(text);
      await file.close();
      return { contents: true };
    } catch {
      await file.close().catch(() => undefined);
      return { contents: false };
    }
  }

  async #barrier(): Promise<void> {
    const file = await open(this.#at('.version'), O_RDONLY);
    try {
      await file.sync();
    } finally {
      await file.close().catch(() => undefined);
    }
  }

  /** Null when there is no such file. */
  async #text(path: string, mode: ReadMode): Promise<string | null> {
    const at = this.#at(path);
    if (mode === 'local') return readWhole(at);
    for (let tried = 0; ; tried += 1) {
      await this.#barrier();
      const text = await readWhole(at);
      if (mode === 'fresh') return text;
      await this.#barrier();
      if ((await readWhole(at)) === text) return text;
      if (tried === 5) throw new NotBegun('ECHANGING');
    }
  }

  /** Everything there is, once the order has been asked. */
  async final(node: string): Promise<Final> {
    await this.sync();
    const registers: Record<string, Final['registers'][string]> = {};
    const logs: Record<string, Final['logs'][string]> = {};
    const created: Record<string, string> = {};
    for (const name of await readdir(this.#at(FOLDER))) {
      if (name.startsWith('.')) continue;
      const text = await readFile(this.#at(`${FOLDER}/${name}`), 'utf8');
      if (name.startsWith('r')) registers[name] = parseFile(text);
      else if (name.startsWith('a')) logs[name] = parseRecords(text);
      else created[name] = text;
    }
    const hash = createHash('sha256');
    const guests: Record<string, Place[]> = {};
    for (const path of (await readdir(this.#at(''), { recursive: true })).sort()) {
      const skip = /^(local|qemu-server|lxc|openvz)(\/|$)/.test(path) || /^\.[a-z_]+$/.test(path);
      if (skip) continue;
      hash.update(`${path}\0`);
      hash.update(await readFile(this.#at(path)).catch((error: unknown) => codeOf(error)));
      const guest = /^nodes\/[^/]+\/(qemu-server|lxc)\/(\d+)\.conf$/.exec(path)?.[2];
      if (guest !== undefined) (guests[guest] ??= []).push(path);
    }
    return { node, registers, logs, created, guests, digest: hash.digest('hex').slice(0, 16) };
  }
}

const begin = <T>(step: Promise<T>): Promise<T> =>
  step.catch((error: unknown) => {
    throw new NotBegun(codeOf(error));
  });

const closing =
  (file: FileHandle) =>
  async (error: unknown): Promise<never> => {
    await file.close().catch(() => undefined);
    throw error;
  };

/** Two writes, so that a reader could see one without the other. */
async function inPieces(file: FileHandle, text: string): Promise<void> {
  const half = text.length >> 1;
  await file.write(text.slice(0, half));
  await file.write(text.slice(half));
}

const ROOM = 1024 * 1024;

async function readWhole(path: string): Promise<string | null> {
  let file: FileHandle;
  try {
    file = await open(path, O_RDONLY);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
  try {
    const buffer = Buffer.alloc(ROOM);
    let size = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, size, ROOM - size);
      size += bytesRead;
      if (bytesRead === 0 || size === ROOM) return buffer.toString('latin1', 0, size);
    }
  } finally {
    await file.close().catch(() => undefined);
  }
}

/** Of every line, so that a guest listed twice is seen twice. */
function placesOf(text: string): Record<string, Place[]> {
  const places: Record<string, Place[]> = {};
  for (const [, id = '', node, type] of text.matchAll(/"(\d+)": \{ "node": "([^"]+)", "type": "([^"]+)"/g))
    (places[id] ??= []).push(`nodes/${node}/${type === 'qemu' ? 'qemu-server' : type}/${id}.conf`);
  return places;
}
