/** What a change of the file means, in sentences, and whether it needs a restart. */
import { keyFact, type KeyEffect } from './keys.ts';
import { linkOfKey, nodeOf, type ConfNode } from './model.ts';
import { allSections, parse, sectionsAt, type ConfDocument } from './syntax.ts';

export interface Difference {
  readonly sentence: string;
  /** `none`: nothing that runs is changed by it. */
  readonly effect: KeyEffect;
}

/** The differences in order: nodes, then values. A change of comments or order alone gives none. */
export function semanticDiff(before: string, after: string): Difference[] {
  const [old, next] = [parse(before), parse(after)];
  return [...nodeDifferences(nodesOf(old), nodesOf(next)), ...valueDifferences(valuesOf(old), valuesOf(next))];
}

const nodesOf = (document: ConfDocument): ConfNode[] => sectionsAt(document, 'nodelist.node').map(nodeOf);
const nameOf = (node: ConfNode): string => node.name ?? `with nodeid ${node.nodeId ?? '?'}`;
const addressesOf = (node: ConfNode): string => node.addresses.map(({ address }) => address).join(', ');
const votes = (count: number): string => `${count} ${count === 1 ? 'vote' : 'votes'}`;

function nodeDifferences(before: readonly ConfNode[], after: readonly ConfNode[]): Difference[] {
  const found: Difference[] = [];
  const say = (sentence: string, effect: KeyEffect): void => void found.push({ sentence, effect });
  const same = (a: ConfNode, b: ConfNode): boolean => (a.nodeId !== null ? a.nodeId === b.nodeId : a.name === b.name);
  for (const node of after) {
    const old = before.find((one) => same(one, node));
    if (old === undefined) {
      say(
        `Node ${nameOf(node)} is added: nodeid ${node.nodeId ?? '?'}, ${votes(node.votes)}, ${addressesOf(node)}.`,
        'live',
      );
      continue;
    }
    if (old.name !== node.name) say(`Node ${nameOf(old)} is renamed to ${node.name ?? 'nothing'}.`, 'restart');
    if (old.votes !== node.votes)
      say(`Node ${nameOf(node)} changes from ${votes(old.votes)} to ${votes(node.votes)}.`, 'live');
    for (const { link, address } of node.addresses) {
      const was = old.addresses.find((one) => one.link === link);
      if (was === undefined) say(`Node ${nameOf(node)} gets ring${link}_addr ${address}.`, 'live');
      else if (was.address !== address)
        say(`Node ${nameOf(node)} changes ring${link}_addr from ${was.address} to ${address}.`, 'restart');
    }
    for (const { link, address } of old.addresses) {
      if (!node.addresses.some((one) => one.link === link))
        say(`Node ${nameOf(node)} loses ring${link}_addr ${address}.`, 'live');
    }
  }
  for (const node of before) {
    if (!after.some((one) => same(node, one)))
      say(`Node ${nameOf(node)} is removed: the cluster loses ${votes(node.votes)}.`, 'live');
  }
  return found;
}

/** Values outside of the nodelist, by `section.key`; a link's section by its number. */
function valuesOf(
  document: ConfDocument,
): Map<string, { section: string; name: string; where: string; value: string }> {
  const values = new Map<string, { section: string; name: string; where: string; value: string }>();
  for (const section of allSections(document.root)) {
    const link =
      section.path === 'totem.interface'
        ? (section.entries.find(({ name }) => name === 'linknumber')?.value ?? '0')
        : null;
    const subsystem = section.entries.find(({ name }) => name === 'subsys')?.value;
    const where =
      link === null ? (subsystem === undefined ? section.path : `${section.path} ${subsystem}`) : `link ${link}`;
    for (const { name, value } of section.entries) {
      if (
        section.path === 'nodelist.node' &&
        (linkOfKey(name) !== null || ['name', 'nodeid', 'quorum_votes'].includes(name))
      )
        continue;
      values.set(`${where}.${name}`, { section: section.path, name, where, value });
    }
  }
  return values;
}

/** Keys that have a name of their own among people. */
const SPOKEN: Readonly<Record<string, string>> = {
  'totem.token': 'Token timeout',
  'totem.consensus': 'Consensus timeout',
  'totem.join': 'Join timeout',
};
const MILLISECONDS = new Set([
  'token',
  'consensus',
  'join',
  'hold',
  'merge',
  'downcheck',
  'token_coefficient',
  'token_retransmit',
  'send_join',
]);

function valueDifferences(before: ReturnType<typeof valuesOf>, after: ReturnType<typeof valuesOf>): Difference[] {
  const found: Difference[] = [];
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const old = before.get(key);
    const next = after.get(key);
    const one = next ?? old;
    if (one === undefined || old?.value === next?.value) continue;
    const fact = keyFact(one.section, one.name);
    const unit = one.section === 'totem' && MILLISECONDS.has(one.name) ? ' ms' : '';
    const label = SPOKEN[`${one.section}.${one.name}`] ?? `${one.where}: ${one.name}`;
    const effect = fact?.effect ?? 'none';
    const standard = fact?.standard === null || fact === null ? '' : ` (default: ${fact.standard})`;
    const sentence =
      old === undefined
        ? `${label} is set to ${one.value}${unit}.`
        : next === undefined
          ? `${label} ${old.value}${unit} is removed${standard}.`
          : `${label} changes from ${old.value}${unit} to ${next.value}${unit}.`;
    found.push({ sentence, effect });
  }
  return found;
}
