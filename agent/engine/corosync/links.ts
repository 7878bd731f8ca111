/**
 * Links as knet counts them (cmap_keys(8), stats.knet.nodeX.linkY). With udp and udpu Corosync has one link and no
 * figures of it, so none is shown.
 */
import type { LinkStatus } from '../engine.ts';
import type { EngineNode } from '../settings.ts';
import type { NodeId } from '../../totem/ids.ts';

const FIELDS = ['enabled', 'connected', 'latency_ave', 'latency_samples', 'mtu', 'down_count'] as const;
type Field = (typeof FIELDS)[number];

const keyOf = (node: NodeId, link: number, field: Field): string => `stats.knet.node${node}.link${link}.${field}`;

/** What is read for the links between this node and the others. */
export const linkKeys = (nodes: readonly EngineNode[], self: NodeId): string[] =>
  pathsOf(nodes, self).flatMap(({ peer, link }) => FIELDS.map((field) => keyOf(peer, link, field)));

/** What Corosync is asked to tell changes of: it compares them every 1.5 seconds or so (exec/main.c). */
export const trackedLinkKeys = (nodes: readonly EngineNode[], self: NodeId): string[] =>
  pathsOf(nodes, self).flatMap(({ peer, link }) => [keyOf(peer, link, 'connected'), keyOf(peer, link, 'mtu')]);

/**
 * `values` has what was there of `linkKeys`. `before`: what was told last; `now` in milliseconds since 1970. Corosync
 * does not say since when a link is as it is: known is only what changed before our eyes.
 */
export function linkStatuses(
  nodes: readonly EngineNode[],
  self: NodeId,
  values: ReadonlyMap<string, string>,
  before: readonly LinkStatus[],
  now: number,
): LinkStatus[] {
  return pathsOf(nodes, self).flatMap(({ peer, link, address }): LinkStatus[] => {
    const value = (field: Field): number | null => {
      const text = values.get(keyOf(peer, link, field));
      return text === undefined ? null : Number(text);
    };
    const up = value('connected');
    if (up === null) return [];
    const connected = up === 1;
    const measured = (value('latency_samples') ?? 0) > 0;
    const failures = value('down_count') ?? 0;
    // A link that was never up has no samples: it may come yet.
    const state = connected ? 'up' : measured || failures > 0 ? 'down' : 'untested';
    const last = before.find((one) => one.peer === peer && one.link === link);
    return [
      {
        ...{ link, peer, address, connected, state, failures },
        since: last === undefined ? null : last.state === state ? last.since : now,
        latencyUs: measured ? value('latency_ave') : null,
        mtu: value('mtu') || null,
      },
    ];
  });
}

function pathsOf(nodes: readonly EngineNode[], self: NodeId) {
  return nodes
    .filter((node) => node.nodeId !== self)
    .flatMap(({ nodeId, addresses }) => addresses.map(({ link, address }) => ({ peer: nodeId, link, address })));
}
