/**
 * Which reports speak of the same cluster. Two clusters may carry one name (a lab beside the real
 * one), so reports are joined by name and by a node they share; an id, once given, stays.
 */
import type { ClusterView } from '../api.ts';
import { clusterView } from './cluster-view.ts';
import type { KnownHost, Witness } from './cluster-view.ts';

export interface ClusterWitness extends Witness {
  readonly lab: boolean;
}

export interface Clusters {
  /** Takes the present reports, and gives every cluster's view, in order of name. */
  update(witnesses: readonly ClusterWitness[], hosts: readonly KnownHost[]): ClusterView[];
  /** The cluster a host belongs to, as of the last update. */
  clusterOf(hostId: string): string | null;
  get(id: string): ClusterView | null;
}

interface Component {
  readonly key: string;
  readonly name: string;
  readonly nodes: Set<string>;
  readonly witnesses: ClusterWitness[];
}

/** No clusters yet. */
export function emptyClusters(): Clusters {
  let views = new Map<string, ClusterView>();
  /** What identified each cluster when it was last seen: name, and its nodes. */
  let identities = new Map<string, { key: string; nodes: Set<string> }>();
  let belongs = new Map<string, string>();

  const idFor = (component: Component, taken: ReadonlySet<string>): string => {
    for (const [id, known] of identities) {
      if (!taken.has(id) && known.key === component.key && akin(known.nodes, component.nodes)) return id;
    }
    const plain = !taken.has(component.key) && !identities.has(component.key);
    return plain
      ? component.key
      : `${component.key}~${[...component.nodes].sort()[0] ?? component.witnesses[0]?.hostId}`;
  };

  return {
    update: (witnesses, hosts) => {
      const nextViews = new Map<string, ClusterView>();
      const nextIdentities: typeof identities = new Map();
      const nextBelongs = new Map<string, string>();
      for (const component of components(witnesses, (hostId) => views.get(belongs.get(hostId) ?? '')?.name ?? '')) {
        const id = idFor(component, new Set(nextViews.keys()));
        const view = clusterView(id, component.name, component.witnesses, hosts, views.get(id) ?? null);
        if (view === null) continue;
        nextViews.set(id, view);
        const nodes = component.nodes.size > 0 ? component.nodes : (identities.get(id)?.nodes ?? component.nodes);
        nextIdentities.set(id, { key: component.key, nodes });
        for (const { hostId } of component.witnesses) nextBelongs.set(hostId, id);
      }
      views = nextViews;
      identities = nextIdentities;
      belongs = nextBelongs;
      return [...views.values()].sort((a, b) => a.name.localeCompare(b.name) || a.id.localeCompare(b.id));
    },
    clusterOf: (hostId) => belongs.get(hostId) ?? null,
    get: (id) => views.get(id) ?? null,
  };
}

function components(witnesses: readonly ClusterWitness[], lastName: (hostId: string) => string): Component[] {
  const found: Component[] = [];
  for (const witness of witnesses) {
    const { engine } = witness.report;
    if (engine === null) continue;
    // An engine that has never been reached since the agent started may not know its own name.
    const name = engine.clusterName === '' ? lastName(witness.hostId) : engine.clusterName;
    if (name === '') continue;
    const merged: Component = {
      key: witness.lab ? `lab:${name}` : name,
      name,
      nodes: new Set(engine.members.map((one) => `${one.nodeId}@${one.addresses[0]?.address ?? one.name ?? ''}`)),
      witnesses: [witness],
    };
    for (let index = found.length - 1; index >= 0; index -= 1) {
      const other = found[index];
      if (other === undefined || other.key !== merged.key) continue;
      if (!akin(other.nodes, merged.nodes)) continue;
      for (const node of other.nodes) merged.nodes.add(node);
      merged.witnesses.unshift(...other.witnesses);
      found.splice(index, 1);
    }
    found.push(merged);
  }
  return found;
}

/** A report without members (its engine is down since the start) belongs to its namesake. */
const akin = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
  a.size === 0 || b.size === 0 || [...a].some((node) => b.has(node));
