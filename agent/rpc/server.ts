/** The agent's side of the desktop's connection: answers AgentApi and pushes AgentEvents. */
import { addNodeToCluster, undoAddNode } from '../cluster/add-node.ts';
import { endedApplies } from '../cluster/apply/apply-view.ts';
import { planConf, startApply } from '../cluster/apply/apply.ts';
import { confirmApply, revertApply } from '../cluster/apply/end-apply.ts';
import { FOLDER } from '../cluster/apply/trial.ts';
import { TREE_CONF } from '../cluster/conf-write.ts';
import { createCluster } from '../cluster/create.ts';
import { EngineLink } from '../cluster/engine-link.ts';
import { agentVersion } from '../cluster/installation.ts';
import { installProcedure } from '../cluster/install/install.ts';
import { installLocalConf, publishLocalConf } from '../cluster/emergency-conf.ts';
import { joinCluster } from '../cluster/join.ts';
import { moveEngine, planMove } from '../cluster/move/move.ts';
import { nodePorts } from '../cluster/node-ports.ts';
import { preflightAdd, preflightJoin } from '../cluster/preflight.ts';
import type { Watcher } from '../cluster/procedure.ts';
import { TreeLink } from '../cluster/tree-link.ts';
import { readEvents } from '../event-log.ts';
import type { FileSystemStatus } from '../mount/control.ts';
import type { NodeLayout } from '../node-layout.ts';
import { AGENT_PROTOCOL } from './api.ts';
import type { AgentApi, AgentEvents, ConfFile, NodeReport } from './api.ts';
import { tailEvents } from './event-tail.ts';
import { composeReport, confFile } from './report.ts';

/** Changes that come in one burst (a membership change touches many things) make one report. */
const COALESCE_MS = 50;
/** Services and files are not watched: their state is at most this old. */
const REPORT_EVERY_MS = 2_000;

export interface AgentServer {
  readonly api: AgentApi;
  close(): Promise<void>;
}

/** `events` is the other side; nothing is pushed before `watch` is called. */
export function agentServer(layout: NodeLayout, events: () => AgentEvents): AgentServer {
  let fileSystem: FileSystemStatus | null = null;
  let watching = false;
  let due: NodeJS.Timeout | null = null;
  let reporting = false;
  let stopTail = (): void => undefined;
  const tree = new TreeLink(layout);
  const engine = new EngineLink(layout, () => soon());
  const ports = nodePorts(layout, engine, tree);
  const operations = new Map<string, AbortController>();

  const report = (): Promise<NodeReport> => composeReport(ports, fileSystem);
  const push = async (): Promise<void> => {
    due = null;
    if (reporting) return soon();
    reporting = true;
    try {
      events().report(await report());
    } finally {
      reporting = false;
    }
  };
  const soon = (): void => {
    if (watching) due ??= setTimeout(() => void push(), COALESCE_MS);
  };
  const heartbeat = setInterval(soon, REPORT_EVERY_MS - COALESCE_MS);

  const watchTree = (): void =>
    tree.watch(
      {
        changed: (path) => {
          events().treeChanged(path);
          if (path === TREE_CONF || path.startsWith(FOLDER)) soon();
        },
        statusChanged: (status) => {
          fileSystem = status;
          soon();
        },
      },
      () => {
        fileSystem = null;
        soon();
      },
    );

  /** Runs one procedure under its operation's name, so that it can be cancelled and its steps are told apart. */
  async function operate<T>(operation: string, work: (watcher: Watcher) => Promise<T>): Promise<T> {
    if (operations.has(operation)) throw new Error(`operation ${operation} runs already`);
    const controller = new AbortController();
    operations.set(operation, controller);
    try {
      return await work({ signal: controller.signal, onStep: (step) => events().step(operation, step) });
    } finally {
      operations.delete(operation);
      soon();
    }
  }

  const treeConf = async (): Promise<ConfFile | null> => {
    try {
      return confFile(Buffer.from(await tree.read(TREE_CONF), 'base64'));
    } catch {
      return null;
    }
  };

  const api: AgentApi = {
    hello: () => ({
      protocol: AGENT_PROTOCOL,
      version: agentVersion(),
      hostname: layout.hostname,
      pid: process.pid,
    }),
    watch: async () => {
      if (!watching) {
        watching = true;
        fileSystem = await tree.status();
        watchTree();
        stopTail = tailEvents(layout, (event) => events().event(event));
        // The first report must not show an engine as down only because nobody asked it before.
        await engine.settled(1_000);
      }
      return report();
    },
    events: async (limit) => readEvents(layout, limit),
    readConf: async () => {
      const local = ports.files.readConf();
      return { tree: await treeConf(), local: local === null ? null : confFile(Buffer.from(local, 'utf8')) };
    },
    planConf: (request) => planConf(ports, request),
    applyConf: (operation, request) =>
      operate(operation, async (watcher) => void (await startApply(ports, request, watcher))),
    confirmConf: (author) => confirmApply(ports, author),
    revertConf: (author) => revertApply(ports, author),
    expectVotes: (votes) => engine.setExpectedVotes(votes),
    installLocalConf: (operation, request) =>
      operate(operation, (watcher) => installLocalConf(ports, request, watcher)),
    publishLocalConf: (operation) => operate(operation, (watcher) => publishLocalConf(ports, watcher)),
    planMove: (to) => planMove(ports, to),
    moveEngine: (operation, order) =>
      operate(operation, async (watcher) => void (await moveEngine(ports, order, watcher))),
    confHistory: () => endedApplies(ports),
    list: (path) => tree.list(path),
    read: (path) => tree.read(path),
    createCluster: (operation, request) => operate(operation, (watcher) => createCluster(ports, request, watcher)),
    preflightJoin: (request) => preflightJoin(ports, request),
    preflightAdd: async (request) => {
      await engine.settled(1_000);
      return preflightAdd(ports, request);
    },
    addNode: (operation, request) => operate(operation, (watcher) => addNodeToCluster(ports, request, watcher)),
    undoAddNode: (operation, { nodeId }) => operate(operation, (watcher) => undoAddNode(ports, nodeId, watcher)),
    installCorosync: (operation) => operate(operation, (watcher) => installProcedure(ports, watcher)),
    joinCluster: (operation, ticket) => operate(operation, (watcher) => joinCluster(ports, ticket, watcher)),
    cancel: (operation) => operations.get(operation)?.abort(),
  };

  return {
    api,
    close: async () => {
      watching = false;
      clearInterval(heartbeat);
      if (due !== null) clearTimeout(due);
      stopTail();
      tree.close();
      // A connection that breaks must not leave a procedure half done: it goes back, or to its end.
      while (operations.size > 0) await new Promise((resolve) => setTimeout(resolve, 100));
      await engine.close();
    },
  };
}
