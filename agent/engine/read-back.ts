/** What an engine runs beside what a corosync.conf asks for. */
import { parse } from '../conf/index.ts';
import { entryAt, sectionsAt } from '../conf/syntax.ts';
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
  const document = parse(text);
  const found = versionAndState(text, status);
  const compare = (key: string, should: string): void => {
    const is = cmap(key);
    if (is === should || (is !== null && /^[+-]?\d+$/.test(should) && Number(is) === Number(should))) return;
    found.push(`${key} is ${is ?? 'not there'} and should be ${should}`);
  };
  for (const path of ['totem', 'quorum']) {
    const names = new Set(sectionsAt(document, path).flatMap(({ entries }) => entries.map(({ name }) => name)));
    for (const name of names) compare(`${path}.${name}`, entryAt(document, path, name)?.value ?? '');
  }
  sectionsAt(document, 'nodelist.node').forEach((section, position) => {
    const last = new Map(section.entries.map(({ name, value }) => [name, value]));
    for (const [name, value] of last) compare(`nodelist.node.${position}.${name}`, value);
  });
  return found;
}

function versionAndState(text: string, status: EngineStatus): string[] {
  if (status.state.kind === 'down') return [`the engine does not answer: ${status.state.reason}`];
  if (status.state.kind === 'forming') return ['the ring is being formed'];
  const { configVersion } = listedNodes(text);
  return status.configVersion === configVersion
    ? []
    : [`the engine runs version ${status.configVersion} and should run ${configVersion}`];
}
