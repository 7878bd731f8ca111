/** A new cluster key on a running cluster: whatever dies in between, every node opens what every other seals. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { decide, type Action, type KeysOnDisk, type Seen } from '../../agent/cluster/key/decide.ts';
import { digestOf, keyDisk } from '../../agent/cluster/key/key-disk.ts';
import { readRekey, type Answer, type Rekey } from '../../agent/cluster/key/rekey.ts';
import { readKeys } from '../../agent/engine/totem/cipher.ts';

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

const REKEY: Rekey = {
  ...{ id: 'r1', author: 'root@n1', startedMs: 0, phase: 'accept', key: 'bmV3', digest: 'new' },
  ...{ without: [], outcome: null },
};

/** Keys are named by their digests. */
class ModelNode {
  readonly id: number;
  disk: Mutable<KeysOnDisk> = { sealing: 'old', accepted: null, previous: null };
  engine: { seals: string; opens: string[] } = { seals: 'old', opens: ['old'] };
  loaded = '';
  up = true;

  constructor(id: number) {
    this.id = id;
  }
  /** The engine reads the files, as readKeys does. */
  load(): void {
    const { sealing, accepted, previous } = this.disk;
    const opens = [sealing, accepted, previous].filter((key) => key !== null);
    this.engine = { seals: sealing ?? '', opens };
  }
  start(): void {
    this.up = true;
    this.load();
    this.loaded = '';
  }
  /** What the action does, one durable step after the other; `cut`: after how many the follower is cut off. */
  work(action: Action, cut: number): void {
    const steps = this.steps(action);
    for (const step of steps.slice(0, cut)) step();
    if (steps.length > 0 && steps.length <= cut) this.loaded = JSON.stringify(this.disk);
  }
  private steps(action: Action): (() => void)[] {
    const { disk } = this;
    const load = (): void => this.load();
    switch (action.kind) {
      case 'accept':
        return [() => (disk.accepted = 'new'), load];
      case 'seal':
        return disk.sealing === 'new'
          ? [() => (disk.accepted = null), load]
          : [() => (disk.previous = disk.sealing), () => (disk.sealing = 'new'), () => (disk.accepted = null), load];
      case 'forget':
        return [() => (disk.accepted = null), () => (disk.previous = null), load];
      case 'load':
        return [load];
      default:
        return [];
    }
  }
}

class ModelCluster {
  readonly nodes: ModelNode[];
  rekey: Rekey = REKEY;
  readonly answers = new Map<number, Answer['state']>();

  constructor(count: number) {
    this.nodes = Array.from({ length: count }, (_, index) => new ModelNode(index + 1));
  }
  get running(): ModelNode[] {
    return this.nodes.filter(({ up }) => up);
  }
  get quorate(): boolean {
    return this.running.length * 2 > this.nodes.length;
  }
  seen(node: ModelNode): Seen {
    return {
      ...{ self: node.id, rekey: this.rekey, disk: node.disk, answers: this.answers, treeWritable: this.quorate },
      loaded: node.loaded === JSON.stringify(node.disk),
      configured: this.nodes.map(({ id }) => id),
      ring: new Set(this.running.map(({ id }) => id)),
    };
  }
  step(node: ModelNode, cut = Infinity): Action {
    const action = decide(this.seen(node));
    if (action.kind === 'answer') this.answers.set(node.id, action.state);
    else if (action.kind === 'turn') {
      const outcome = action.from.phase === 'cancelled' ? 'cancelled' : 'replaced';
      const key = action.to === 'seal' ? this.rekey.key : null;
      this.rekey = { ...this.rekey, phase: action.to, key, outcome: action.to === 'ended' ? outcome : null };
    } else node.work(action, cut);
    return action;
  }
  cancel(): void {
    if (this.rekey.phase === 'accept') this.rekey = { ...this.rekey, phase: 'cancelled', key: null };
  }
  understandOneAnother(): boolean {
    return this.running.every((a) => this.running.every((b) => b.engine.opens.includes(a.engine.seals)));
  }
  settle(): void {
    for (let round = 0; round < 40; round += 1) for (const node of this.nodes) this.step(node);
  }
}

describe('the replacement of a key', () => {
  const event = fc.oneof(
    { weight: 60, arbitrary: fc.record({ kind: fc.constant('step' as const), node: fc.nat(11) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('die' as const), node: fc.nat(11), cut: fc.nat(3) }) },
    // The file system's process dies and comes back; the engine's runs on with the keys that it has loaded.
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('cut' as const), node: fc.nat(11), cut: fc.nat(3) }) },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('start' as const), node: fc.nat(11) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), node: fc.nat(11) }) },
  );

  test('at no moment seals a node with what another that runs cannot open, whoever dies and when', () => {
    const ends = new Set<string>();
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(event, { maxLength: 150, size: 'max' }), (count, events) => {
        const cluster = new ModelCluster(count);
        for (const one of events) {
          const node = cluster.nodes[one.node % count];
          if (node === undefined) continue;
          if (one.kind === 'cancel') cluster.cancel();
          else if (one.kind === 'start' && !node.up) node.start();
          else if (one.kind === 'step' && node.up) cluster.step(node);
          else if ((one.kind === 'die' || one.kind === 'cut') && node.up) {
            cluster.step(node, one.cut);
            node.loaded = '';
            if (one.kind === 'die') node.up = false;
          }
          assert.ok(cluster.understandOneAnother(), `after ${JSON.stringify(one)}: ${JSON.stringify(cluster.nodes)}`);
        }
        for (const node of cluster.nodes) if (!node.up) node.start();
        assert.ok(cluster.understandOneAnother(), JSON.stringify(cluster));
        cluster.settle();
        const { phase, outcome, key } = cluster.rekey;
        assert.deepEqual([phase, key], ['ended', null]);
        ends.add(String(outcome));
        const sealing = outcome === 'replaced' ? 'new' : 'old';
        for (const { disk } of cluster.nodes) assert.deepEqual(disk, { sealing, accepted: null, previous: null });
        assert.ok(cluster.understandOneAnother());
      }),
      { numRuns: 2000 },
    );
    assert.deepEqual([...ends].sort(), ['cancelled', 'replaced'], 'both ends are met');
  });

  test('waits for a node that is away before anyone seals, and goes on when it is named with --without', () => {
    const cluster = new ModelCluster(3);
    const [, , three] = cluster.nodes;
    assert.ok(three !== undefined);
    three.up = false;
    for (let round = 0; round < 20; round += 1) for (const node of cluster.running) cluster.step(node);
    assert.equal(cluster.rekey.phase, 'accept');
    cluster.rekey = { ...cluster.rekey, without: [3] };
    for (let round = 0; round < 20; round += 1) for (const node of cluster.running) cluster.step(node);
    assert.equal(cluster.rekey.outcome, 'replaced');
    // It has the old key only: nothing is taken from it, and nobody listens to it.
    three.start();
    cluster.step(three);
    assert.deepEqual(three.disk, { sealing: 'old', accepted: null, previous: null });
  });

  test('writes nothing while the tree is read-only, and turns no page', () => {
    const cluster = new ModelCluster(3);
    for (const node of cluster.nodes.slice(1)) node.up = false;
    const [one] = cluster.nodes;
    assert.ok(one !== undefined);
    const did = Array.from({ length: 5 }, () => cluster.step(one).kind);
    assert.deepEqual(did, ['accept', 'nothing', 'nothing', 'nothing', 'nothing']);
  });

  test('has no key in its record once it is over, and a damaged record is none', () => {
    assert.equal(readRekey('{"id":'), null);
    assert.equal(readRekey(JSON.stringify({ ...REKEY, phase: 'other' })), null);
    assert.deepEqual(readRekey(JSON.stringify(REKEY)), REKEY);
  });
});

describe('the key files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ringmaster-keys-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const authkey = join(folder, 'authkey');
  const key = (byte: number): Buffer => Buffer.alloc(256, byte);
  const keys = (): string[] => {
    const read = readKeys({ authkey });
    assert.ok(read.ok);
    return [read.value.sealing, ...read.value.accepted].map((one) => String(one[0]));
  };

  test('hold the next key beside the present one, then the previous one, then one only; all with mode 0400', () => {
    writeFileSync(authkey, key(1), { mode: 0o400 });
    const disk = keyDisk({ authkey });
    assert.deepEqual(keys(), ['1']);
    disk.accept(key(2).toString('base64'));
    assert.deepEqual(keys(), ['1', '2']);
    disk.seal(key(2).toString('base64'));
    assert.deepEqual(keys(), ['2', '1']);
    disk.seal(key(2).toString('base64'));
    assert.deepEqual(keys(), ['2', '1'], 'the same step twice keeps the previous key');
    for (const name of readdirSync(folder)) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o400, name);
    assert.deepEqual(disk.read(), { sealing: digestOf(key(2)), accepted: null, previous: digestOf(key(1)) });
    disk.forget();
    assert.deepEqual(keys(), ['2']);
    assert.deepEqual(readdirSync(folder), ['authkey']);
  });

  test('that are missing, too short or too long are refused in a sentence', () => {
    const refused = (bytes: number | null): string => {
      rmSync(authkey, { force: true });
      if (bytes !== null) writeFileSync(authkey, Buffer.alloc(bytes), { mode: 0o400 });
      const read = readKeys({ authkey });
      return read.ok ? 'taken' : read.error;
    };
    assert.match(refused(null), /authkey is missing, and crypto_cipher or secauth asks for it/);
    assert.match(refused(127), /has 1016 bits, and a cluster key has at least 1024/);
    assert.equal(refused(128), 'taken');
    assert.equal(refused(4096), 'taken');
    assert.match(refused(4097), /at most 4096/);
    assert.ok(existsSync(authkey) && readFileSync(authkey).length === 4097);
  });
});
