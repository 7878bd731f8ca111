/** Which nodes belong to a cluster, read from their own corosync.conf. Pure. */
import { model, parse } from '../../agent/conf/index.ts';

/** The text of each node's corosync.conf; null where it has none. */
export type ConfTexts = ReadonlyMap<string, string | null>;

/**
 * A node is a member when its own file lists it, and no newer file of the same cluster leaves it out (a
 * node that was removed while it was down still has the old one).
 */
export function membersOf(texts: ConfTexts): Set<string> {
  const confs = [...texts].flatMap(([name, text]) => (text === null ? [] : [{ name, conf: model(parse(text)) }]));
  const members = new Set<string>();
  for (const { name, conf } of confs) {
    const newest = confs
      .map((other) => other.conf)
      .filter((other) => other.totem.clusterName === conf.totem.clusterName)
      .reduce((one, other) => ((other.totem.configVersion ?? 0) > (one.totem.configVersion ?? 0) ? other : one), conf);
    const lists = (list: typeof conf): boolean => list.nodelist.some((node) => node.name === name);
    if (lists(conf) && lists(newest)) members.add(name);
  }
  return members;
}
