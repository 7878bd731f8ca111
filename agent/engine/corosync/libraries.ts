/**
 * Corosync's own client libraries (libcpg 4, libvotequorum 8, libquorum 5, libcmap 4, libcfg 7), called through koffi.
 * Signatures and constants from corosync's public headers (cpg.h, quorum.h, votequorum.h, cmap.h, cfg.h).
 */
import { CS, onThread, type Handle, type Library } from './corosync-calls.ts';
import { cmapOf, type Cmap } from './library-cmap.ts';
import { cpgOf, type Cpg } from './library-cpg.ts';
import { pollingOf, type Polling } from './library-poll.ts';
import { quorumOf, votesOf, type Quorum, type Votes } from './library-quorum.ts';

export { CS, csError } from './corosync-calls.ts';

export interface Corosync extends Polling {
  readonly cpg: Cpg;
  readonly quorum: Quorum;
  readonly votes: Votes;
  readonly cmap: Cmap;
  /** corosync-cfgtool -R: has every node read its file. Resolves with a code (CS). */
  reload(): Promise<number>;
}

let loaded: Promise<Corosync> | null = null;

/** Loads the libraries, once in a process. Rejects with the name of the package that is missing. */
export async function loadCorosync(): Promise<Corosync> {
  loaded ??= load();
  try {
    return await loaded;
  } catch (error) {
    // The package may be installed before the next try.
    loaded = null;
    throw error;
  }
}

async function load(): Promise<Corosync> {
  const koffi = (await import('koffi')).default;
  const open = (file: string, debianPackage: string): Library => {
    try {
      return koffi.load(file);
    } catch {
      throw new Error(`${file} is not on this node: install Debian's corosync (${debianPackage})`);
    }
  };
  // All of them first: types have names in koffi, and a second try may not name them anew.
  const cpg = open('libcpg.so.4', 'libcpg4');
  const quorum = open('libquorum.so.5', 'libquorum5');
  const votes = open('libvotequorum.so.8', 'libvotequorum8');
  const cmap = open('libcmap.so.4', 'libcmap4');
  const cfg = open('libcfg.so.7', 'libcfg7');
  return {
    cpg: cpgOf(koffi, cpg),
    quorum: quorumOf(koffi, quorum),
    votes: votesOf(koffi, votes),
    cmap: cmapOf(koffi, cmap),
    reload: reloadOf(cfg),
    ...pollingOf(koffi),
  };
}

function reloadOf(library: Library): () => Promise<number> {
  const initialize = library.func('int corosync_cfg_initialize(_Out_ uint64_t *, void *)');
  const finalize = library.func('int corosync_cfg_finalize(uint64_t)');
  const reload = library.func('int corosync_cfg_reload_config(uint64_t)');
  return async () => {
    const handle: [Handle] = [0n];
    const code = initialize(handle, null) as number;
    if (code !== CS.ok) return code;
    try {
      return await onThread(reload, handle[0]);
    } finally {
      finalize(handle[0]);
    }
  };
}
