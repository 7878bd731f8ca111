/** The step "Install Corosync" of a procedure: nothing where it is there, else the distribution's package. */
import { modelOf } from '../conf-write.ts';
import type { NodeFiles } from '../ports.ts';
import {
  Cancelled,
  Procedure,
  sentence,
  throwIfCancelled,
  type PlannedStep,
  type Say,
  type Watcher,
} from '../procedure.ts';
import { chooseInstall, PACKAGE, wordsOf, type InstallChoice, type InstallCommand } from './choice.ts';
import { isPackagesExample, whyFailed } from './failure.ts';

/** What an installation touches of a machine. */
export interface Packages {
  /** Version of the Corosync that is installed, 3.1.7; null where its program or its libraries are missing. */
  installedCorosync(): Promise<string | null>;
  /** The text of os-release(5); empty where there is none. */
  osRelease(): string;
  hasProgram(name: string): boolean;
  /** Runs to the end, each line of either output to `say`. An abort sends SIGTERM. Rejects when it cannot be started. */
  run(
    command: InstallCommand,
    say: Say,
    signal: AbortSignal | null,
  ): Promise<{ readonly code: number | null; readonly output: string }>;
  /** Keeps the package from starting its service; what it resolves to lets go of that. `stop`: stops what runs all the same. */
  holdService(): Promise<(stop: boolean) => Promise<void>>;
}

export interface InstallPorts {
  readonly packages: Packages;
  readonly files: Pick<NodeFiles, 'readConf' | 'removeConf'>;
  log(severity: 'info' | 'notice' | 'warning' | 'error', message: string): void;
}

/** Ours drives the libraries of Corosync 3. */
const LEAST_MAJOR = 3;

export function installStep({ packages }: Pick<InstallPorts, 'packages'>): PlannedStep {
  const choice = chooseInstall(packages.osRelease(), (name) => packages.hasProgram(name));
  return {
    id: 'install',
    title: 'Install Corosync, unless it is there',
    command: choice.ok ? wordsOf(choice.value.install) : null,
  };
}

/**
 * Installs it. Rejects with a sentence for a person; `signal` breaks the download off, and while packages are being
 * unpacked it is not heard, so that none is left half installed.
 */
export async function installCorosync(ports: InstallPorts, say: Say, signal: AbortSignal): Promise<void> {
  const { packages, files } = ports;
  const present = await packages.installedCorosync();
  if (present !== null) {
    refuseOld(present);
    return say(`Corosync ${present} is installed`);
  }
  const chosen = chooseInstall(packages.osRelease(), (name) => packages.hasProgram(name));
  if (!chosen.ok) throw new Error(chosen.error);
  const choice = chosen.value;
  const { refresh, fetch, install, repair } = choice;
  const confBefore = files.readConf();
  let refreshed = '';
  if (refresh !== null) {
    // One repository that refuses (a subscription that has run out) does not mean that no other has the package.
    const { code, output } = await attempt(packages, choice, refresh, say, signal);
    refreshed = output;
    if (code !== 0) say('the lists of packages could not all be brought up to date; going on with what is there');
  }
  // A package that no list has may be missing because no list could be fetched.
  await must(packages, choice, fetch, say, signal, refreshed);
  throwIfCancelled(signal);
  // Debian's package starts Corosync at once, with an example for its configuration, as a cluster of its own.
  const release = await packages.holdService();
  try {
    await must(packages, choice, install, say, null);
    if ((await packages.installedCorosync()) === null) await must(packages, choice, repair, say, null);
  } finally {
    // Where there was a file before, what runs may be the cluster's own.
    await release(confBefore === null);
    const after = files.readConf();
    if (confBefore === null && after !== null && isPackagesExample(modelOf(after))) {
      files.removeConf();
      say('the example that the package put in the place of corosync.conf is taken away');
    }
  }
  const version = await packages.installedCorosync();
  if (version === null) {
    throw new Error(
      `the package ${PACKAGE} is installed, and its program or its libraries cannot be found all the same`,
    );
  }
  refuseOld(version);
  say(`Corosync ${version} is installed`);
  ports.log('notice', `Corosync ${version} was installed from the packages of ${choice.system}`);
}

/** The same as a procedure of its own: before a join or a move, while nothing waits for this node yet. */
export async function installProcedure(ports: InstallPorts, watcher: Watcher): Promise<void> {
  // A join has a step "install" too, and both belong to one operation of the app.
  const id = 'packages';
  const procedure = new Procedure([{ ...installStep(ports), id }], watcher);
  try {
    await procedure.step(id, (say) => installCorosync(ports, say, watcher.signal));
  } catch (error) {
    procedure.end();
    ports.log('error', `installing Corosync failed: ${sentence(error)}`);
    throw error;
  }
}

function refuseOld(version: string): void {
  const major = Number(/^\d+/.exec(version)?.[0] ?? 0);
  if (major >= LEAST_MAJOR) return;
  throw new Error(
    `this node has Corosync ${version}, and version ${LEAST_MAJOR} is needed: bring the distribution up to date, or use the bundled engine.`,
  );
}

async function must(
  packages: Packages,
  choice: InstallChoice,
  command: InstallCommand,
  say: Say,
  signal: AbortSignal | null,
  printedBefore = '',
): Promise<void> {
  const { code, output } = await attempt(packages, choice, command, say, signal);
  if (code !== 0) throw new Error(whyFailed(choice, wordsOf(command), code, `${printedBefore}\n${output}`));
}

async function attempt(
  packages: Packages,
  choice: InstallChoice,
  command: InstallCommand,
  say: Say,
  signal: AbortSignal | null,
): Promise<{ readonly code: number | null; readonly output: string }> {
  say(`$ ${wordsOf(command)}`);
  let result;
  try {
    result = await packages.run(command, say, signal);
  } catch (error) {
    throw new Error(whyFailed(choice, wordsOf(command), null, sentence(error)), { cause: error });
  }
  if (signal?.aborted === true) throw new Cancelled();
  return result;
}
