/** Which commands install Corosync on this distribution. Pure: from os-release(5) and the tools that are there. */
import { err, ok, type Result } from '../../result.ts';

export type Family = 'debian' | 'redhat' | 'suse';

export interface InstallCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** Beside the environment of the agent. */
  readonly env: Readonly<Record<string, string>>;
}

export interface InstallChoice {
  readonly family: Family;
  /** As the distribution calls itself: Debian GNU/Linux 12 (bookworm). */
  readonly system: string;
  /** Fetches the lists of packages; null where the tool does that by itself. */
  readonly refresh: InstallCommand | null;
  /** Fetches the packages and changes nothing: this one may be broken off at any time. */
  readonly fetch: InstallCommand;
  readonly install: InstallCommand;
  /** Where the package counts as installed and its program is missing. */
  readonly repair: InstallCommand;
}

export const PACKAGE = 'corosync';

/** Words of ID and ID_LIKE by which a family is known. */
const FAMILIES: readonly (readonly [Family, ReadonlySet<string>])[] = [
  ['debian', new Set(['debian', 'ubuntu', 'raspbian', 'devuan'])],
  ['redhat', new Set(['rhel', 'fedora', 'centos', 'rocky', 'almalinux', 'ol'])],
  ['suse', new Set(['suse', 'opensuse', 'opensuse-leap', 'opensuse-tumbleweed', 'sles', 'sled', 'sle_hpc'])],
];

/** The tools of each family, the preferred one first. */
const TOOLS: Readonly<Record<Family, readonly string[]>> = {
  debian: ['apt-get'],
  redhat: ['dnf', 'yum'],
  suse: ['zypper'],
};

/** What to do, or why it is not known: a sentence that says what to do instead. */
export function chooseInstall(osRelease: string, has: (program: string) => boolean): Result<InstallChoice, string> {
  const facts = parseOsRelease(osRelease);
  const system = facts.get('PRETTY_NAME') ?? facts.get('NAME') ?? facts.get('ID') ?? 'an unknown system';
  const words = [facts.get('ID') ?? '', ...(facts.get('ID_LIKE') ?? '').split(/\s+/)];
  const [family] = words.flatMap((word) => FAMILIES.flatMap(([name, known]) => (known.has(word) ? [name] : [])));
  if (family === undefined) return err(byHand(`how to install Corosync on ${system} is not known here`));
  const tool = TOOLS[family].find(has);
  if (tool === undefined) {
    return err(byHand(`${system} has no ${TOOLS[family].join(' or ')} to install Corosync with`));
  }
  return ok({ family, system, ...COMMANDS[family](tool) });
}

const byHand = (why: string): string =>
  `${why}. Install version 3 of the package corosync by hand and try again, or use the bundled engine.`;

/** os-release(5): NAME=value lines with the quoting of a shell. Later lines win. */
export function parseOsRelease(text: string): ReadonlyMap<string, string> {
  const facts = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, name, value] = /^\s*([A-Z][A-Z0-9_]*)=(.*?)\s*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    const quoted = /^(["'])(.*)\1$/.exec(value)?.[2] ?? value;
    facts.set(name, quoted.replace(/\\(.)/g, '$1'));
  }
  return facts;
}

/** English words: what went wrong is read from them. */
const PLAIN = { LC_ALL: 'C.UTF-8' };

/**
 * RUNLEVEL: without systemd, invoke-rc.d(8) leaves a service alone that does not belong to the runlevel. The package's
 * own Corosync must not start: it would run with the example it ships, a cluster of its own called "debian".
 */
const QUIET = { ...PLAIN, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };

/** A background update holds the lock for a minute or so; one that holds it longer hangs. Seconds. */
const LOCK_S = 60;

const COMMANDS: Readonly<Record<Family, (tool: string) => Omit<InstallChoice, 'family' | 'system'>>> = {
  debian: (program) => {
    const apt = (...args: string[]): InstallCommand => ({ program, args, env: QUIET });
    const options = [
      ...['-y', '--no-install-recommends', '-o', `DPkg::Lock::Timeout=${LOCK_S}`],
      // A corosync.conf that is there stays, without a question that nobody would answer.
      ...['-o', 'Dpkg::Options::=--force-confdef', '-o', 'Dpkg::Options::=--force-confold'],
    ];
    return {
      refresh: apt('update', '-o', `DPkg::Lock::Timeout=${LOCK_S}`),
      fetch: apt('install', ...options, '--download-only', PACKAGE),
      install: apt('install', ...options, PACKAGE),
      repair: apt('install', ...options, '--reinstall', PACKAGE),
    };
  },
  redhat: (program) => {
    const dnf = (...args: string[]): InstallCommand => ({ program, args: ['-y', ...args], env: PLAIN });
    // Rocky's and Alma's name for it from version 9 on, and in version 8. What does not exist is no error with --setopt,
    // as it is with --enablerepo; Fedora has Corosync in its own repository.
    const repositories = ['--setopt=highavailability.enabled=1', '--setopt=ha.enabled=1'];
    return {
      refresh: null,
      fetch: dnf('install', ...repositories, '--downloadonly', PACKAGE),
      install: dnf('install', ...repositories, PACKAGE),
      repair: dnf('reinstall', ...repositories, PACKAGE),
    };
  },
  suse: (program) => {
    const zypper = (...args: string[]): InstallCommand => ({
      program,
      args: ['--non-interactive', ...args],
      // zypper waits so long for another one (zypper(8), ZYPP_LOCK_TIMEOUT).
      env: { ...PLAIN, ZYPP_LOCK_TIMEOUT: String(LOCK_S) },
    });
    return {
      refresh: zypper('refresh'),
      fetch: zypper('install', '--no-recommends', '--download-only', PACKAGE),
      install: zypper('install', '--no-recommends', PACKAGE),
      repair: zypper('install', '--no-recommends', '--force', PACKAGE),
    };
  },
};

/** As a person would type it. */
export const wordsOf = ({ program, args, env }: InstallCommand): string =>
  [
    ...('DEBIAN_FRONTEND' in env ? [`DEBIAN_FRONTEND=${env['DEBIAN_FRONTEND'] ?? ''}`] : []),
    program,
    ...args.map((arg) => (/^[\w.,:=/+-]+$/.test(arg) ? arg : `'${arg}'`)),
  ].join(' ');
