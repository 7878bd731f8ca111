/** Closed process groups over a ring, driven by hand: three nodes share one total order. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DATA, groupMessage } from '../../agent/engine/totem/group-message.ts';
import { Groups, type GroupEvent } from '../../agent/engine/totem/groups.ts';
import { nodeId, type NodeId, type RingId } from '../../agent/totem/ids.ts';

const [A, B, C] = [nodeId(1), nodeId(2), nodeId(3)];
const said = (group: string, words: string): Uint8Array => groupMessage(DATA, group, new TextEncoder().encode(words));

/** A total order: whatever a node sends is delivered to all at once, in the order of sending. */
class Wire {
  readonly nodes = new Map<NodeId, Groups>();
  readonly seen = new Map<NodeId, string[]>();
  private sequence = 0;

  ring(...members: NodeId[]): void {
    this.sequence += 4;
    const ring: RingId = { representative: members[0] ?? A, sequence: this.sequence };
    const lists = members.map((node) => [node, this.of(node).view(ring, members)] as const);
    for (const [node, list] of lists) this.deliver(members, node, list);
    this.flow(members);
  }

  /** Hands on what waits, until nothing does. */
  flow(members: readonly NodeId[]): void {
    for (let moved = true; moved;) {
      moved = false;
      for (const node of members) {
        const payload = this.of(node).next();
        if (payload === null) continue;
        this.deliver(members, node, payload);
        moved = true;
      }
    }
  }

  deliver(members: readonly NodeId[], sender: NodeId, payload: Uint8Array): void {
    for (const node of members) this.seen.get(node)?.push(...this.of(node).deliver(sender, payload).map(describeEvent));
  }

  of(node: NodeId): Groups {
    let groups = this.nodes.get(node);
    if (groups === undefined) {
      groups = new Groups(node);
      this.nodes.set(node, groups);
      this.seen.set(node, []);
    }
    return groups;
  }

  /** What the node saw since this was last asked. */
  take(node: NodeId): string[] {
    return this.seen.get(node)?.splice(0) ?? [];
  }
}

function describeEvent(event: GroupEvent): string {
  if (event.kind === 'deliver') return `${event.sender}: ${new TextDecoder().decode(event.payload)}`;
  const { members, joined, left } = event.view;
  return `{${members.join(' ')}} +${joined.join(' ')} -${left.join(' ')}`;
}

describe('groups', () => {
  test('a node sees the messages of a group from its own join on, and nothing of other groups', () => {
    const wire = new Wire();
    wire.ring(A, B);
    wire.of(A).join('files');
    wire.of(A).multicast(said('files', 'early'));
    wire.flow([A, B]);
    wire.of(B).join('files');
    wire.flow([A, B]);
    wire.of(A).multicast(said('files', 'late'));
    wire.of(B).join('other');
    wire.flow([A, B]);
    assert.deepEqual(wire.take(A), ['{1} +1 -', '1: early', '{1 2} +2 -', '1: late']);
    assert.deepEqual(wire.take(B), ['{1 2} +2 -', '1: late', '{2} +2 -']);
  });

  test('after a change of ring the view names who came and who went, before any message', () => {
    const wire = new Wire();
    wire.ring(A, B, C);
    for (const node of [A, B, C]) wire.of(node).join('files');
    wire.flow([A, B, C]);
    wire.take(A);
    wire.of(A).multicast(said('files', 'waits'));
    wire.ring(A, B);
    assert.deepEqual(wire.take(A), ['{1 2} + -3', '1: waits']);
    wire.ring(A, B, C);
    assert.deepEqual(wire.take(A), ['{1 2 3} +3 -']);
  });

  test('until every member has told its groups nothing else may travel', () => {
    const groups = new Groups(A);
    groups.join('files');
    assert.equal(groups.next(), null);
    const list = groups.view({ representative: A, sequence: 4 }, [A, B]);
    groups.deliver(A, list);
    assert.equal(groups.next(), null, 'B has not told');
    groups.deliver(B, new Groups(B).view({ representative: A, sequence: 4 }, [A, B]));
    assert.ok(groups.next());
  });

  test('what the ring gives back goes first on the next one, in its old order', () => {
    const wire = new Wire();
    wire.ring(A);
    wire.of(A).join('files');
    wire.flow([A]);
    for (const words of ['one', 'two', 'three']) wire.of(A).multicast(said('files', words));
    const given = [wire.of(A).next(), wire.of(A).next()].flatMap((payload) => payload ?? []);
    wire.take(A);
    wire.of(A).returned(given);
    wire.ring(A);
    assert.deepEqual(wire.take(A), ['{1} + -', '1: one', '1: two', '1: three']);
  });

  test('a node that leaves and joins again counts as newly joined for all', () => {
    const wire = new Wire();
    wire.ring(A, B);
    for (const node of [A, B]) wire.of(node).join('files');
    wire.flow([A, B]);
    wire.take(A);
    wire.of(B).leave('files');
    wire.of(B).join('files');
    wire.flow([A, B]);
    assert.deepEqual(wire.take(A), ['{1} + -2', '{1 2} +2 -']);
  });

  test('no bytes from the ring make it throw', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (payloads) => {
        const groups = new Groups(A);
        groups.view({ representative: A, sequence: 4 }, [A, B]);
        for (const payload of payloads) groups.deliver(B, payload);
      }),
    );
  });
});
