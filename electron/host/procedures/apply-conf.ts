/** Brings a changed corosync.conf into effect, and watches every node take it. */
import type { ApplyRequest } from '../../../agent/rpc/api.ts';
import type { AgentClient } from '../agent/client.ts';
import type { ClusterMember } from '../api.ts';
import type { PlacedStep } from './join.ts';

export interface ApplyEverywhere {
  /** The reachable member that writes the file; its own steps arrive by AgentEvents.step. */
  readonly member: AgentClient;
  readonly request: ApplyRequest;
  readonly operation: string;
  /** The cluster's members as seen at this moment; null when the cluster is no longer known. */
  readonly members: () => readonly ClusterMember[] | null;
  readonly onStep: (step: PlacedStep) => void;
  readonly signal: AbortSignal;
  /** Milliseconds in which every node of the ring must have taken the file; by default 30 000. */
  readonly withinMs?: number | undefined;
}

const TAKEN_WITHIN_MS = 30_000;

/** Rejects with a sentence that names what did not take the file, and why. */
export async function applyEverywhere(options: ApplyEverywhere): Promise<void> {
  const { member, operation, request, signal, onStep } = options;
  const cancel = (): void => void member.cancel(operation).catch(() => undefined);
  signal.addEventListener('abort', cancel);
  let version: number;
  try {
    const outcome = await member.applyConf(operation, request);
    version = outcome.configVersion;
    const sentences = [...outcome.live, ...outcome.needsRestart.map((one) => `${one} (waits for a restart)`)];
    if (sentences.length > 0) {
      const where = member.greeting.hostname;
      onStep({ id: 'effect', title: 'What is in effect', command: null, state: 'done', output: sentences, where });
    }
  } finally {
    signal.removeEventListener('abort', cancel);
  }
  await watchNodes(options, version);
}

async function watchNodes(options: ApplyEverywhere, version: number): Promise<void> {
  const shown = new Map<number, string>();
  const show = (one: ClusterMember, state: PlacedStep['state'], line: string): void => {
    if (shown.get(one.nodeId) === `${state} ${line}`) return;
    shown.set(one.nodeId, `${state} ${line}`);
    options.onStep({
      id: `node-${one.nodeId}`,
      title: `${one.name} runs version ${version}`,
      command: 'corosync-cmapctl totem.config_version; grep config_version /etc/corosync/corosync.conf',
      state,
      output: [line],
      where: one.name,
    });
  };
  const within = options.withinMs ?? TAKEN_WITHIN_MS;
  const deadline = Date.now() + within;
  for (;;) {
    const late = Date.now() > deadline;
    const members = options.members() ?? [];
    const behind: string[] = [];
    for (const one of members) {
      const present = `disk ${one.diskVersion ?? 'unknown'}, running ${one.runningVersion ?? 'unknown'}`;
      if (one.state === 'absent') {
        show(one, 'skipped', `${one.name} is not in the ring; it takes the file when it returns.`);
      } else if (one.hostId === null || (one.diskVersion === null && one.runningVersion === null)) {
        // Its agent may be between two connections: it gets the same time as the others.
        if (late || one.hostId === null) show(one, 'skipped', `${one.name} cannot be asked from here.`);
        else behind.push(lagging(one, present));
      } else if ((one.diskVersion ?? 0) >= version && (one.runningVersion ?? 0) >= version) {
        show(one, 'done', `It has it: ${present}.`);
      } else {
        behind.push(lagging(one, present));
      }
    }
    if (behind.length === 0) return;
    if (late) {
      throw new Error(
        `${behind.join(', ')} did not take version ${version} within ${within / 1000} seconds. ` +
          'Look at its events: its engine may have refused the file.',
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }

  function lagging(one: ClusterMember, present: string): string {
    const late = Date.now() > deadline;
    show(one, late ? 'failed' : 'running', late ? `Not within the time: ${present}.` : `Now: ${present}.`);
    return one.name;
  }
}
