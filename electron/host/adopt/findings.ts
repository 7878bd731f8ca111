/** What should be said of a cluster by comparing its nodes: drift, mixed versions, faults. Plain sentences. Pure. */
import { isOldDialect } from '../../../agent/conf/index.ts';
import type { AdoptedFinding, ClusterMember } from '../api.ts';
import { clusterConf, versionOf } from './as-report.ts';
import type { AdoptedFacts } from './facts.ts';

/** One host of the cluster that was asked. */
export interface AskedNode {
  readonly name: string;
  readonly facts: AdoptedFacts;
  /** It answers now; otherwise the facts are the last that it gave. */
  readonly live: boolean;
}

/** The most pressing first. */
export function findingsOf(nodes: readonly AskedNode[], members: readonly ClusterMember[]): AdoptedFinding[] {
  const found = [
    ...stopped(nodes),
    ...drift(nodes),
    ...staleEngines(nodes),
    ...mixed(nodes),
    ...oldDialect(nodes),
    ...linkFaults(nodes, members),
    ...gaps(nodes),
    ...unseen(nodes, members),
  ];
  const rank = { bad: 0, warn: 1, info: 2 } as const;
  return found.sort((a, b) => rank[a.tone] - rank[b.tone]);
}

const list = (words: readonly string[]): string =>
  words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} and ${words.at(-1) ?? ''}`;

function stopped(nodes: readonly AskedNode[]): AdoptedFinding[] {
  return nodes.flatMap(({ name, facts, live }): AdoptedFinding[] => {
    if (!live || facts.running.corosync) return [];
    const sentence = `Corosync does not run on ${name}.`;
    const advice = facts.systemd
      ? `Look at "journalctl -b -u corosync" there, then start it: systemctl start corosync.`
      : `Start it there: service corosync start.`;
    return [{ id: `stopped-${name}`, tone: 'bad', sentence, advice }];
  });
}

/** Groups of names by a key; the largest group first, then the one that was met first. */
function groups(nodes: readonly AskedNode[], key: (facts: AdoptedFacts) => string | null): [string, string[]][] {
  const found = new Map<string, string[]>();
  for (const { name, facts } of nodes) {
    const value = key(facts);
    if (value !== null) found.set(value, [...(found.get(value) ?? []), name]);
  }
  return [...found].sort((a, b) => b[1].length - a[1].length);
}

function drift(nodes: readonly AskedNode[]): AdoptedFinding[] {
  const found: AdoptedFinding[] = [];
  for (const { name, facts } of nodes) {
    if (
      facts.manager === 'proxmox' &&
      facts.treeConf !== null &&
      facts.conf !== null &&
      facts.treeConf !== facts.conf
    ) {
      const [tree, local] = [versionOf(facts.treeConf) ?? 0, versionOf(facts.conf) ?? 0];
      const which = tree > local ? 'older' : tree < local ? 'newer' : 'another, of the same version';
      found.push({
        id: `tree-drift-${name}`,
        tone: 'warn',
        sentence:
          `On ${name} /etc/corosync/corosync.conf is ${which} than /etc/pve/corosync.conf (version ${local} and ${tree}).`.replace(
            'another, of the same version than',
            'not the same as',
          ),
        advice:
          tree > local
            ? 'pmxcfs installs it by itself once the node is in the quorate part. If it does not, look at "journalctl -u pve-cluster" there.'
            : 'Apply the file anew under Configuration: its version is raised, and pmxcfs installs it on every node.',
      });
    }
  }
  const byText = groups(nodes, clusterConf);
  if (byText.length < 2) return found;
  const [most, ...others] = byText;
  const version = versionOf(most?.[0] ?? null);
  for (const [text, names] of others) {
    const other = versionOf(text);
    const plural = names.length === 1 ? 'has' : 'have';
    found.push({
      id: `drift-${names.join('-')}`,
      tone: 'bad',
      sentence:
        `${list(names)} ${plural} another corosync.conf than ${list(most?.[1] ?? [])}: ` +
        (other === version
          ? `both say version ${version ?? 'none'}.`
          : `version ${other ?? 'none'} and ${version ?? 'none'}.`),
      advice:
        'Compare them under Configuration and apply the right one: it goes to every node. A node that restarts with another file may not find the ring.',
    });
  }
  return found;
}

/** A file that was changed and never loaded comes into effect at the next restart, when nobody thinks of it. */
function staleEngines(nodes: readonly AskedNode[]): AdoptedFinding[] {
  const stale = nodes.flatMap(({ name, facts }) => {
    const [runs, disk] = [Number(facts.cmap.get('totem.config_version') ?? 'NaN'), versionOf(facts.conf)];
    return facts.running.corosync && Number.isFinite(runs) && disk !== null && runs !== disk
      ? [{ name, runs, disk }]
      : [];
  });
  return stale.map(({ name, runs, disk }) => ({
    id: `stale-${name}`,
    tone: 'warn' as const,
    sentence: `Corosync on ${name} runs version ${runs}, and version ${disk} lies on its disk.`,
    advice: 'Apply the file under Configuration: it is loaded, and read back from every node.',
  }));
}

function mixed(nodes: readonly AskedNode[]): AdoptedFinding[] {
  const found: AdoptedFinding[] = [];
  const compare = (id: string, what: string, key: (facts: AdoptedFacts) => string | null, advice: string): void => {
    const parts = groups(nodes, key);
    if (parts.length < 2) return;
    const words = parts.map(([version, names]) => `${version} on ${list(names)}`);
    found.push({
      id: `mixed-${id}`,
      tone: 'warn',
      sentence: `Not every node has the same ${what}: ${list(words)}.`,
      advice,
    });
  };
  const majors = new Set(nodes.flatMap(({ facts }) => facts.major ?? []));
  const corosync = (facts: AdoptedFacts): string | null => facts.versions.corosync;
  if (majors.size > 1) {
    const words = groups(nodes, corosync).map(([version, names]) => `${version} on ${list(names)}`);
    found.push({
      id: 'mixed-majors',
      tone: 'bad',
      sentence: `Corosync ${list([...majors].sort().map(String))} are in one cluster: ${list(words)}. They do not understand each other.`,
      advice: 'Bring all nodes to the same release in one maintenance window. Until then no change is made from here.',
    });
  } else {
    compare(
      'corosync',
      'Corosync',
      corosync,
      'A difference within one release is fine while you upgrade node by node; finish the upgrade.',
    );
  }
  compare(
    'proxmox',
    'Proxmox VE',
    (facts) => facts.versions.proxmox,
    'Finish the upgrade; migrations go from older nodes to newer ones only.',
  );
  compare(
    'pacemaker',
    'Pacemaker',
    (facts) => facts.versions.packages.get('pacemaker') ?? null,
    'Finish the upgrade: the newest features wait until every node has them.',
  );
  const managers = groups(nodes, (facts) => facts.manager);
  if (managers.length > 1) {
    found.push({
      id: 'mixed-managers',
      tone: 'warn',
      sentence: `The nodes are not looked after by the same programs: ${list(managers.map(([one, names]) => `${MANAGER[one] ?? one} on ${list(names)}`))}.`,
      advice: null,
    });
  }
  return found;
}

const MANAGER: Readonly<Record<string, string>> = {
  proxmox: 'Proxmox VE',
  pacemaker: 'Pacemaker',
  plain: 'nothing else',
};

function oldDialect(nodes: readonly AskedNode[]): AdoptedFinding[] {
  const old = nodes.filter(({ facts }) => isOldDialect(clusterConf(facts) ?? ''));
  const [first] = old;
  if (first === undefined) return [];
  return first.facts.major === 3
    ? [
        {
          id: 'old-dialect',
          tone: 'warn',
          sentence:
            'corosync.conf is written for Corosync 2: its redundant rings (rrp_mode, ringnumber) mean nothing to Corosync 3.',
          advice:
            'Open Configuration and press Convert to links: the rings become links of knet, and each step is explained.',
        },
      ]
    : [
        {
          id: 'old-dialect',
          tone: 'info',
          sentence: 'This cluster uses the redundant rings of Corosync 2.',
          advice:
            'They work as they are. When you upgrade to Corosync 3, convert them into knet links under Configuration, and restart all nodes together with the new file.',
        },
      ];
}

/** More falls than this of one link since the start are worth a word. */
const MANY_DOWNS = 3;

function linkFaults(nodes: readonly AskedNode[], members: readonly ClusterMember[]): AdoptedFinding[] {
  const nameOf = (id: number): string => members.find(({ nodeId }) => nodeId === id)?.name ?? `node ${id}`;
  const present = new Set(members.filter(({ state }) => state === 'member').map(({ nodeId }) => nodeId));
  return nodes.flatMap(({ name, facts, live }): AdoptedFinding[] => {
    if (!live) return [];
    const rings = facts.toolLinks.flatMap(({ link, fault }): AdoptedFinding[] =>
      fault === null
        ? []
        : [
            {
              id: `ring-${name}-${link}`,
              tone: 'bad',
              sentence: `Ring ${link} is faulty on ${name}: ${fault}.`,
              advice: `Mend that network, then on ${name}: corosync-cfgtool -r.`,
            },
          ],
    );
    const links = facts.links.flatMap((one): AdoptedFinding[] => {
      const { peer, link, connected, downs } = one;
      if (!connected && present.has(peer)) {
        const sentence = `Link ${link} from ${name} to ${nameOf(peer)} is down; the ring goes on over another link.`;
        return [
          {
            id: `link-${name}-${peer}-${link}`,
            tone: 'warn',
            sentence,
            advice: `Look at the network of link ${link} between them.`,
          },
        ];
      }
      if (downs < MANY_DOWNS) return [];
      const sentence = `Link ${link} from ${name} to ${nameOf(peer)} has gone down ${downs} times since Corosync started there.`;
      return [
        {
          id: `flap-${name}-${peer}-${link}`,
          tone: 'warn',
          sentence,
          advice: 'Look at cable, switch and load of that network.',
        },
      ];
    });
    return [...rings, ...links];
  });
}

function gaps(nodes: readonly AskedNode[]): AdoptedFinding[] {
  return nodes.flatMap(({ name, facts, live }): AdoptedFinding[] => {
    if (!live) {
      return [
        {
          id: `away-${name}`,
          tone: 'info',
          sentence: `${name} cannot be reached now; what is shown of it is what it said last.`,
          advice: null,
        },
      ];
    }
    if (facts.gaps.length === 0 || !facts.running.corosync) return [];
    const sentence = `Not everything could be asked of ${name}: ${facts.gaps.join(' ')}`;
    return [{ id: `gaps-${name}`, tone: 'info', sentence, advice: null }];
  });
}

function unseen(nodes: readonly AskedNode[], members: readonly ClusterMember[]): AdoptedFinding[] {
  const away = members.filter(({ hostId }) => hostId === null).map(({ name }) => name);
  if (away.length === 0 || nodes.length === 0) return [];
  return [
    {
      id: 'unseen',
      tone: 'info',
      sentence: `${list(away)} ${away.length === 1 ? 'is' : 'are'} known by name only: files and versions there are not compared.`,
      advice: 'Add them as hosts to see them too, and to be able to change the cluster.',
    },
  ];
}
