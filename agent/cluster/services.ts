/** Engine and pmxcfs as services: through our supervisor, or through systemd. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import type { EngineKind } from '../engine/engine.ts';
import type { NodeLayout } from '../node-layout.ts';
import type { ServiceState } from '../rpc/api.ts';
import type { Services } from './ports.ts';
import { connectSocket } from './socket-client.ts';
import type { ServiceName, SupervisorControl } from './supervisor-control.ts';

const run = promisify(execFile);

/** Is this machine run by systemd (sd_booted(3))? A lab node below a directory of its own never is. */
export const underSystemd = (layout: NodeLayout): boolean => layout.root === '' && existsSync('/run/systemd/system');

/** The node's services by whatever keeps them running here. `choice` tells which engine's service is meant. */
export function openServices(layout: NodeLayout, choice: () => EngineKind): Services {
  return underSystemd(layout) && !existsSync(layout.supervisorSocket)
    ? systemdServices(choice)
    : supervisedServices(layout);
}

function supervisedServices(layout: NodeLayout): Services {
  const call = async <T>(ask: (remote: SupervisorControl) => T | Promise<T>): Promise<T> => {
    let client;
    try {
      client = await connectSocket<SupervisorControl>(layout.supervisorSocket);
    } catch {
      throw new Error(
        `the agent's supervisor does not run on ${layout.hostname}. ` +
          `Start it with: ${layout.home}/current/ringmaster-agent supervise --detach`,
      );
    }
    try {
      // The proxy answers every call of the interface with a promise of what the interface says.
      return await ask(client.remote as unknown as SupervisorControl);
    } finally {
      client.close();
    }
  };
  return {
    supervision: 'self',
    list: () => call((remote) => remote.services()),
    start: (name) => call((remote) => remote.start(name)),
    stop: (name) => call((remote) => remote.stop(name)),
    restart: (name) => call((remote) => remote.restart(name)),
    // The supervisor looks at the choice with each start.
    engineAtBoot: () => Promise.resolve(),
    command: (verb, name) => {
      // A restart needs no more than the end: the supervisor starts it anew.
      if (verb !== 'start') return `pkill -f 'agent.mjs ${name}'`;
      return name === 'engine' ? 'ringmaster-agent engine' : 'pmxcfs';
    },
  };
}

/** Unit of each service; the distribution's Corosync stands in for our engine where it was chosen. */
export const unitOf = (name: ServiceName, engine: EngineKind): string => {
  if (name === 'pmxcfs') return 'ringmaster-pmxcfs.service';
  return engine === 'corosync' ? 'corosync.service' : 'ringmaster-engine.service';
};

/** Runs systemctl; rejects with what it printed. */
export async function systemctl(...args: string[]): Promise<string> {
  try {
    return (await run('systemctl', args)).stdout;
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    throw new Error(`systemctl ${args.join(' ')}: ${stderr?.trim() || message}`, { cause: error });
  }
}

function systemdServices(choice: () => EngineKind): Services {
  const change = async (verb: 'start' | 'stop' | 'restart', name: ServiceName): Promise<void> => {
    await systemctl(verb, unitOf(name, choice()));
  };
  return {
    supervision: 'systemd',
    list: async () => [await unitState('engine', choice()), await unitState('pmxcfs', choice())],
    start: (name) => change('start', name),
    stop: (name) => change('stop', name),
    restart: (name) => change('restart', name),
    // Ours needs no more: its unit leaves the place to Corosync by itself (ExecCondition).
    engineAtBoot: async () => {
      if (choice() === 'corosync') await systemctl('enable', '--quiet', 'corosync.service');
      else await systemctl('disable', '--quiet', 'corosync.service').catch(() => undefined);
    },
    command: (verb, name) => `systemctl ${verb} ${unitOf(name, choice())}`,
  };
}

async function unitState(name: ServiceName, engine: EngineKind): Promise<ServiceState> {
  const unit = unitOf(name, engine);
  const wanted = 'ActiveState,SubState,MainPID,NRestarts,Result,ConditionResult';
  let shown: string;
  try {
    shown = await systemctl('show', unit, `--property=${wanted}`);
  } catch (error) {
    return { name, state: 'failed', pid: null, restarts: 0, reason: (error as Error).message };
  }
  const property = new Map(shown.split('\n').map((line) => line.split(/=(.*)/s, 2) as [string, string]));
  const active = property.get('ActiveState');
  const restarts = Number(property.get('NRestarts') ?? 0);
  const pid = Number(property.get('MainPID') ?? 0);
  if (active === 'active' || active === 'reloading') {
    return { name, state: 'running', pid: pid > 0 ? pid : null, restarts, reason: null };
  }
  const failed = active === 'failed' || property.get('SubState') === 'auto-restart';
  if (!failed) {
    return {
      name,
      state: 'stopped',
      pid: null,
      restarts,
      reason: property.get('ConditionResult') === 'no' ? 'not configured' : null,
    };
  }
  const reason = `${unit} failed: ${property.get('Result') ?? 'unknown'}; see journalctl -u ${unit}`;
  return { name, state: 'failed', pid: null, restarts, reason };
}
