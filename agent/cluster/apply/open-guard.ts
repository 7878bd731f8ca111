/** The guard on a real node. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { diagnose, parse, type Environment } from '../../conf/index.ts';
import { sectionsAt } from '../../conf/syntax.ts';
import { nodeOf } from '../../conf/model.ts';
import { chooseEngine, engineChoice } from '../../engine/choice.ts';
import type { ChosenEngine } from '../../engine/chosen.ts';
import type { EngineKind } from '../../engine/engine.ts';
import type { NodeLayout } from '../../node-layout.ts';
import { nodePackages } from '../install/node-packages.ts';
import { agentVersion } from '../installation.ts';
import { localAddresses, localNetwork, nodeClock, nodeFiles } from '../node-ports.ts';
import { pushConf } from '../push-conf.ts';
import { openServices } from '../services.ts';
import { TreeLink } from '../tree-link.ts';
import { openWord } from '../move/word.ts';
import { Guard } from './guard.ts';
import { journalOf } from './journal-file.ts';
import type { GuardPorts } from './guard-ports.ts';
import { guardDisk, stagedConf } from './guard-disk.ts';
import { FOLDER } from './trial.ts';

const run = promisify(execFile);
/** Corosync reads a file within milliseconds; names that do not resolve may take it seconds. */
const TRIAL_RUN_MS = 10_000;

export interface OpenGuard {
  /** The tree's corosync.conf may have changed; this is its text. */
  confChanged(text: string | null): void;
  close(): Promise<void>;
}

/** Begins to guard; `tree` of the running pmxcfs is reached through its socket. */
export function openGuard(
  layout: NodeLayout,
  self: GuardPorts['self'],
  engine: ChosenEngine,
  log: GuardPorts['log'],
): OpenGuard {
  const tree = new TreeLink(layout);
  const files = nodeFiles(layout);
  const choice = (): ReturnType<typeof engineChoice> => engineChoice(layout);
  const services = openServices(layout, choice);
  let treeConf: string | null = null;
  const changeTo = async (to: EngineKind, placeConf: () => void): Promise<void> => {
    if (choice() !== to) await services.stop('engine');
    placeConf();
    chooseEngine(layout, to);
    await engine.follow(to);
    await services.engineAtBoot();
    await services.start('engine');
  };
  const guard = new Guard({
    self,
    agent: agentVersion(),
    disk: guardDisk(layout),
    tree,
    clock: nodeClock,
    monotonic: () => performance.now(),
    engine: {
      kind: choice,
      status: () => engine.status(),
      reload: () => engine.reload(),
      readBack: (text) => engine.readBack(text),
      restart: () => services.restart('engine'),
      changeTo,
    },
    isAlive,
    refuses: (text, target) => refuses(layout, text, target),
    push: () =>
      pushConf({
        readTree: () => treeConf,
        readLocal: files.readConf,
        writeLocal: files.writeConf,
        engine: choice,
        reload: () => engine.reload(),
        log,
      }),
    digest: (text) => createHash('sha256').update(text, 'utf8').digest('hex'),
    log,
  });
  const changed = (path: string): void => {
    if (path === '' || path.startsWith(FOLDER)) guard.look();
  };
  tree.watch({ changed, statusChanged: () => guard.look() }, () => undefined);
  const off = engine.onStatus(() => guard.look());
  const words = openWord({
    hostname: layout.hostname,
    status: () => engine.status(),
    engine: choice,
    readConf: files.readConf,
    readKey: () => {
      const key = files.readAuthkey();
      return key === null ? null : Buffer.from(key, 'base64');
    },
    onTrial: () => journalOf(layout)?.givenUp === false,
    heard: (word) => guard.comeOver(word),
    monotonic: () => performance.now(),
    log,
  });
  guard.look();
  return {
    confChanged: (text) => {
      treeConf = text;
      guard.confChanged(text);
    },
    close: async () => {
      off();
      await words.close();
      await guard.close();
      tree.close();
    },
  };
}

function isAlive(pid: number): boolean {
  // 0 would be this process's own group, negative numbers other groups (kill(2)).
  if (pid < 1) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Our own rules with what is known of this machine; where Corosync is the engine, Corosync's own word too. */
async function refuses(layout: NodeLayout, text: string, engine: EngineKind): Promise<string | null> {
  const corosync = engine === 'corosync';
  if (corosync && (await nodePackages(layout).installedCorosync()) === null) {
    return 'Corosync is not installed on this node. Run there: pvecm install-corosync';
  }
  const environment = await environmentOf(layout, text);
  const found = diagnose(text, { dialect: corosync ? 'corosync3' : 'ringmaster', environment });
  const [fault] = found.filter(
    ({ severity, rule }) => severity === 'error' && (corosync || rule !== 'authkey-missing'),
  );
  if (fault !== undefined) return `line ${fault.line}: ${fault.message}`;
  return corosync ? corosyncRefuses(layout, text) : null;
}

async function environmentOf(layout: NodeLayout, text: string): Promise<Environment> {
  const network = localNetwork(layout.root !== '');
  const hosts: Record<string, string> = {};
  for (const section of sectionsAt(parse(text), 'nodelist.node')) {
    for (const { address } of nodeOf(section).addresses) {
      const [found] = await network.resolve(address);
      if (found !== undefined) hosts[address] = found;
    }
  }
  const ips = localAddresses();
  for (const address of Object.values(hosts)) if (network.isLocal(address)) ips.push(address);
  return { hostname: layout.hostname, ips, hosts, authkey: nodeFiles(layout).readAuthkey() !== null };
}

/** `corosync -t` on a file beside the real one: it changes nothing and needs no running Corosync. */
async function corosyncRefuses(layout: NodeLayout, text: string): Promise<string | null> {
  const file = `${stagedConf(layout)}.check`;
  try {
    writeFileSync(file, text);
    await run('corosync', ['-t', '-c', file], { timeout: TRIAL_RUN_MS });
    return null;
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    const last = stderr?.trim().split('\n').at(-1) ?? '';
    return `Corosync refuses it: ${last === '' ? message : last.replace(/^.*MAIN\s*\]\s*/, '')}`;
  } finally {
    rmSync(file, { force: true });
  }
}
