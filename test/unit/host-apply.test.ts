import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterMember } from '../../electron/host/api.ts';
import type { AgentClient } from '../../electron/host/agent/client.ts';
import { applyEverywhere } from '../../electron/host/procedures/apply-conf.ts';
import type { PlacedStep } from '../../electron/host/procedures/join.ts';

const member = (nodeId: number, more: Partial<ClusterMember> = {}): ClusterMember => ({
  nodeId,
  name: `pve${nodeId}`,
  votes: 1,
  addresses: [],
  state: 'member',
  hostId: `h${nodeId}`,
  runningVersion: 4,
  diskVersion: 4,
  ifItFailed: null,
  ...more,
});

/** Applies version 4 to these members and gives the error and the last state of each node's step. */
async function apply(members: readonly ClusterMember[]): Promise<{ error: string | null; steps: string[][] }> {
  const steps = new Map<string, PlacedStep>();
  const writer = {
    greeting: { hostname: 'pve1' },
    applyConf: () => Promise.resolve({ configVersion: 4, live: [], needsRestart: [] }),
  } as unknown as AgentClient;
  const done = applyEverywhere({
    member: writer,
    request: { text: '', baseDigest: '', author: 'me' },
    operation: 'op',
    members: () => members,
    onStep: (step) => steps.set(step.id, step),
    signal: new AbortController().signal,
    withinMs: 250,
  });
  const error = await done.then(
    () => null,
    (thrown: Error) => thrown.message,
  );
  return { error, steps: [...steps.values()].map(({ where, state, output }) => [where, state, output.at(-1) ?? '']) };
}

test('an apply is done when every node in the ring has the version on disk and runs it', async () => {
  const { error, steps } = await apply([member(1), member(2, { state: 'absent', runningVersion: null })]);
  assert.equal(error, null);
  assert.deepEqual(
    steps.map(([where, state]) => [where, state]),
    [
      ['pve1', 'done'],
      ['pve2', 'skipped'],
    ],
  );
});

test('a node that does not take it fails the apply by name, with what it has', async () => {
  const { error, steps } = await apply([member(1), member(2, { runningVersion: 3 })]);
  assert.match(error ?? '', /^pve2 did not take version 4 within 0\.25 seconds/);
  assert.deepEqual(steps[1], ['pve2', 'failed', 'Not within the time: disk 4, running 3.']);
});

test('a node that cannot be asked is said so, and does not fail the apply', async () => {
  const unknown = member(2, { hostId: null, runningVersion: null, diskVersion: null });
  const { error, steps } = await apply([member(1), unknown]);
  assert.equal(error, null);
  assert.deepEqual(steps[1], ['pve2', 'skipped', 'pve2 cannot be asked from here.']);
});
