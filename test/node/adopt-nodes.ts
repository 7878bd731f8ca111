/**
 * Hosts for the tests of adoption: namespaces with a real sshd and, where asked for, a real Corosync. Nothing of
 * Ringmaster's is on them; Corosync is started as Debian starts it where there is no systemd.
 */
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostAddress } from '../../electron/host/api.ts';
import { namespaceLab } from '../../electron/lab/namespace/namespace-lab.ts';
import { freeSubnet, processesIn, removeNetwork, nodeNamespace } from '../../electron/lab/namespace/network.ts';
import { must, run, type Ran } from '../../electron/lab/run.ts';
import { claimDirectory, type LabPaths, type LabState, type NodeState } from '../../electron/lab/state.ts';

const asRoot = process.platform === 'linux' && process.getuid?.() === 0;

/** False, or why such hosts cannot be made here: print it as the reason of a skip. */
export const whyNoAdoptNodes = !asRoot
  ? 'hosts in network namespaces need root on Linux'
  : !existsSync('/usr/sbin/corosync')
    ? "Debian's package corosync is not installed"
    : !existsSync('/usr/sbin/sshd')
      ? "Debian's package openssh-server is not installed"
      : false;

export class AdoptNodes {
  readonly paths: LabPaths;
  readonly #directory: string;
  #state: LabState;

  private constructor(directory: string, paths: LabPaths, state: LabState) {
    this.#directory = directory;
    this.paths = paths;
    this.#state = state;
  }

  /** Boots hosts of these names, each with sshd and nothing else. */
  static async make(names: readonly string[]): Promise<AdoptNodes> {
    const directory = mkdtempSync(join(tmpdir(), 'ringmaster-adopt-'));
    const paths = await claimDirectory(directory);
    const network = await freeSubnet(paths.id);
    const nodes = names.map((name, index) => ({ name, free: false, address: `${network}.${index + 1}`, group: 0 }));
    const state: LabState = {
      ...{ version: 1, id: paths.id, kind: 'namespaces', engine: 'corosync', network, port: 22, daemon: [], nodes },
    };
    const made = new AdoptNodes(directory, paths, state);
    try {
      await namespaceLab.prepare(paths, state);
      for (const node of nodes) {
        const etc = join(paths.node(node.name), 'etc');
        mkdirSync(join(etc, 'init.d'), { recursive: true });
        copyFileSync('/etc/init.d/corosync', join(etc, 'init.d/corosync'));
        chmodSync(join(etc, 'init.d/corosync'), 0o755);
        mkdirSync(join(paths.node(node.name), 'var/log/corosync'), { recursive: true });
        await namespaceLab.boot(paths, state, node);
      }
      return made;
    } catch (error) {
      await made.remove();
      throw error;
    }
  }

  node(name: string): NodeState {
    const found = this.#state.nodes.find((node) => node.name === name);
    if (found === undefined) throw new RangeError(`there is no host ${name}`);
    return found;
  }

  address(name: string): string {
    return this.node(name).address;
  }

  /** As a user of the app enters it. */
  host(name: string): HostAddress {
    return { name, address: this.address(name), port: 22, user: 'root', identityFile: this.paths.clientKey };
  }

  /** A file of the host, as this machine sees it. Only what is private to a host: /etc, /var, /root. */
  path(name: string, file: string): string {
    return join(this.paths.node(name), file);
  }

  async on(name: string, script: string): Promise<Ran> {
    const { program, args } = namespaceLab.enter(this.paths, this.#state, this.node(name), ['sh', '-c', script]);
    return run(program, args);
  }

  /** Rejects when the script fails. */
  async run(name: string, script: string): Promise<string> {
    const { program, args } = namespaceLab.enter(this.paths, this.#state, this.node(name), ['sh', '-c', script]);
    return must(program, args);
  }

  /** Puts the file there and starts Corosync. */
  async startCorosync(names: readonly string[], conf: string, authkey: Buffer | null = null): Promise<void> {
    for (const name of names) {
      mkdirSync(this.path(name, 'etc/corosync'), { recursive: true });
      writeFileSync(this.path(name, 'etc/corosync/corosync.conf'), conf);
      if (authkey !== null) writeFileSync(this.path(name, 'etc/corosync/authkey'), authkey, { mode: 0o400 });
    }
    await Promise.all(names.map((name) => this.run(name, 'service corosync start')));
  }

  /** These hosts, and the rest, hear nothing of each other any more; this machine reaches all of them. */
  async cut(names: readonly string[]): Promise<void> {
    const nodes = this.#state.nodes.map((node) => ({ ...node, group: names.includes(node.name) ? 1 : 0 }));
    this.#state = { ...this.#state, nodes };
    await namespaceLab.partition?.(this.#state);
  }

  async remove(): Promise<void> {
    for (const node of this.#state.nodes) {
      await namespaceLab.end(this.paths, node).catch(() => undefined);
      for (const pid of await processesIn(nodeNamespace(this.#state.id, node.name))) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It has ended meanwhile.
        }
      }
    }
    await removeNetwork(this.#state.id);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Waits for a condition; rejects with what was waited for. */
export async function until<T>(
  what: string,
  withinMs: number,
  look: () => Promise<T | null | false> | T | null | false,
): Promise<T> {
  for (const end = Date.now() + withinMs; ; await new Promise((resolve) => setTimeout(resolve, 150))) {
    const found = await look();
    if (found !== null && found !== false) return found;
    if (Date.now() > end) throw new Error(`waited ${withinMs / 1000} s for: ${what}`);
  }
}
