/** Why an installation failed, in words for a person, from what the distribution's tool printed. Pure. */
import type { Family, InstallChoice } from './choice.ts';

interface Known {
  readonly family: Family | 'any';
  readonly pattern: RegExp;
  readonly sentence: (system: string) => string;
}

const HA_REPOSITORY =
  'Corosync comes from the High Availability repository there. Turn it on, then try again: ' +
  '"dnf config-manager --set-enabled highavailability" (Rocky, Alma), "--set-enabled ha" (version 8), or ' +
  '"subscription-manager repos --enable rhel-9-for-x86_64-highavailability-rpms" (Red Hat, with that add-on).';

/** The first that fits is told. */
const KNOWN: readonly Known[] = [
  {
    family: 'debian',
    // Not "unable to acquire the lock" alone: apt says that too when it may not, or cannot, open the file.
    pattern: /Could not get lock|is another process using it/,
    sentence: () =>
      'another program is installing packages and does not let go of the lock. Wait for its end, then try again.',
  },
  {
    family: 'redhat',
    pattern: /Waiting for process with pid|Another app is currently holding the yum lock/,
    sentence: () => 'another program is installing packages and holds the lock. Wait for its end, then try again.',
  },
  {
    family: 'suse',
    pattern: /System management is locked/,
    sentence: () => 'another program is installing packages and holds the lock. Wait for its end, then try again.',
  },
  {
    family: 'any',
    pattern: /No space left on device|You don't have enough free space|needs \S+ more space on/,
    sentence: () => 'there is no room on the disk. Make some, then try again.',
  },
  {
    family: 'debian',
    pattern: /dpkg was interrupted/,
    sentence: () => 'an earlier installation was broken off. Run "dpkg --configure -a", then try again.',
  },
  {
    family: 'debian',
    pattern: /unmet dependencies|held broken packages/,
    sentence: () =>
      'its packages do not fit to what is installed. "apt-get install corosync" shows which; a held package or a mixture of releases is the usual reason.',
  },
  {
    family: 'any',
    pattern:
      /Temporary failure resolving|Could not resolve|Could not connect|Failed to fetch|Unable to fetch|Cannot (?:download|prepare) |Failed to download|Curl error|Download .*error|Network is unreachable|connection timed out/i,
    sentence: () =>
      'no repository of packages can be reached. Look at the network, at DNS and at the proxy of this node; or install the package corosync from a medium.',
  },
  {
    family: 'debian',
    pattern: /Unable to locate package|has no installation candidate/,
    sentence: (system) =>
      `no repository of this node has the package corosync. On ${system} it is in the section "main" (Ubuntu: "universe"): add it to /etc/apt/sources.list, or look why "apt-get update" brings nothing.`,
  },
  {
    family: 'redhat',
    pattern: /No match for argument|Unable to find a match|No package corosync available|Nothing to do/,
    sentence: (system) => `no repository of this node has the package corosync. ${system}: ${HA_REPOSITORY}`,
  },
  {
    family: 'redhat',
    pattern: /There are no enabled repos|not registered/,
    sentence: (system) => `this node has no repositories of packages. ${system}: register it first. ${HA_REPOSITORY}`,
  },
  {
    family: 'suse',
    pattern: /No provider of 'corosync' found|'corosync' not found/,
    sentence: (system) =>
      `no repository of this node has the package corosync. ${system}: on SUSE Linux Enterprise it comes with the High Availability Extension ("SUSEConnect -p sle-ha/VERSION/x86_64"), on openSUSE with the main repository.`,
  },
  {
    family: 'any',
    pattern: /Permission denied|are you root|need to be root|must be root|Root privileges/i,
    sentence: () => 'it needs root.',
  },
];

/** The sentence of a known cause, else the last words of the tool. `output` holds all that it printed. */
export function whyFailed(choice: InstallChoice, command: string, code: number | null, output: string): string {
  const known = KNOWN.find(
    ({ family, pattern }) => (family === 'any' || family === choice.family) && pattern.test(output),
  );
  const head = `Corosync could not be installed on ${choice.system}`;
  if (known !== undefined) return `${head}: ${known.sentence(choice.system)}`;
  const last = output.trim().split('\n').slice(-3).join(' / ');
  return `${head}: "${command}" ended with code ${code ?? 'unknown'}${last === '' ? '' : `: ${last}`}`;
}

/**
 * Is this the example that Debian's package puts in the place of corosync.conf? It is no cluster: one node, reachable
 * by itself alone.
 */
export function isPackagesExample(conf: {
  readonly totem: { readonly clusterName: string | null };
  readonly nodelist: readonly { readonly addresses: readonly { readonly address: string }[] }[];
}): boolean {
  const addresses = conf.nodelist.flatMap((node) => node.addresses.map(({ address }) => address));
  return conf.totem.clusterName === 'debian' && conf.nodelist.length === 1 && addresses.join() === '127.0.0.1';
}
