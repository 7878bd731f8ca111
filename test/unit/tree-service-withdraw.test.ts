/** An operation that nobody waits for any more (EIO or EINTR at the mount) is not sent again by the replica of its node. */
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, test } from 'node:test';
import type { Delivery, Engine, EngineStatus, Group, View } from '../../agent/engine/engine.ts';
import { TreeService } from '../../agent/mount/tree-service.ts';
import { FRESH_IMAGE } from '../../agent/replica/types.ts';
import { nodeId, type RingId } from '../../agent/totem/ids.ts';

const SELF = nodeId(1);

/** A ring of one node whose messages arrive when the test says so, or never. */
class Ring {
  readonly sent: Uint8Array[] = [];
  readonly #handlers: { deliver?: (message: Delivery) => void; view?: (view: View) => void } = {};
  #ringId: RingId = { sequence: 0, representative: SELF };

  readonly engine: Engine = {
    status: () => this.#status(),
    group: (name) => Promise.resolve(this.#group(name)),
    onStatus: () => () => undefined,
    setExpectedVotes: () => Promise.reject(new Error('nobody asks for it')),
    reload: () => Promise.reject(new Error('nobody asks for it')),
    readBack: () => Promise.resolve([]),
    close: () => Promise.resolve(),
  };

  /** A new ring. What was sent in the one before and not delivered is lost. */
  form(): void {
    this.sent.length = 0;
    this.#ringId = { sequence: this.#ringId.sequence + 4, representative: SELF };
    this.#handlers.view?.({ ringId: this.#ringId, members: [SELF], joined: [], left: [] });
  }
  /** Everything that is under way arrives, and what is answered to it. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 5; quiet += 1) {
      for (let payload = this.sent.shift(); payload !== undefined; payload = this.sent.shift()) {
        this.#handlers.deliver?.({ sender: SELF, payload });
        quiet = 0;
      }
      await turn();
    }
  }

  #status(): EngineStatus {
    const member = { nodeId: SELF, name: 'pve1', votes: 1, addresses: [], state: 'member', local: true } as const;
    const votes = { expectedVotes: 1, highestExpected: 1, totalVotes: 1, quorum: 1, flags: [] };
    return {
      ...{ engine: 'totem', state: { kind: 'operational' }, clusterName: 'lab', configVersion: 1, transport: 'udpu' },
      ...{ localNode: SELF, ringId: this.#ringId, members: [member], links: [], quorum: { quorate: true, ...votes } },
    };
  }
  #group(name: string): Group {
    return {
      name,
      multicast: (payload) => {
        this.sent.push(payload);
        return Promise.resolve();
      },
      onDeliver: (handler) => {
        this.#handlers.deliver = handler;
        return () => undefined;
      },
      onView: (handler) => {
        this.#handlers.view = handler;
        return () => undefined;
      },
      onConnection: () => () => undefined,
      leave: () => Promise.resolve(),
    };
  }
}

describe('an operation whose message was lost with its ring', () => {
  /** Asks for a directory, loses the message, and forms the next ring. Gives what became of it. */
  async function lost(withdrawn: boolean): Promise<{ answer: string; isThere: boolean }> {
    const ring = new Ring();
    const service = new TreeService({
      store: {
        run: () => Promise.resolve({ aside: [] }),
        backUp: () => Promise.resolve({ kind: 'none' }),
        hasSpace: () => Promise.resolve(true),
      },
      ...{ image: FRESH_IMAGE, self: SELF, engine: ring.engine },
      events: {
        ...{ changed: () => undefined, replaced: () => undefined, status: () => undefined, log: () => undefined },
        fault: (reason) => assert.fail(reason),
      },
    });
    try {
      await service.start();
      ring.form();
      await ring.settle();
      let answer = 'none';
      const withdraw = service.submit({ kind: 'mkdir', path: 'd' }, (errno) => (answer = errno ?? 'done'));
      assert.ok(ring.sent.length > 0, 'it is under way');
      if (withdrawn) withdraw();
      assert.equal(answer, 'none', 'it may yet be done');
      ring.form();
      await ring.settle();
      return { answer, isThere: service.tree.find('d').ok };
    } finally {
      await service.close();
    }
  }

  test('is sent again in the next one, for whoever waits', async () => {
    assert.deepEqual(await lost(false), { answer: 'done', isThere: true });
  });
  test('is not, when it was withdrawn', async () => {
    assert.deepEqual(await lost(true), { answer: 'EIO', isThere: false });
  });
});
