/**
 * The desktop's back end: holds all state, pushes it to every page that shows it, and does what the
 * pages ask. Runs inside Electron and headless alike.
 */
import packageFile from '../../package.json' with { type: 'json' };
import type { CreateRequest, EventEntry } from '../../agent/rpc/api.ts';
import type { TreeEntry } from '../../agent/mount/control.ts';
import type { Lab } from '../lab/lab.ts';
import type {
  ApplyOrder,
  ApplyPlan,
  Check,
  EndedApply,
  HostAddress,
  HostApi,
  HostEvent,
  NodeConf,
  OpenedConf,
  Snapshot,
} from './api.ts';
import type { AgentClient } from './agent/client.ts';
import { eventRing } from './event-ring.ts';
import { Fleet } from './fleet/fleet.ts';
import type { HostLink } from './fleet/host-link.ts';
import { Operations } from './operations.ts';
import * as procedures from './procedures/start.ts';
import type { Workshop } from './procedures/start.ts';
import { Renderers } from './renderers.ts';
import type { RendererChannel } from './renderers.ts';

export interface HostAppOptions {
  /** Holds hosts.json. Made when missing. */
  readonly settingsDirectory: string;
  /** The app's own known_hosts, where approved keys go. */
  readonly knownHostsFile: string;
  readonly lab: Lab | null;
  /** dist/agent: what `npm run build:agent` wrote. */
  readonly bundleDirectory: string;
  readonly shell: Snapshot['shell'];
}

/** Calls reject with an Error whose message is ready for a person. Inputs are checked in `connectRenderer`. */
export class HostApp implements HostApi {
  readonly #shell: Snapshot['shell'];
  readonly #events = eventRing();
  readonly #renderers: Renderers;
  readonly #operations: Operations;
  readonly #fleet: Fleet;
  readonly #workshop: Workshop;

  constructor(options: HostAppOptions) {
    this.#shell = options.shell;
    this.#renderers = new Renderers(() => this.snapshot());
    const changed = (): void => this.#renderers.changed();
    this.#operations = new Operations(changed);
    this.#fleet = new Fleet(options, {
      changed,
      event: (link, entry) => this.#event(link, entry),
      step: (link, operation, step) => this.#operations.stepOfAgent(operation, link.host.name, step),
      treeChanged: (clusterId, path) => this.#renderers.treeChanged(clusterId, path),
    });
    const { bundleDirectory } = options;
    this.#workshop = { fleet: this.#fleet, operations: this.#operations, bundleDirectory };
  }

  /** Serves one page over a channel of JSON lines, until the returned function is called. */
  connectRenderer(channel: RendererChannel): () => void {
    return this.#renderers.connect(channel, this);
  }

  /** Everything the page shows apart from files and editors. */
  snapshot(): Snapshot {
    return {
      version: packageFile.version,
      shell: this.#shell,
      hosts: this.#fleet.hosts(),
      clusters: this.#fleet.clusters(),
      operations: this.#operations.views(),
      lab: this.#fleet.lab(),
    };
  }

  /** Ends every connection. */
  close(): void {
    this.#renderers.close();
    this.#fleet.close();
  }

  async watch(): Promise<Snapshot> {
    return this.snapshot();
  }

  async eventLog(): Promise<HostEvent[]> {
    return this.#events.all();
  }

  async addHost(host: HostAddress): Promise<{ id: string }> {
    return { id: this.#fleet.add(host) };
  }

  async removeHost(id: string): Promise<void> {
    this.#fleet.remove(id);
  }

  async reconnect(id: string): Promise<void> {
    this.#fleet.link(id).reconnect();
  }

  async approveKey(id: string, fingerprint: string): Promise<void> {
    this.#fleet.link(id).approveKey(fingerprint);
  }

  async giveSecret(id: string, secret: string): Promise<void> {
    this.#fleet.link(id).giveSecret(secret);
  }

  async installAgent(hostId: string): Promise<{ operation: string }> {
    return { operation: procedures.installAgent(this.#workshop, hostId) };
  }

  async uninstallAgent(hostId: string): Promise<{ operation: string }> {
    return { operation: procedures.uninstallAgent(this.#workshop, hostId) };
  }

  async openConf(clusterId: string): Promise<OpenedConf> {
    const cluster = this.#fleet.cluster(clusterId);
    const { tree } = await procedures.memberOf(this.#fleet, clusterId).readConf();
    if (tree === null) throw new Error(`${cluster.name} has no corosync.conf in its configuration tree.`);
    const nodes = await Promise.all(
      cluster.members.map(async (member): Promise<NodeConf> => {
        const { name: nodeName, hostId, runningVersion } = member;
        const client = hostId === null ? null : this.#fleet.link(hostId).client;
        const files = await client?.readConf().catch(() => undefined);
        return {
          nodeName,
          hostId,
          tree: copyOf(files?.tree),
          local: files?.local ?? null,
          runningVersion,
        };
      }),
    );
    return { clusterId, file: tree, nodes };
  }

  async planConf(clusterId: string, text: string, baseDigest: string): Promise<ApplyPlan> {
    return procedures.memberOf(this.#fleet, clusterId).planConf({ text, baseDigest, editedMs: null });
  }

  async applyConf(clusterId: string, order: ApplyOrder): Promise<{ operation: string }> {
    return { operation: procedures.applyConf(this.#workshop, clusterId, order) };
  }

  async confirmConf(clusterId: string): Promise<string> {
    return procedures.memberOf(this.#fleet, clusterId).confirmConf(procedures.author());
  }

  async revertConf(clusterId: string): Promise<string> {
    return procedures.memberOf(this.#fleet, clusterId).revertConf(procedures.author());
  }

  async expectVotes(hostId: string, votes: number): Promise<void> {
    await this.#agent(hostId).expectVotes(votes);
  }

  async emergencyConf(clusterId: string, text: string): Promise<{ operation: string }> {
    return { operation: procedures.emergency(this.#workshop, clusterId, text) };
  }

  async confHistory(clusterId: string): Promise<EndedApply[]> {
    return procedures.memberOf(this.#fleet, clusterId).confHistory();
  }

  async listFiles(hostId: string, path: string): Promise<TreeEntry[]> {
    return this.#agent(hostId).list(path);
  }

  async readFile(hostId: string, path: string): Promise<string> {
    return this.#agent(hostId).read(path);
  }

  async createCluster(hostId: string, request: CreateRequest): Promise<{ operation: string }> {
    return { operation: procedures.createCluster(this.#workshop, hostId, request) };
  }

  async preflightJoin(
    clusterId: string,
    hostId: string,
  ): Promise<{ checks: Check[]; nodeId: number; ring0Addr: string }> {
    return procedures.preflightJoin(this.#workshop, clusterId, hostId);
  }

  async join(clusterId: string, hostId: string): Promise<{ operation: string }> {
    return { operation: procedures.join(this.#workshop, clusterId, hostId) };
  }

  async cancel(operation: string): Promise<void> {
    this.#operations.cancel(operation);
  }

  async dismiss(operation: string): Promise<void> {
    this.#operations.dismiss(operation);
  }

  async labKill(name: string): Promise<void> {
    await this.#fleet.withLab((lab) => lab.kill(name));
  }

  async labStart(name: string): Promise<void> {
    await this.#fleet.withLab((lab) => lab.start(name));
  }

  async labCut(names: readonly string[]): Promise<void> {
    await this.#fleet.withLab((lab) => lab.cut(names));
  }

  async labHeal(): Promise<void> {
    await this.#fleet.withLab((lab) => lab.heal());
  }

  #agent(hostId: string): AgentClient {
    const link = this.#fleet.link(hostId);
    if (link.client === null) throw new Error(`${link.host.name} cannot be asked now: its agent is not connected.`);
    return link.client;
  }

  #event(link: HostLink | null, entry: EventEntry): void {
    const event = this.#events.add(link?.id ?? 'app', link?.host.name ?? 'Ringmaster', entry);
    if (event !== null) this.#renderers.event(event);
  }
}

const copyOf = (file: { digest: string; configVersion: number | null } | null | undefined): NodeConf['tree'] =>
  file === null || file === undefined ? null : { digest: file.digest, configVersion: file.configVersion };
