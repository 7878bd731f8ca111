/** What is asked for through the mount and is not simply done: locks that are asked for, and corosync.conf. */
import { applyOperation } from '../tree/apply.ts';
import { isLockPath, LockWatch } from '../tree/locks.ts';
import { splitPath } from '../tree/names.ts';
import { Tree } from '../tree/tree.ts';
import { NEVER, ROOT_INODE, type Change, type Errno, type Operation, type TreeNode } from '../tree/types.ts';
import type { Withdraw } from './tree-service.ts';

export const CONF = 'corosync.conf';

export interface GatePort {
  tree(): Tree;
  submit(operation: Operation, done: (errno: Errno | null) => void): Withdraw;
  /** Why this text must not take the place of the present one (null: there is none); null when it may. */
  refusesConf(text: string, present: string | null): string | null;
  /** A text was refused, with the reason. */
  confRefused(reason: string): void;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
}

export class Gate {
  readonly #port: GatePort;
  readonly #locks = new LockWatch();
  #timer: NodeJS.Timeout | null = null;

  constructor(port: GatePort) {
    this.#port = port;
    this.#locks.noteAll(port.tree(), port.now());
  }

  changed({ paths }: Change): void {
    this.#locks.note(this.#port.tree(), paths, this.#port.now());
  }
  replaced(): void {
    this.#locks.noteAll(this.#port.tree(), this.#port.now());
  }
  close(): void {
    clearTimeout(this.#timer ?? undefined);
  }

  /** Submits what may be done; `done` is called at once with the errno of what may not. */
  submit(asked: Operation, done: (errno: Errno | 'EPERM' | null) => void): Withdraw {
    const refuse = (errno: Errno | 'EPERM'): Withdraw => {
      done(errno);
      return () => undefined;
    };
    const operation = this.#lockExpiry(asked);
    if (operation === null) {
      this.#expireLater();
      return refuse('EACCES');
    }
    const text = this.#newConf(operation);
    if (text !== null) {
      const reason = this.#port.refusesConf(text, this.#conf());
      if (reason !== null) {
        this.#port.confRefused(reason);
        // Not EINVAL: mv(1) would say something about subdirectories.
        return refuse('EPERM');
      }
    }
    return this.#port.submit(operation, done);
  }

  /** utime(0) on a lock asks for its expiry (locks.ts); null when it is not due. */
  #lockExpiry(operation: Operation): Operation | null {
    if (operation.kind !== 'setTime' || operation.mtimeS !== 0) return operation;
    const tree = this.#port.tree();
    const node = tree.find(operation.target);
    const path = node.ok ? tree.pathOf(node.value.inode) : null;
    const names = path === null ? null : splitPath(path);
    if (!node.ok || node.value.kind !== 'directory') return operation;
    if (path === null || names === null || !names.ok || !isLockPath(names.value)) return operation;
    return this.#locks.ask(path, node.value.version, this.#port.now());
  }

  #expireLater(): void {
    clearTimeout(this.#timer ?? undefined);
    const deadline = this.#locks.deadline();
    if (deadline === Infinity) return;
    this.#timer = setTimeout(
      () => {
        // Renewed in the meantime, or no quorum: whoever still wants it asks again.
        for (const operation of this.#locks.due(this.#port.now())) this.#port.submit(operation, () => undefined);
        this.#expireLater();
      },
      Math.max(0, deadline - this.#port.now()),
    );
    this.#timer.unref();
  }

  #confNode(): TreeNode | null {
    const found = this.#port.tree().find(CONF);
    return found.ok && found.value.kind === 'file' ? found.value : null;
  }
  #conf(): string | null {
    const node = this.#confNode();
    return node === null ? null : Buffer.from(node.data).toString('utf8');
  }

  /** The text that corosync.conf would have after the operation; null when the operation does not touch it. */
  #newConf(operation: Operation): string | null {
    const node = this.#confNode();
    if (operation.kind === 'rename') {
      const from = this.#port.tree().find(operation.from);
      const isMove = operation.to === CONF && from.ok && from.value.kind === 'file' && from.value.inode !== node?.inode;
      return isMove ? Buffer.from(from.value.data).toString('utf8') : null;
    }
    if (operation.kind !== 'write' && operation.kind !== 'patch' && operation.kind !== 'append') return null;
    if (operation.target !== CONF && (node === null || operation.target !== node.inode)) return null;
    if (operation.kind === 'write') return Buffer.from(operation.data).toString('utf8');
    if (node === null) return null;
    const tree = new Tree();
    tree.put({ ...node, parent: ROOT_INODE, name: CONF });
    const stamp = { inode: node.inode, mtimeS: 0, writer: 0, version: NEVER };
    if (!applyOperation(tree, { ...operation, target: CONF }, stamp).ok) return null;
    const after = tree.find(CONF);
    return after.ok ? Buffer.from(after.value.data).toString('utf8') : null;
  }
}
