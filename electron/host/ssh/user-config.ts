/** What ~/.ssh/config says about a host: HostName, Port, User, IdentityFile and a simple ProxyJump. */
import { readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import SSHConfig from 'ssh-config';

/** Where to connect, as the user gave it. An empty `user` means: what the configuration says, else root. */
export interface SshTarget {
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly identityFile: string | null;
}

/** Where to connect, after ~/.ssh/config. */
export interface ResolvedTarget {
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** Keys asked for by name; empty means the default keys. */
  readonly identityFiles: readonly string[];
  /** The host to go through, or null. */
  readonly jump: SshTarget | null;
}

/** The text of ~/.ssh/config, or '' where there is none. */
export function readUserConfig(): string {
  try {
    return readFileSync(join(homedir(), '.ssh', 'config'), 'utf8');
  } catch {
    return '';
  }
}

/**
 * Applies a configuration's text to a target. What the user gave in the app wins over the file; port
 * 22 counts as not given. `Match exec` is never run. Returns a sentence when the file asks for
 * something the app cannot do.
 */
export function resolveTarget(target: SshTarget, configText: string): ResolvedTarget | string {
  let found: Record<string, string | string[]> = {};
  try {
    const query = target.user === '' ? { Host: target.address } : { Host: target.address, User: target.user };
    found = SSHConfig.parse(configText).compute(query, { ignoreCase: true, matchExec: false });
  } catch {
    // A file ssh(1) itself would refuse: the app goes on with what the user typed.
  }
  const one = (name: string): string | null => {
    const value = found[name];
    const first = Array.isArray(value) ? value[0] : value;
    return first === undefined || first === '' ? null : first;
  };
  const address = (one('hostname') ?? target.address).replaceAll('%h', target.address);
  const port = target.port === 22 ? Number(one('port') ?? 22) : target.port;
  const user = target.user !== '' ? target.user : (one('user') ?? 'root');
  if (one('proxycommand') !== null && one('proxycommand') !== 'none') {
    return `~/.ssh/config reaches ${target.address} by ProxyCommand, which this app does not run. Use ProxyJump there.`;
  }
  const jumpWords = one('proxyjump');
  let jump: SshTarget | null = null;
  if (jumpWords !== null && jumpWords !== 'none') {
    const match = /^(?:ssh:\/\/)?(?:([^@,/]+)@)?(\[[^\]]+\]|[^:,/]+)(?::(\d+))?\/?$/.exec(jumpWords);
    if (match?.[2] === undefined) {
      return `~/.ssh/config reaches ${target.address} by "ProxyJump ${jumpWords}"; this app goes through one host only.`;
    }
    jump = {
      address: match[2].replace(/^\[|\]$/g, ''),
      port: Number(match[3] ?? 22),
      user: match[1] ?? '',
      identityFile: null,
    };
  }
  const configured = found['identityfile'];
  const files = target.identityFile !== null ? [target.identityFile] : configured === undefined ? [] : [configured];
  const identityFiles = files.flat().map((file) => expand(file, address, user));
  return { address, port: Number.isInteger(port) && port > 0 && port < 65536 ? port : 22, user, identityFiles, jump };
}

/** ~ and the tokens of ssh_config(5) that IdentityFile may hold. */
function expand(file: string, host: string, user: string): string {
  const home = homedir();
  return file
    .replace(/^~(?=\/|$)/, home)
    .replaceAll('%d', home)
    .replaceAll('%h', host)
    .replaceAll('%r', user)
    .replaceAll('%u', userInfo().username)
    .replaceAll('%%', '%');
}
