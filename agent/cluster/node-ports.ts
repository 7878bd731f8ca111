/** The real edges of the procedures. */
import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isIP, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { eventLog } from '../event-log.ts';
import type { NodeLayout } from '../node-layout.ts';
import { journalOf } from './apply/journal-file.ts';
import type { EngineLink } from './engine-link.ts';
import { nodePackages } from './install/node-packages.ts';
import type { Clock, NetworkPort, NodeFiles, NodePorts } from './ports.ts';
import { openServices } from './services.ts';
import type { TreeLink } from './tree-link.ts';

/** corosync-keygen(8) makes 2048 bits; corosync takes 128 to 4096 bytes. */
const KEY_BYTES = 256;

/** The tree's database and what SQLite keeps beside it. */
const DATABASE = 'config.db';
const DATABASE_PARTS = ['', '-wal', '-shm', '-journal'];

export function nodePorts(layout: NodeLayout, engine: EngineLink, tree: TreeLink): NodePorts {
  return {
    hostname: layout.hostname,
    rootless: layout.root !== '',
    paths: {
      conf: layout.corosyncConf,
      authkey: layout.authkey,
      tree: layout.treeState,
      mount: layout.mountPoint,
    },
    clock: nodeClock,
    files: nodeFiles(layout),
    services: openServices(layout, () => engine.choice()),
    packages: nodePackages(layout),
    engine,
    tree,
    network: localNetwork(layout.root !== ''),
    pid: process.pid,
    onTrial: () => {
      const journal = journalOf(layout);
      return journal === null || journal.givenUp ? null : journal;
    },
    newAuthkey: () => randomBytes(KEY_BYTES).toString('base64'),
    digest: (text) => createHash('sha256').update(text, 'utf8').digest('hex'),
    log: eventLog(layout, 'cluster'),
  };
}

export const nodeClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      return signal?.addEventListener('abort', done);
    }),
};

export function nodeFiles(layout: NodeLayout): NodeFiles {
  const database = join(layout.treeState, DATABASE);
  const removeTree = (): void => DATABASE_PARTS.forEach((part) => rmSync(database + part, { force: true }));
  return {
    readConf: () => readOrNull(layout.corosyncConf)?.toString('utf8') ?? null,
    writeConf: (text) => writeWhole(layout.corosyncConf, Buffer.from(text, 'utf8'), 0o644),
    backUpConf: () => {
      const present = readOrNull(layout.corosyncConf);
      if (present !== null) writeWhole(`${layout.corosyncConf}.bak`, present, 0o644);
    },
    removeConf: () => rmSync(layout.corosyncConf, { force: true }),
    readAuthkey: () => readOrNull(layout.authkey)?.toString('base64') ?? null,
    writeAuthkey: (base64) => writeWhole(layout.authkey, Buffer.from(base64, 'base64'), 0o400),
    removeAuthkey: () => rmSync(layout.authkey, { force: true }),
    setTreeAside: () => {
      if (!existsSync(database)) return null;
      const stamp = new Date().toISOString().replaceAll(':', '').replace(/\..*/, '');
      const copy = `${database}.before-join-${stamp}`;
      moveDatabase(database, copy);
      return basename(copy);
    },
    restoreTree: (copy) => {
      removeTree();
      moveDatabase(join(layout.treeState, basename(copy)), database);
    },
    removeTree,
  };
}

/** With its write-ahead log, which holds the newest transactions. */
function moveDatabase(from: string, to: string): void {
  for (const part of DATABASE_PARTS) if (existsSync(from + part)) renameSync(from + part, to + part);
}

function readOrNull(file: string): Buffer | null {
  try {
    return readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function writeWhole(file: string, data: Buffer, mode: number): void {
  mkdirSync(dirname(file), { recursive: true });
  const partial = `${file}.${process.pid}`;
  writeFileSync(partial, data, { mode, flush: true });
  chmodSync(partial, mode);
  renameSync(partial, file);
}

/** Addresses of this machine's interfaces. */
export const localAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));

export function localNetwork(rootless: boolean): NetworkPort {
  return {
    resolve: async (name) => {
      if (isIP(name) !== 0) return [name];
      try {
        return (await lookup(name, { all: true, order: 'ipv4first' })).map(({ address }) => address);
      } catch {
        return [];
      }
    },
    sourceFor,
    // All of 127/8 is this node's, though the interface names 127.0.0.1 only.
    isLocal: (address) => (rootless && address.startsWith('127.')) || localAddresses().includes(address),
    udpPortTaken: (address, port) =>
      new Promise((resolve) => {
        const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
        socket.once('error', (error) => resolve(error.message));
        socket.bind({ port, address, exclusive: true }, () => socket.close(() => resolve(null)));
      }),
  };
}

/** A connected UDP socket has the address the kernel's routes choose; nothing is sent. */
function sourceFor(address: string): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    const end = (source: string | null): void => {
      socket.close();
      resolve(source);
    };
    socket.once('error', () => end(null));
    socket.connect(5405, address, () => end(socket.address().address));
  });
}
