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
  EngineKind,
  MovePlan,
  NodeConf,
  OpenedConf,
  Snapshot,
} from './api.ts';
import { noteEnded } from './adopt/apply.ts';
import { AdoptedHistory } from './adopt/history.ts';
import * as adopted from './adopt/start.ts';
import type { AgentClient } from './agent/client.ts';
import { eventRing } from './event-ring.ts';
import { Fleet } from './fleet/fleet.ts';
import type { HostLink } from './fleet/host-link.ts';
import { Operations } from './operations.ts';
import { moveEngine, planMove } from './procedures/move-engine.ts';
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
  readonly #adopted: adopted.AdoptedWorkshop;

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
      looked: (link, { trial }) => {
        if (!noteEnded(this.#adopted.history, link.host.name, trial)) return;
        this.#event(link, {
          timeMs: Date.now(),
          severity: 'warning',
          source: 'cluster',
          message: trial?.outcome ?? '',
        });
      },
    });
    const { bundleDirectory } = options;
    this.#workshop = { fleet: this.#fleet, operations: this.#operations, bundleDirectory };
    this.#adopted = { ...this.#workshop, history: new AdoptedHistory(options.settingsDirectory) };
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
    if (cluster.adopted !== null) return adopted.open(this.#adopted, clusterId);
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
    if (this.#isAdopted(clusterId)) return adopted.plan(this.#adopted, clusterId, { text, baseDigest });
    return procedures.memberOf(this.#fleet, clusterId).planConf({ text, baseDigest, editedMs: null });
  }

  async applyConf(clusterId: string, order: ApplyOrder): Promise<{ operation: string }> {
    const operation = this.#isAdopted(clusterId)
      ? adopted.apply(this.#adopted, clusterId, order)
      : procedures.applyConf(this.#workshop, clusterId, order);
    return { operation };
  }

  async confirmConf(clusterId: string): Promise<string> {
    if (this.#isAdopted(clusterId)) return adopted.confirm(this.#adopted, clusterId);
    return procedures.memberOf(this.#fleet, clusterId).confirmConf(procedures.author());
  }

  async revertConf(clusterId: string): Promise<string> {
    if (this.#isAdopted(clusterId)) return adopted.revert(this.#adopted, clusterId);
    return procedures.memberOf(this.#fleet, clusterId).revertConf(procedures.author());
  }

  async planMove(clusterId: string, to: EngineKind): Promise<MovePlan> {
    return planMove(this.#workshop, clusterId, to);
  }

  async moveEngine(clusterId: string, to: EngineKind): Promise<{ operation: string }> {
    return { operation: moveEngine(this.#workshop, clusterId, to) };
  }

  async expectVotes(hostId: string, votes: number): Promise<void> {
    const clusterId = this.#fleet.hosts().find(({ id }) => id === hostId)?.clusterId ?? null;
    if (clusterId !== null && this.#isAdopted(clusterId)) {
      await adopted.expectVotes(this.#adopted, clusterId, hostId, votes);
    } else await this.#agent(hostId).expectVotes(votes);
  }

  async emergencyConf(clusterId: string, text: string): Promise<{ operation: string }> {
    if (this.#isAdopted(clusterId)) throw new Error(adopted.NO_EMERGENCY);
    return { operation: procedures.emergency(this.#workshop, clusterId, text) };
  }

  async confHistory(clusterId: string): Promise<EndedApply[]> {
    const { name } = this.#fleet.cluster(clusterId);
    if (this.#isAdopted(clusterId)) return this.#adopted.history.of(name);
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
    if (this.#isAdopted(clusterId)) return adopted.preflightJoin(this.#adopted, clusterId, hostId);
    return procedures.preflightJoin(this.#workshop, clusterId, hostId);
  }

  async join(clusterId: string, hostId: string): Promise<{ operation: string }> {
    const operation = this.#isAdopted(clusterId)
      ? adopted.join(this.#adopted, clusterId, hostId)
      : procedures.join(this.#workshop, clusterId, hostId);
    return { operation };
  }

  async removeNode(clusterId: string, nodeId: number): Promise<{ operation: string }> {
    if (!this.#isAdopted(clusterId)) {
      throw new Error('Stop the node, then take its section out of corosync.conf under Configuration.');
    }
    return { operation: adopted.removeNode(this.#adopted, clusterId, nodeId) };
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

  #isAdopted(clusterId: string): boolean {
    return this.#fleet.cluster(clusterId).adopted !== null;
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
