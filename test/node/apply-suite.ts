/**
 * An apply that goes wrong, on three real nodes whichever engine they run. Whatever happens, and with nobody there to
 * help: in the end the old file is on every disk and in the tree, every engine runs it, and there is quorum.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineStatus } from '../../agent/engine/engine.ts';
import { until, type LabNodes } from './lab-nodes.ts';

export const NODES = ['pve1', 'pve2', 'pve3'] as const;
export const CONF = '/etc/corosync/corosync.conf';

interface History {
  readonly open: object | null;
  readonly ended: readonly { readonly outcome: string; readonly reason: string; readonly author: string }[];
}

export class Applies {
  readonly #lab: LabNodes;
  old = '';
  version = 0;

  constructor(lab: LabNodes) {
    this.#lab = lab;
  }

  /** The present file is the one to go back to. */
  remember(): void {
    this.old = this.#lab.run('pve1', 'cat /etc/pve/corosync.conf');
    this.version = Number(/config_version: (\d+)/.exec(this.old)?.[1]);
  }

  /**
   * Says what is not as it was before the apply; empty when all is. The engines and the history are asked once the files
   * are right, and all at the same time: each such question starts a process of a quarter of a second.
   */
  async astray(): Promise<string[]> {
    const files = NODES.flatMap((name) => this.#astrayFiles(name));
    if (files.length > 0) return files;
    const [history, ...engines] = await Promise.all([
      this.#openApply(),
      ...NODES.map((name) => this.#astrayEngine(name)),
    ]);
    return [...engines, history].flat();
  }

  #astrayFiles(name: string): string[] {
    const found: string[] = [];
    const lab = this.#lab;
    if (lab.on(name, `cat ${CONF}`).out !== this.old) found.push(`${name}: another file on disk`);
    if (lab.on(name, 'cat /etc/pve/corosync.conf').out !== this.old) found.push(`${name}: another file in the tree`);
    if (lab.on(name, 'ls /var/lib/ringmaster/apply.json').code === 0) found.push(`${name}: the trial is not forgotten`);
    return found;
  }

  async #astrayEngine(name: string): Promise<string[]> {
    const { code, out } = await this.#lab.begin(name, 'pvecm status --json').ended;
    const status = code === 0 ? (JSON.parse(out) as EngineStatus) : null;
    if (status?.quorum.quorate !== true || status.quorum.totalVotes !== 3) return [`${name}: no quorum of three`];
    return status.configVersion === this.version ? [] : [`${name} runs version ${status.configVersion}`];
  }

  async #openApply(): Promise<string[]> {
    const { out } = await this.#lab.begin('pve1', 'pvecm conf history --json').ended;
    return (JSON.parse(out || '{}') as Partial<History>).open === null ? [] : ['an apply is open'];
  }

  async allIsAsBefore(withinMs = 60_000): Promise<void> {
    for (const end = Date.now() + withinMs; ; await new Promise((resolve) => setTimeout(resolve, 200))) {
      const astray = await this.astray();
      if (astray.length === 0) return;
      assert.ok(Date.now() < end, `waited ${withinMs / 1000} s for: the old configuration; ${astray.join('; ')}`);
    }
  }

  /** The last apply that has ended. */
  outcome(): History['ended'][number] | undefined {
    return (JSON.parse(this.#lab.run('pve1', 'pvecm conf history --json')) as History).ended[0];
  }
}

/** The shell command that writes a changed copy of the tree's file to /root/new.conf. */
export const edit = (expression: string): string => `sed '${expression}' /etc/pve/corosync.conf > /root/new.conf`;
export const apply = (more: string): string => `pvecm conf apply /root/new.conf --yes ${more}`;

/** Another `token` than the file has. */
export interface Change {
  readonly expression: string;
  /** What is in the file with it, and not without. */
  readonly mark: string;
}

/** To be run where `applies` remembers the present file. Each leaves it as it was. */
export function faultsOnEitherEngine(lab: LabNodes, applies: Applies, { expression, mark }: Change): void {
  test('an apply that nobody confirms goes back on every node', async () => {
    lab.run('pve1', `${edit(expression)} && ${apply('--confirm-within 5')}`);
    assert.equal(lab.status('pve2')?.configVersion, applies.version + 1);
    await until('it was taken back', 60_000, () => applies.outcome()?.outcome === 'reverted');
    assert.match(applies.outcome()?.reason ?? '', /nobody confirmed it in time/);
    await applies.allIsAsBefore();
  });

  test('an apply whose app is killed right after the write goes back', async () => {
    lab.run(
      'pve1',
      `${edit(expression)}; ${apply('--confirm-within 5')} >/dev/null 2>&1 & p=$!
       for i in $(seq 2000); do grep -q '${mark}' /etc/pve/corosync.conf && break; sleep 0.01; done; kill -9 $p
       grep -q '${mark}' /etc/pve/corosync.conf`,
    );
    await applies.allIsAsBefore();
  });

  test('an apply during which a node dies, and which is taken back, finds the old file again when it returns', async () => {
    lab.run('pve1', `${edit(expression)} && ${apply('--confirm-within 5')}`);
    assert.ok(lab.run('pve3', `cat ${CONF}`).includes(mark));
    lab.good('kill', 'pve3');
    await until('the two are back', 30_000, () => lab.on('pve1', `cat ${CONF}`).out === applies.old);
    // Its time ran out while it was off: it begins with the old file.
    lab.good('start', 'pve3');
    await applies.allIsAsBefore();
    assert.match(lab.run('pve3', 'cat /var/log/ringmaster/events.jsonl'), /ran out while this node was off/);
  });

  test('of two applies that begin at once, one goes on and the other is told of it', async () => {
    lab.run('pve2', edit('s/^  version: 2/  version: 2\\n  join: 60/'));
    lab.run('pve1', edit(expression));
    const both = await Promise.all([
      lab.begin('pve1', apply('--confirm-within 5')).ended,
      lab.begin('pve2', apply('--confirm-within 5')).ended,
    ]);
    assert.deepEqual(both.map(({ code }) => code).sort(), [0, 1], JSON.stringify(both));
    assert.match(both.find(({ code }) => code === 1)?.err ?? '', /root@pve[12] is applying corosync.conf version \d+/);
    await until('it was taken back', 20_000, () => applies.outcome()?.outcome === 'reverted');
    await applies.allIsAsBefore();
  });

  test('an apply is taken back by anybody on any node', async () => {
    lab.run('pve1', `${edit(expression)} && ${apply('--confirm-within 60')}`);
    assert.match(lab.run('pve3', 'pvecm conf revert'), /runs again on every node/);
    assert.match(applies.outcome()?.reason ?? '', /root@pve3 took it back/);
    await applies.allIsAsBefore();
  });
}
