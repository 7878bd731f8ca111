/** The invariants of DESIGN section 2, watched from outside: 1 order, 2 virtual synchrony, 3 delivery, 4 views. */
import type { NodeId, RingId } from '../../agent/totem/ids.ts';

interface Stay {
  readonly ring: string;
  /** Everything delivered between this regular view and the next. */
  readonly delivered: string[];
}

interface Watched {
  stay: Stay | null;
  members: readonly NodeId[];
  readonly everDelivered: Set<string>;
  readonly rings: Set<string>;
}

export class Checkers {
  readonly breaches: string[] = [];
  private readonly nodes = new Map<NodeId, Watched>();
  private readonly said_ = new Set<string>();
  private readonly membersOf = new Map<string, string>();
  /** Per move from one ring to another: what those who made it delivered in the first. */
  private readonly moves = new Map<string, { readonly node: NodeId; readonly delivered: readonly string[] }>();
  private readonly stays = new Map<string, Stay[]>();

  started(node: NodeId): void {
    const before = this.nodes.get(node);
    this.nodes.set(node, { stay: null, members: [], everDelivered: new Set(), rings: before?.rings ?? new Set() });
  }
  crashed(node: NodeId): void {
    const watched = this.nodes.get(node);
    if (watched !== undefined) watched.members = [];
  }
  said(_node: NodeId, text: string): void {
    this.said_.add(text);
  }

  delivered(node: NodeId, sender: NodeId, text: string): void {
    const watched = this.nodes.get(node);
    if (watched === undefined) return;
    if (!this.said_.has(text)) this.breach(`delivery: node ${node} delivered what nobody said: ${text.slice(0, 40)}`);
    if (!text.startsWith(`${sender}/`))
      this.breach(`delivery: node ${node} took ${text.slice(0, 20)} for node ${sender}'s`);
    if (watched.everDelivered.has(text)) this.breach(`delivery: node ${node} delivered twice: ${text.slice(0, 20)}`);
    watched.everDelivered.add(text);
    if (watched.stay === null) return this.breach(`views: node ${node} delivered before its first view`);
    watched.stay.delivered.push(text);
  }

  /** Total order: what two nodes delivered on one ring, they delivered in one order. Called at the end. */
  checkOrder(): void {
    for (const [ring, stays] of this.stays) {
      for (const [first, ...others] of stays.map((_, index) => stays.slice(index))) {
        const place = new Map(first?.delivered.map((text, index) => [text, index]));
        for (const other of others) {
          const common = other.delivered.flatMap((text) => place.get(text) ?? []);
          if (common.some((at, index) => index > 0 && at < (common[index - 1] ?? 0))) {
            this.breach(`order: on ring ${ring} two nodes delivered the same messages in different orders`);
          }
        }
      }
    }
  }

  view(node: NodeId, regular: boolean, ring: RingId, members: readonly NodeId[]): void {
    const watched = this.nodes.get(node);
    if (watched === undefined || !regular) return;
    const name = `${ring.representative}.${ring.sequence}`;
    const list = members.join(' ');
    if (!members.includes(node)) this.breach(`views: node ${node} is not in its own view ${name}`);
    if (watched.rings.has(name)) this.breach(`views: ring ${name} came twice to node ${node}`);
    watched.rings.add(name);
    const known = this.membersOf.get(name);
    if (known === undefined) this.membersOf.set(name, list);
    else if (known !== list)
      this.breach(`views: ring ${name} has members ${known} for some and ${list} for node ${node}`);
    if (watched.stay !== null) this.checkMove(node, watched.stay, name);
    watched.stay = { ring: name, delivered: [] };
    this.stays.set(name, [...(this.stays.get(name) ?? []), watched.stay]);
    watched.members = members;
  }

  /** Virtual synchrony: who moves together delivered the same before. */
  private checkMove(node: NodeId, stay: Stay, to: string): void {
    const move = `${stay.ring} -> ${to}`;
    const other = this.moves.get(move);
    if (other === undefined) {
      this.moves.set(move, { node, delivered: stay.delivered });
      return;
    }
    const same =
      other.delivered.length === stay.delivered.length &&
      other.delivered.every((text, index) => text === stay.delivered[index]);
    if (!same) {
      this.breach(
        `virtual synchrony: nodes ${other.node} and ${node} moved ${move} having delivered ${other.delivered.length} and ${stay.delivered.length} messages, not the same`,
      );
    }
  }

  seesAll(node: NodeId, all: readonly NodeId[]): boolean {
    return this.nodes.get(node)?.members.join(' ') === all.join(' ');
  }

  private breach(text: string): void {
    if (this.breaches.length < 20) this.breaches.push(text);
  }
}
