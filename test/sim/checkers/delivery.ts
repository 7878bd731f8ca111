/**
 * Invariant 3: a node delivers what it said itself, nothing twice, nothing that nobody said, nothing damaged, and what
 * one node said in the order in which it was said.
 */
import type { NodeId } from '../../../agent/totem/ids.ts';
import { showMessage, type Message } from '../messages.ts';
import type { Checker, Report, View } from './checker.ts';

export class Delivery implements Checker {
  readonly invariant = 'delivery';
  private readonly report: Report;
  private readonly said_ = new Map<number, Uint8Array>();
  /** What running nodes said in their present lives and have not delivered to themselves. */
  private readonly open = new Map<NodeId, Map<number, Message>>();
  private readonly taken = new Map<NodeId, Set<number>>();
  private readonly lastOf = new Map<NodeId, Map<NodeId, Message>>();
  private readonly hasView = new Set<NodeId>();

  constructor(report: Report) {
    this.report = report;
  }

  started(node: NodeId): void {
    this.open.set(node, new Map());
    this.taken.set(node, new Set());
    this.lastOf.set(node, new Map());
    this.hasView.delete(node);
  }
  stopped(node: NodeId): void {
    this.open.delete(node);
  }

  said(message: Message, payload: Uint8Array): void {
    this.said_.set(message.id, payload);
    this.open.get(message.sender)?.set(message.id, message);
  }

  view(node: NodeId, { regular }: View): void {
    if (regular) this.hasView.add(node);
  }

  delivered(node: NodeId, from: NodeId, message: Message, payload: Uint8Array): void {
    const wrong = this.whatIsWrong(node, from, message, payload);
    if (wrong !== null) this.report(this.invariant, `node ${node} delivered ${showMessage(message)} ${wrong}`);
    this.taken.get(node)?.add(message.id);
    this.lastOf.get(node)?.set(message.sender, message);
    if (node === message.sender) this.open.get(node)?.delete(message.id);
  }

  isHealed(running: readonly NodeId[]): boolean {
    return running.every((node) => (this.open.get(node)?.size ?? 0) === 0);
  }

  /** Self delivery, once there was time for it. */
  healed(running: readonly NodeId[]): void {
    for (const node of running) {
      const [first] = this.open.get(node)?.values() ?? [];
      if (first !== undefined)
        this.report(this.invariant, `node ${node} never delivered its own ${showMessage(first)}`);
    }
  }

  private whatIsWrong(node: NodeId, from: NodeId, message: Message, payload: Uint8Array): string | null {
    const original = this.said_.get(message.id);
    if (original === undefined) return 'that nobody said';
    if (original !== payload && Buffer.compare(original, payload) !== 0) return 'damaged';
    if (from !== message.sender) return `as a message of node ${from}`;
    if (this.taken.get(node)?.has(message.id) === true) return 'twice';
    if (!this.hasView.has(node)) return 'before its first view';
    const last = this.lastOf.get(node)?.get(message.sender);
    if (last !== undefined && last.id > message.id) return `after ${showMessage(last)}`;
    return null;
  }
}
