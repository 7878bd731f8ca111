/** One history, told to real Corosync and to the bundled engine's votes at the same time. */
import assert from 'node:assert/strict';
import { quorumSettingsOf, type QuorumKeys, type QuorumStatus } from '../../agent/quorum/quorum.ts';
import { nodeId } from '../../agent/totem/ids.ts';
import { QuorumCluster } from '../unit/quorum-cluster.ts';
import { CorosyncLab, type Shown } from './quorum-corosync-lab.ts';

export type Happening =
  | { readonly start: readonly number[] }
  /** kill -9. */
  | { readonly kill: number }
  /** In order. */
  | { readonly stop: number }
  /** The network falls into these parts. */
  | { readonly cut: readonly (readonly number[])[] }
  /** `corosync-quorumtool -e votes` on node `on`; `refused`: by both. */
  | { readonly expect: number; readonly on: number; readonly refused?: true }
  | { readonly cancelWait: number }
  /** last_man_standing_window goes by. */
  | { readonly window: true };

export type Part = Omit<Shown, 'members'>;

/** Numbers; a list where Corosync shows one or another, by the order in which its nodes' messages come. */
export type Awaited = { readonly [Key in keyof Part]?: Part[Key] | readonly Part[Key][] };

export interface Step {
  readonly then: Happening;
  /** What Corosync shows on a node where it differs from what the bundled engine shows. */
  readonly corosync?: Readonly<Record<number, Awaited>>;
  /** Why the difference is wanted. */
  readonly why?: string;
}

export interface History {
  readonly name: string;
  readonly votes: readonly number[];
  /** Lines of the section quorum, and the same as keys. */
  readonly lines: readonly string[];
  readonly keys: Partial<QuorumKeys>;
  readonly steps: readonly Step[];
}

/** Milliseconds: longer than a loss takes to be seen by all, so that a test can see the numbers of before. */
export const WINDOW = 15_000;
const PATIENCE = 60_000;

export class Twins {
  readonly lab: CorosyncLab;
  readonly ours: QuorumCluster;
  private parts: readonly (readonly number[])[];
  private views: readonly (readonly number[])[] = [];
  private since = 0;

  constructor(history: History) {
    this.lab = new CorosyncLab(history.votes, history.lines);
    const votes = new Map(history.votes.map((count, index) => [nodeId(index + 1), count]));
    this.ours = new QuorumCluster(quorumSettingsOf(votes, { ...history.keys, lastManStandingWindow: WINDOW }));
    this.parts = [[...votes.keys()]];
  }

  /** Resolves when both have seen it. */
  async happen(then: Happening): Promise<void> {
    const { lab, ours } = this;
    this.since = Date.now();
    if ('start' in then) {
      for (const node of then.start) lab.start(node);
      ours.start(...then.start);
    } else if ('kill' in then) {
      await lab.end(then.kill, 'SIGKILL');
      ours.kill(then.kill);
    } else if ('stop' in then) {
      await lab.end(then.stop, 'SIGTERM');
      ours.stop(then.stop);
    } else if ('cut' in then) {
      this.parts = then.cut;
      lab.cut(then.cut);
    } else if ('expect' in then) {
      const taken = await lab.expect(then.on, then.expect);
      assert.equal(taken, then.refused !== true, `Corosync ${taken ? 'took' : 'refused'} it`);
      const ourTaken = ours.order(then.on, { kind: 'expected', votes: then.expect });
      assert.equal(ourTaken, taken, `the bundled engine ${ourTaken ? 'took' : 'refused'} it`);
    } else if ('cancelWait' in then) {
      assert.ok(await lab.cancelWait(then.cancelWait));
      ours.order(then.cancelWait, { kind: 'cancelWait' });
    } else {
      // Corosync's own clock runs: what it shows is compared until the window has gone by there too.
      ours.wait(WINDOW);
    }
    await this.regroup();
  }

  /** Every node's numbers by both, once Corosync shows what is awaited; what it shows at the end of the patience otherwise. */
  async compare(step: Step): Promise<{ node: number; corosync: Part | null; awaited: Part; ours: Part }[]> {
    const end = Date.now() + PATIENCE;
    for (;;) {
      const rows = await Promise.all(
        [...this.ours.running.keys()].map(async (node) => {
          const shown = await this.lab.show(node);
          // On a machine so busy that the window has gone by before anyone could look, its end is what is compared.
          const late = Date.now() - this.since > WINDOW;
          const before = this.show(this.ours.status(node));
          const after = this.show(this.ours.statusAfter(node, WINDOW));
          const ours = late && shown !== null && shown.expected === after.expected ? after : before;
          const corosync = shown === null ? null : part(shown);
          return { node, corosync, awaited: { ...ours, ...settled(step.corosync?.[node] ?? {}, corosync) }, ours };
        }),
      );
      const same = rows.every(({ corosync, awaited }) => JSON.stringify(corosync) === JSON.stringify(awaited));
      if (same || Date.now() > end) return rows;
      await pause(400);
    }
  }

  close(): Promise<void> {
    return this.lab.close();
  }

  private show(status: QuorumStatus): Part {
    const { quorate, expectedVotes, highestExpected, totalVotes, quorum, flags } = status;
    return part({
      quorate,
      expected: expectedVotes,
      highest: highestExpected,
      total: totalVotes,
      quorum,
      flags: flags.join(' '),
    });
  }

  private async regroup(): Promise<void> {
    const up = [...this.ours.running.keys()].sort((a, b) => a - b);
    const views = this.parts.map((part) => up.filter((node) => part.includes(node))).filter((part) => part.length > 0);
    const before = this.views.map(String);
    const changed = views.filter((one) => !before.includes(String(one)));
    this.views = views;
    for (const end = Date.now() + PATIENCE; !(await this.seen(views)); await pause(400))
      assert.ok(
        Date.now() < end,
        `Corosync did not see the views ${JSON.stringify(views)}\n${this.lab.log(up[0] ?? 1)}`,
      );
    if (changed.length > 0) this.ours.regroup(...changed);
  }

  private async seen(views: readonly (readonly number[])[]): Promise<boolean> {
    const shown = await Promise.all(
      views.flatMap((view) => view.map(async (node) => String((await this.lab.show(node))?.members) === String(view))),
    );
    return shown.every(Boolean);
  }
}

/** Of alternatives the one that is shown, or else the first. */
function settled(awaited: Awaited, shown: Part | null): Partial<Part> {
  const one = <T>(given: T | readonly T[] | undefined, now: T | undefined): T | undefined =>
    Array.isArray(given)
      ? ((given as readonly T[]).find((value) => value === now) ?? (given as readonly T[])[0])
      : (given as T | undefined);
  const chosen = {
    quorate: one(awaited.quorate, shown?.quorate),
    expected: one(awaited.expected, shown?.expected),
    highest: one(awaited.highest, shown?.highest),
    total: one(awaited.total, shown?.total),
    quorum: one(awaited.quorum, shown?.quorum),
    flags: one(awaited.flags, shown?.flags),
  };
  return Object.fromEntries(Object.entries(chosen).filter(([, value]) => value !== undefined));
}

/** In one order of keys, so that texts can be compared. */
const part = ({ quorate, expected, highest, total, quorum, flags }: Part): Part => ({
  ...{ quorate, expected, highest },
  ...{ total, quorum, flags },
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
