/** The ring on two links: whatever happens to one of them, the membership does not change and nothing is lost. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { NodeId } from '../../agent/totem/ids.ts';
import type { LinkEffect, LinkMode } from '../../agent/totem/links/link-types.ts';
import { Ring } from '../../agent/totem/ring.ts';
import type { RingInput } from '../../agent/totem/ring-types.ts';
import { LinkNetwork, OVERHEAD, type Above } from './totem-links-network.ts';

/** As the bundled engine runs with three nodes. */
const TIMEOUTS = { token: 825, retransmit: 69, hold: 160, join: 50, consensus: 330, merge: 200 };
const RING_PAYLOAD = 0;

/** A ring above the links of one node. */
class Member implements Above {
  readonly views: (readonly NodeId[])[] = [];
  readonly delivered: string[] = [];
  longestGap = 0;
  #last = 0;
  readonly #network: LinkNetwork;
  readonly #self: NodeId;
  readonly #ring: Ring;
  #operational = false;

  constructor(network: LinkNetwork, self: NodeId) {
    this.#network = network;
    this.#self = self;
    this.#ring = new Ring({
      ...{ self, clusterName: 'prod', peers: network.nodes, timeouts: TIMEOUTS, sequence: 0, version: 1 },
      ...{ datagram: 1280 - OVERHEAD - 1, window: 64, patient: network.of(self).reorders },
    });
  }

  deadline(): number {
    return this.#ring.deadline();
  }

  timer(now: number): void {
    this.step({ kind: 'timer' }, now);
  }

  receive(payload: Uint8Array, now: number): void {
    this.step({ kind: 'packet', bytes: payload.subarray(1) }, now);
  }

  effect(effect: LinkEffect, now: number): void {
    if (effect.kind === 'reachable') this.step({ kind: 'heard', node: effect.node }, now);
    if (effect.kind === 'datagram') this.step({ kind: 'datagram', bytes: effect.bytes - 1, window: 64 }, now);
  }

  say(text: string, now: number): void {
    if (this.#operational) this.step({ kind: 'multicast', payload: new TextEncoder().encode(text), safe: false }, now);
  }

  step(input: RingInput, now: number): void {
    for (const effect of this.#ring.step(input, now)) {
      switch (effect.kind) {
        case 'send':
          this.#network.send(this.#self, effect.to, Uint8Array.of(RING_PAYLOAD, ...effect.packet), effect.again);
          break;
        case 'view':
          if (effect.regular) this.views.push(effect.members);
          break;
        case 'phase':
          this.#operational = effect.phase === 'operational';
          break;
        case 'deliver':
          this.delivered.push(new TextDecoder().decode(effect.payload));
          this.longestGap = Math.max(this.longestGap, now - this.#last);
          this.#last = now;
          break;
        default:
          break;
      }
    }
  }
}

function formed(
  mode: LinkMode,
  more: { chance?: () => number; multicast?: boolean; links?: number } = {},
): { network: LinkNetwork; members: readonly Member[] } {
  const network = new LinkNetwork({ nodes: 3, mode, ...more });
  const members = network.nodes.map((node) => new Member(network, node));
  for (const [index, member] of members.entries()) network.put(member, index + 1);
  network.start();
  for (const member of members) member.step({ kind: 'start' }, 0);
  network.run(2_000);
  for (const member of members) assert.deepEqual(member.views.at(-1), network.nodes);
  return { network, members };
}

/** Runs with everybody talking every 20 ms. */
function talk(network: LinkNetwork, members: readonly Member[], milliseconds: number): void {
  for (const end = network.now + milliseconds; network.now < end;) {
    for (const [index, member] of members.entries()) member.say(`${index} ${network.now}`, network.now);
    network.run(20);
  }
}

const MODES = ['passive', 'rr', 'active'] as const;

describe('the ring on two links', () => {
  for (const mode of MODES) {
    for (const link of [0, 1]) {
      test(`${mode}: link ${link} dies and comes back, and no view changes`, () => {
        const { network, members } = formed(mode);
        const views = members.map((member) => member.views.length);
        talk(network, members, 1_000);
        for (const [from, to] of [
          [1, 2],
          [1, 3],
          [2, 3],
        ] as const)
          network.both(link, { cut: true }, [from, to]);
        talk(network, members, 3_000);
        for (const [from, to] of [
          [1, 2],
          [1, 3],
          [2, 3],
        ] as const)
          network.both(link, { cut: false }, [from, to]);
        talk(network, members, 5_000);
        network.run(1_000);
        assert.deepEqual(
          members.map((member) => member.views.length),
          views,
        );
        assert.equal(members[0]?.delivered.length, 3 * (9_000 / 20));
        for (const member of members) assert.deepEqual(member.delivered, members[0]?.delivered);
      });
    }

    test(`${mode}: one cable of one node is cut in one direction, and no view changes`, () => {
      const { network, members } = formed(mode);
      const views = members.map((member) => member.views.length);
      for (const to of [1, 3]) network.cable(0, 2, to).cut = true;
      talk(network, members, 4_000);
      assert.deepEqual(
        members.map((member) => member.views.length),
        views,
      );
    });

    test(`${mode}: one link loses a third of all packets, and no view changes`, () => {
      let state = 7;
      const chance = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
      const { network, members } = formed(mode, { chance });
      const views = members.map((member) => member.views.length);
      for (const [from, to] of [
        [1, 2],
        [1, 3],
        [2, 3],
      ] as const)
        network.both(0, { loss: 0.33 }, [from, to]);
      talk(network, members, 20_000);
      assert.deepEqual(
        members.map((member) => member.views.length),
        views,
      );
    });
  }

  test('a link that flaps five times a minute costs no view', () => {
    const { network, members } = formed('passive');
    const views = members.map((member) => member.views.length);
    for (let round = 0; round < 10; round += 1) {
      for (const [from, to] of [
        [1, 2],
        [1, 3],
        [2, 3],
      ] as const)
        network.both(0, { cut: round % 2 === 0 }, [from, to]);
      talk(network, members, 6_000);
    }
    assert.deepEqual(
      members.map((member) => member.views.length),
      views,
    );
  });

  test('a network that swallows multicast from one moment to the next costs no view and no message', () => {
    const { network, members } = formed('passive', { multicast: true, links: 1 });
    const views = members.map((member) => member.views.length);
    talk(network, members, 1_000);
    for (const from of [1, 2, 3]) for (const to of [1, 2, 3]) network.cable(0, from, to).deaf = true;
    talk(network, members, 20_000);
    network.run(1_000);
    assert.deepEqual(
      members.map((member) => member.views.length),
      views,
    );
    for (const member of members) assert.equal(member.delivered.length, 3 * (21_000 / 20));
  });
});
