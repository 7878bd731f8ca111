/** What an engine runs beside what a corosync.conf asks for. */
import { cmapOf, effectiveTimers, parse } from '../conf/index.ts';
import type { EngineStatus } from './engine.ts';
import { engineSettings, listedNodes } from './settings.ts';

/** The bundled engine tells in its status what it runs with. */
export function readBackTotem(text: string, status: EngineStatus): string[] {
  const wanted = engineSettings(text);
  if (!wanted.ok) return [wanted.error];
  const { clusterName, transport, nodes } = wanted.value;
  const found = versionAndState(text, status);
  const differs = (what: string, is: string | number | undefined, should: string | number): void => {
    if (is !== should) found.push(`${what} is ${is ?? 'not there'} and should be ${should}`);
  };
  differs('the cluster name', status.clusterName, clusterName);
  differs('the transport', status.transport, transport);
  differs('the number of nodes', status.members.length, nodes.length);
  for (const node of nodes) {
    const member = status.members.find(({ nodeId }) => nodeId === node.nodeId);
    const name = node.name ?? `node ${node.nodeId}`;
    differs(`${name}: votes`, member?.votes, node.votes);
    differs(`${name}: address`, member?.addresses[0]?.address, node.addresses[0]?.address ?? '');
  }
  return found;
}

/** Corosync has what it read in cmap; `cmap` gives a value as text. */
export function readBackCorosync(text: string, status: EngineStatus, cmap: (key: string) => string | null): string[] {
  const found = versionAndState(text, status);
  const compare = (key: string, should: string): void => {
    const is = cmap(key);
    if (is === should || (is !== null && /^[+-]?\d+$/.test(should) && Number(is) === Number(should))) return;
    found.push(`${key} is ${is ?? 'not there'} and should be ${should}`);
  };
  const keys = cmapOf(text);
  for (const [key, value] of keys) {
    if (!COMPARED.test(key) || OVERWRITTEN.test(key)) continue;
    compare(key, value);
  }
  // What the file says is one thing, what the timers were set to another. Nodes without numbers are counted
  // differently by Corosync itself (measured), so nothing is known of them.
  const numbered = [...keys.keys()].filter((key) => /^nodelist\.node\.\d+\.nodeid$/.test(key)).length;
  if (
    numbered > 0 &&
    numbered === [...keys.keys()].filter((key) => /^nodelist\.node\.\d+\.ring0_addr$/.test(key)).length
  ) {
    const { token, consensus } = effectiveTimers(parse(text));
    compare('runtime.config.totem.token', String(token));
    compare('runtime.config.totem.consensus', String(consensus));
  }
  return found;
}

const COMPARED = /^(totem|nodelist|quorum|logging)\./;
/** Set anew by Corosync from the nodelist, given a default when 0, or not to be read back. */
const OVERWRITTEN = /^totem\.(interface\.\d+\.(bindnetaddr|mcastport|mcastaddr|member\.\d+)|key)$/;

function versionAndState(text: string, status: EngineStatus): string[] {
  if (status.state.kind === 'down') return [`the engine does not answer: ${status.state.reason}`];
  if (status.state.kind === 'forming') return ['the ring is being formed'];
  if (status.state.kind === 'outdated') return [`the node is out of the ring: ${status.state.reason}`];
  const { configVersion } = listedNodes(text);
  return status.configVersion === configVersion
    ? []
    : [`the engine runs version ${status.configVersion} and should run ${configVersion}`];
}
