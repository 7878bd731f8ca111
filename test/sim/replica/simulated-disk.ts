/**
 * What a node's disk holds. Records are written in the order they come; those that come while a commit is under way share
 * the next one, as in production. A kill finds the commit under way done or not done, never half.
 */
import { FRESH_IMAGE, type ReplicaImage, type SessionRow, type StoreRecord } from '../../../agent/replica/types.ts';
import type { NodeId } from '../../../agent/totem/ids.ts';
import type { TreeNode } from '../../../agent/tree/types.ts';

export interface Stored {
  readonly ticket: number;
  readonly record: StoreRecord;
}

export class SimulatedDisk {
  private nodes = new Map<number, TreeNode>();
  private sessions = new Map<NodeId, SessionRow>();
  private rest: Omit<ReplicaImage, 'nodes' | 'sessions'> = FRESH_IMAGE;
  private waiting: Stored[] = [];
  private underWay: Stored[] | null = null;
  /** Names of files that are on it, in the root directory. */
  readonly names = new Set<string>();

  constructor(image: ReplicaImage = FRESH_IMAGE) {
    const { nodes, sessions, ...rest } = image;
    this.nodes = new Map(nodes.map((node) => [node.inode, node]));
    this.sessions = new Map(sessions.map((row) => [row.node, row]));
    this.rest = rest;
  }

  /** Records that wait or are being written. */
  get backlog(): number {
    return this.waiting.length + (this.underWay?.length ?? 0);
  }

  /** True when the disk was idle: then `begin`. */
  add(stored: Stored): boolean {
    this.waiting.push(stored);
    return this.underWay === null;
  }

  /** Takes everything that waits into one commit. */
  begin(): void {
    this.underWay = this.waiting;
    this.waiting = [];
  }

  /** The commit is on stable storage: its last ticket. */
  end(): number {
    let ticket = 0;
    for (const each of this.underWay ?? []) {
      this.apply(each.record);
      ticket = each.ticket;
    }
    this.underWay = null;
    return ticket;
  }
  get hasWaiting(): boolean {
    return this.waiting.length > 0;
  }

  /** The process is gone, or the power. */
  cut(commitWasDone: boolean): void {
    if (commitWasDone) this.end();
    this.underWay = null;
    this.waiting = [];
  }

  image(): ReplicaImage {
    return { ...this.rest, nodes: [...this.nodes.values()], sessions: [...this.sessions.values()] };
  }

  private apply(record: StoreRecord): void {
    switch (record.kind) {
      case 'promise':
        this.rest = { ...this.rest, promised: record.promised };
        return;
      case 'local':
        this.rest = { ...this.rest, localFrom: record.from };
        return;
      case 'epoch': {
        const { branch, lineage, version } = record;
        this.rest = { ...this.rest, branch, lineage, version, localFrom: null };
        return;
      }
      case 'adopt': {
        const { sessions, ...rest } = record.rest;
        for (const inode of record.removed) this.nodes.delete(inode);
        for (const node of record.put) this.nodes.set(node.inode, node);
        this.sessions = new Map(sessions.map((row) => [row.node, row]));
        this.rest = rest;
        this.names.clear();
        for (const { name } of this.nodes.values()) this.names.add(name);
        return;
      }
      case 'operation': {
        for (const inode of record.change.removed) {
          this.names.delete(this.nodes.get(inode)?.name ?? '');
          this.nodes.delete(inode);
        }
        for (const { node } of record.change.put) {
          this.nodes.set(node.inode, node);
          this.names.add(node.name);
        }
        this.sessions.set(record.session.node, record.session);
        this.rest = { ...this.rest, nextInode: record.nextInode, version: record.version };
        return;
      }
    }
  }
}
