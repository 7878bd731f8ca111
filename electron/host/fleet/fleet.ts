/** All hosts: the user's, kept in the settings, and the lab's. Their links, and the clusters they form. */
import { randomBytes } from 'node:crypto';
import type { EventEntry, Step } from '../../../agent/rpc/api.ts';
import type { Lab, LabStatus } from '../../lab/lab.ts';
import type { ClusterView, HostAddress, HostView, LabView } from '../api.ts';
import { adoptedCluster, adoptedNode } from '../adopt/adopted-cluster.ts';
import type { AdoptedFacts } from '../adopt/facts.ts';
import { loadSettings, saveSettings } from '../settings.ts';
import { emptyClusters } from './clusters.ts';
import { HostLink } from './host-link.ts';

export interface FleetOptions {
  readonly settingsDirectory: string;
  readonly knownHostsFile: string;
  readonly bundleDirectory: string;
  readonly lab: Lab | null;
}

export interface FleetEvents {
  changed(): void;
  /** `link` is null for what concerns the app itself. */
  event(link: HostLink | null, entry: EventEntry): void;
  step(link: HostLink, operation: string, step: Step): void;
  treeChanged(clusterId: string, path: string): void;
  /** A host without an agent has been looked at. */
  looked(link: HostLink, facts: AdoptedFacts): void;
}

/** The lab can be changed from the command line too; this is how soon the app sees it, in milliseconds. */
const LAB_EVERY_MS = 3000;

export class Fleet {
  readonly #options: FleetOptions;
  readonly #events: FleetEvents;
  readonly #links = new Map<string, HostLink>();
  readonly #clusters = emptyClusters();
  readonly #labTimer: NodeJS.Timeout | null;
  #views: ClusterView[] = [];
  #stale = true;
  #labStatus: LabStatus | null = null;
  #labBusy = false;

  constructor(options: FleetOptions, events: FleetEvents) {
    this.#options = options;
    this.#events = events;
    const { hosts, warning } = loadSettings(options.settingsDirectory);
    if (warning !== null) this.#note('warning', warning);
    for (const { id, host } of hosts) this.#open(id, host, null);
    this.#labTimer = options.lab === null ? null : setInterval(() => void this.refreshLab(), LAB_EVERY_MS);
    void this.refreshLab();
  }

  hosts(): HostView[] {
    this.clusters();
    return [...this.#links.values()].map((link) => ({
      id: link.id,
      host: link.host,
      connection: link.connection,
      agent: link.agent,
      report: link.report,
      clusterId: this.#clusters.clusterOf(link.id),
      adopted: link.adopted === null ? null : adoptedNode(link.adopted),
      lab: link.lab,
    }));
  }

  clusters(): ClusterView[] {
    if (this.#stale) {
      this.#stale = false;
      const witnesses = [...this.#links.values()].flatMap(({ id, reachable, adoptedLive, lab, report, toldMs }) =>
        report === null ? [] : [{ hostId: id, reachable: reachable || adoptedLive, lab, report, toldMs }],
      );
      const hosts = [...this.#links.values()].map(({ id, host }) => ({ id, address: host.address }));
      this.#views = this.#clusters.update(witnesses, hosts).map((view) => this.#withAdopted(view));
    }
    return this.#views;
  }

  /** Throws when there is no such host. */
  link(id: string): HostLink {
    const link = this.#links.get(id);
    if (link === undefined) throw new Error('There is no such host any more.');
    return link;
  }

  /** Throws when there is no such cluster. */
  cluster(id: string): ClusterView {
    this.clusters();
    const view = this.#views.find((one) => one.id === id);
    if (view === undefined) throw new Error('There is no such cluster any more.');
    return view;
  }

  /** The hosts of a cluster that can be asked now, the best informed first. */
  reachableMembers(clusterId: string): HostLink[] {
    const { seenFrom } = this.cluster(clusterId);
    const links = [...this.#links.values()].filter(
      (link) => link.reachable && this.#clusters.clusterOf(link.id) === clusterId,
    );
    return links.sort((a, b) => Number(b.id === seenFrom) - Number(a.id === seenFrom));
  }

  /** The hosts of an adopted cluster whose Corosync answers now, the best informed first. */
  adoptedMembers(clusterId: string): HostLink[] {
    const { seenFrom } = this.cluster(clusterId);
    const links = this.#ofCluster(clusterId).filter((link) => link.adoptedLive);
    return links.sort((a, b) => Number(b.id === seenFrom) - Number(a.id === seenFrom));
  }

  #ofCluster(clusterId: string): HostLink[] {
    return [...this.#links.values()].filter((link) => this.#clusters.clusterOf(link.id) === clusterId);
  }

  /** A cluster is adopted while none of its hosts has an agent. */
  #withAdopted(view: ClusterView): ClusterView {
    const links = this.#ofCluster(view.id);
    if (links.some(({ client }) => client !== null)) return view;
    const asked = links.flatMap(({ id, report, adopted, adoptedLive }) =>
      adopted === null ? [] : [{ hostId: id, name: report?.hostname ?? id, facts: adopted, live: adoptedLive }],
    );
    return { ...view, adopted: adoptedCluster(asked, view.members) };
  }

  add(host: HostAddress): string {
    const same = [...this.#links.values()].find(
      (link) => link.host.address === host.address && link.host.port === host.port && link.host.user === host.user,
    );
    if (same !== undefined) throw new Error(`${host.address} is in the list already, as ${same.host.name}.`);
    const id = `host-${randomBytes(6).toString('hex')}`;
    this.#open(id, { ...host, name: host.name === '' ? host.address : host.name }, null);
    this.#save();
    this.#changed();
    return id;
  }

  remove(id: string): void {
    const link = this.link(id);
    if (link.lab) throw new Error(`${link.host.name} belongs to the lab; "npm run lab -- down" takes the lab away.`);
    link.stop();
    this.#links.delete(id);
    this.#save();
    this.#changed();
  }

  lab(): LabView | null {
    const status = this.#labStatus;
    if (status === null) return null;
    return {
      nodes: status.nodes.map(({ name, state, cut }) => ({ name, state, cut, hostId: labHostId(name) })),
      canCut: status.kind === 'namespaces',
    };
  }

  /** Does something to the lab, and looks at it again whether or not that went well. */
  async withLab(work: (lab: Lab) => Promise<void>): Promise<void> {
    if (this.#options.lab === null) throw new Error('No lab is up. "npm run lab -- up" brings one up.');
    try {
      await work(this.#options.lab);
    } finally {
      await this.refreshLab();
    }
  }

  /** Reads the lab's state and makes the hosts follow it. Never rejects. */
  async refreshLab(): Promise<void> {
    const { lab } = this.#options;
    if (lab === null || this.#labBusy) return;
    this.#labBusy = true;
    try {
      this.#followLab(await lab.status());
    } catch (error) {
      if (this.#labStatus !== null) this.#note('warning', `The lab does not answer: ${(error as Error).message}`);
      this.#labStatus = null;
      this.#changed();
    } finally {
      this.#labBusy = false;
    }
  }

  close(): void {
    if (this.#labTimer !== null) clearInterval(this.#labTimer);
    for (const link of this.#links.values()) link.stop();
    this.#links.clear();
  }

  #followLab(status: LabStatus): void {
    const before = this.#labStatus;
    if (JSON.stringify(before) === JSON.stringify(status)) return;
    this.#labStatus = status;
    const present = new Set(status.nodes.map(({ name }) => labHostId(name)));
    for (const link of this.#links.values()) {
      if (!link.lab || present.has(link.id)) continue;
      link.stop();
      this.#links.delete(link.id);
    }
    for (const { name, address, port, state, cut } of status.nodes) {
      const id = labHostId(name);
      const known = this.#links.get(id);
      if (known !== undefined && (known.host.address !== address || known.host.port !== port)) {
        known.stop();
        this.#links.delete(id);
      }
      if (!this.#links.has(id)) {
        const host = { name, address, port, user: status.user, identityFile: status.identityFile };
        this.#open(id, host, status.knownHostsFile);
      }
      const then = before?.nodes.find((node) => node.name === name);
      const returned = (then?.state === 'stopped' && state === 'running') || (then?.cut === true && !cut);
      if (returned) known?.reconnect();
    }
    this.#changed();
  }

  #open(id: string, host: HostAddress, labKnownHosts: string | null): void {
    // The link calls back while it is being made: `link` is read later only.
    const link: HostLink = new HostLink({
      id,
      host,
      labKnownHosts,
      appKnownHosts: this.#options.knownHostsFile,
      bundleDirectory: this.#options.bundleDirectory,
      events: {
        changed: () => this.#changed(),
        event: (entry) => this.#events.event(link, entry),
        noted: (severity, message) => {
          this.#events.event(link, { timeMs: Date.now(), severity, source: 'cluster', message });
        },
        step: (operation, step) => this.#events.step(link, operation, step),
        treeChanged: (path) => this.#treeChanged(link, path),
        looked: (facts) => this.#events.looked(link, facts),
      },
    });
    this.#links.set(id, link);
  }

  /** Every member tells of every change; the page hears it once, from the member its picture comes from. */
  #treeChanged(link: HostLink, path: string): void {
    const cluster = this.clusters().find(({ seenFrom }) => seenFrom === link.id);
    if (cluster !== undefined) this.#events.treeChanged(cluster.id, path);
  }

  #save(): void {
    const hosts = [...this.#links.values()].filter((link) => !link.lab).map(({ id, host }) => ({ id, host }));
    saveSettings(this.#options.settingsDirectory, hosts);
  }

  #note(severity: EventEntry['severity'], message: string): void {
    this.#events.event(null, { timeMs: Date.now(), severity, source: 'cluster', message });
  }

  #changed(): void {
    this.#stale = true;
    this.#events.changed();
  }
}

const labHostId = (name: string): string => `lab-${name}`;
