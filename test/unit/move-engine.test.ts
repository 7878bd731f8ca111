import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { expressFor, pauseMs, whyNotKey } from '../../agent/cluster/move/express.ts';
import { planFrom } from '../../agent/cluster/move/move.ts';
import { isNews } from '../../agent/cluster/move/word.ts';
import { diagnose, newConf } from '../../agent/conf/index.ts';
import { ChosenEngine } from '../../agent/engine/chosen.ts';
import type { Engine, EngineKind, EngineStatus, View } from '../../agent/engine/engine.ts';
import { Listeners } from '../../agent/engine/listeners.ts';
import { nodeId } from '../../agent/totem/ids.ts';

const conf = (transport: string, secauth: 'on' | 'off', extraTotem: Record<string, string> = {}): string =>
  newConf({
    ...{ clusterName: 'lab', transport, secauth, extraTotem },
    nodes: [1, 2, 3].map((id) => ({
      ...{ nodeId: id, name: `pve${id}`, votes: 1 },
      addresses: [{ link: 0, address: `10.0.0.${id}` }],
    })),
  });
const CREATED = conf('udpu', 'on');
const KEY = Buffer.alloc(256).toString('base64');

function expressed(text: string, to: EngineKind): { text: string; notes: readonly string[] } {
  const made = expressFor(text, to);
  assert.ok(made.ok, made.ok ? '' : made.error);
  return made.value;
}

describe('corosync.conf in the words of the other engine', () => {
  test('for Corosync an encrypted udpu becomes knet, and no other line changes', () => {
    const { text, notes } = expressed(CREATED, 'corosync');
    assert.equal(text, CREATED.replace('transport: udpu', 'transport: knet'));
    assert.deepEqual(notes, ['transport changes from udpu to knet: Corosync encrypts with no other.']);
    assert.deepEqual(
      diagnose(text).filter(({ severity }) => severity === 'error'),
      [],
    );
  });

  test('udpu without encryption, and knet, stay as they are', () => {
    for (const text of [conf('udpu', 'off'), conf('knet', 'on')]) {
      assert.deepEqual(expressed(text, 'corosync'), { text, notes: [] });
    }
  });

  test('a cipher without a hash gets one', () => {
    const { text } = expressed(conf('knet', 'off', { crypto_cipher: 'aes256' }), 'corosync');
    assert.match(text, /crypto_hash: sha256/);
  });

  test('what comes from Corosync the bundled engine takes as it is', () => {
    const { text } = expressed(CREATED, 'corosync');
    assert.deepEqual(expressed(text, 'totem'), { text, notes: [] });
  });

  test('what an engine cannot do is refused, with the line', () => {
    const three = CREATED.replace('transport: udpu', 'transport: udpu\n  netmtu: 100');
    const made = expressFor(three, 'totem');
    assert.match(made.ok ? '' : made.error, /^the bundled engine does not take this corosync\.conf: line \d+: netmtu/);
  });

  test('the key has to be one that Corosync takes', () => {
    assert.equal(whyNotKey(CREATED, 'corosync', KEY), null);
    assert.match(whyNotKey(CREATED, 'corosync', null) ?? '', /this node has no key/);
    assert.match(whyNotKey(CREATED, 'corosync', 'a2V5') ?? '', /has 3 bytes, and Corosync takes 128 to 4096/);
    assert.equal(whyNotKey(conf('udpu', 'off'), 'corosync', null), null);
  });
});

describe('the plan of a move', () => {
  const status: EngineStatus = {
    engine: 'totem',
    state: { kind: 'operational' },
    clusterName: 'lab',
    configVersion: 4,
    transport: 'udpu',
    localNode: nodeId(1),
    ringId: { representative: nodeId(1), sequence: 8 },
    members: [1, 2, 3].map((id) => ({
      ...{ nodeId: nodeId(id), name: `pve${id}`, votes: 1, addresses: [], state: 'member', local: id === 1 },
    })),
    links: [],
    quorum: { quorate: true, expectedVotes: 3, highestExpected: 3, totalVotes: 3, quorum: 2, flags: [] },
  };
  const facts = new Map(
    [1, 2, 3].map((id) => [id, { nodeId: id, name: `pve${id}`, disk: null, running: 4, agent: '0.1.0-a' }]),
  );
  const known = { status, present: CREATED, facts, history: [], key: KEY as string | null, agent: '0.1.0-a' };
  const refusal = (change: Partial<typeof known>, to: EngineKind = 'corosync'): string => {
    const plan = planFrom({ ...known, ...change }, to);
    return plan.ok ? 'no refusal' : plan.error;
  };

  test('says how long writes pause, and raises config_version above all that was ever seen', () => {
    const plan = planFrom(known, 'corosync');
    assert.ok(plan.ok);
    assert.equal(plan.value.version, 5);
    assert.match(plan.value.text, /config_version: 5/);
    assert.match(plan.value.sentences.join(' '), /pause for about 4 s; it stays mounted.*Guests are not touched/);
    assert.ok(pauseMs('corosync', 9) > pauseMs('corosync', 3));
  });

  test('is refused with a node away, with agents of several versions, and where the engine runs already', () => {
    const members = status.members.map((one) => (one.nodeId === 3 ? { ...one, state: 'absent' as const } : one));
    assert.match(refusal({ status: { ...status, members } }), /pve3 is not in the ring and would be left behind/);
    const older = new Map(facts).set(2, { nodeId: 2, name: 'pve2', disk: null, running: 4, agent: '0.0.9' });
    assert.match(refusal({ facts: older }), /pve2 runs another version of the agent/);
    assert.match(refusal({ facts: new Map() }), /pve1, pve2, pve3 runs another version/);
    assert.match(refusal({}, 'totem'), /runs on the bundled engine already/);
    assert.match(refusal({ key: null }), /this node has no key/);
  });
});

describe('the word of a node with quorum', () => {
  const newer = conf('knet', 'on').replace('config_version: 1', 'config_version: 7');
  const said = { engine: 'corosync', conf: newer, from: 'pve2' } as const;

  test('is news to a node on the other engine with an older file of the same cluster', () => {
    assert.ok(isNews(said, 'totem', CREATED));
    assert.ok(!isNews(said, 'corosync', CREATED), 'the same engine');
    assert.ok(!isNews(said, 'totem', newer), 'the same version');
    assert.ok(!isNews({ ...said, conf: newer.replace('cluster_name: lab', 'cluster_name: other') }, 'totem', CREATED));
  });
});

describe('a process that lives on the chosen engine', () => {
  test('changes over: its groups see the old engine go and a view of the new one, and go on', async () => {
    const opened: FakeEngine[] = [];
    const open = (kind: EngineKind): Engine => {
      const engine = new FakeEngine(kind);
      opened.push(engine);
      return engine;
    };
    const engine = new ChosenEngine(open, 'totem');
    const group = await engine.group('pmxcfs');
    const seen: string[] = [];
    group.onDeliver(({ payload }) => seen.push(Buffer.from(payload).toString()));
    group.onConnection((connected) => seen.push(connected ? 'connected' : 'lost'));
    group.onView(({ members }) => seen.push(`view ${members.join(' ')}`));
    opened[0]?.views.call(view(1, 2));
    await engine.follow('totem');
    assert.equal(opened.length, 1, 'it runs on that engine already');
    await engine.follow('corosync');
    opened[0]?.views.call(view(9));
    opened[1]?.views.call(view(1, 2, 3));
    await group.multicast(Buffer.from('over the new one'));
    assert.deepEqual(seen, ['view 1 2', 'lost', 'view 1 2 3', 'over the new one']);
    assert.equal(opened[0]?.closed, true);
    assert.equal(engine.status().engine, 'corosync');
  });
});

const view = (...members: number[]): View => ({
  ...{ ringId: { representative: nodeId(1), sequence: 4 }, members: members.map(nodeId), joined: [], left: [] },
});

/** One group that hands back what it is given. */
class FakeEngine implements Engine {
  readonly views = new Listeners<View>();
  readonly #kind: EngineKind;
  closed = false;

  constructor(kind: EngineKind) {
    this.#kind = kind;
  }
  status(): EngineStatus {
    return {
      ...{ engine: this.#kind, state: { kind: 'forming' }, clusterName: 'lab', configVersion: 1, transport: 'knet' },
      ...{ localNode: nodeId(1), ringId: null, members: [], links: [] },
      quorum: { quorate: false, expectedVotes: 3, highestExpected: 3, totalVotes: 1, quorum: 2, flags: [] },
    };
  }
  group: Engine['group'] = async (name) => {
    const deliveries = new Listeners<{ sender: ReturnType<typeof nodeId>; payload: Uint8Array }>();
    return {
      name,
      multicast: async (payload) => deliveries.call({ sender: nodeId(1), payload }),
      onDeliver: (handler) => deliveries.add(handler),
      onView: (handler) => this.views.add(handler),
      onConnection: () => () => undefined,
      leave: async () => undefined,
    };
  };
  setExpectedVotes = async (): Promise<void> => undefined;
  reload = async () => ({ configVersion: 1, live: [], needsRestart: [] });
  readBack = async (): Promise<string[]> => [];
  onStatus = () => () => undefined;
  close = async (): Promise<void> => void (this.closed = true);
}
