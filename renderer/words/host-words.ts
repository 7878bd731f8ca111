/** What a host's state is called, and how it looks. Pure. */
import type { HostView } from '../../electron/host/api.ts';

export type Tone = 'good' | 'warn' | 'bad' | 'quiet' | 'accent';

export interface HostWords {
  readonly tone: Tone;
  /** Two or three words. */
  readonly label: string;
}

/** The most pressing thing to say of a host. */
export function hostWords({ connection, agent, report, adopted, clusterId }: HostView): HostWords {
  switch (connection.kind) {
    case 'connecting':
      return { tone: 'quiet', label: 'Connecting' };
    case 'unreachable':
      return { tone: 'bad', label: 'Unreachable' };
    case 'unknown-key':
      return { tone: 'warn', label: 'Key not approved' };
    case 'changed-key':
      return { tone: 'bad', label: 'Host key changed' };
    case 'needs-credentials':
      return { tone: 'warn', label: connection.want === 'password' ? 'Password needed' : 'Passphrase needed' };
    case 'connected':
      break;
  }
  switch (agent.kind) {
    case 'unknown':
      return { tone: 'quiet', label: 'Looking for the agent' };
    case 'absent':
      if (adopted === null || clusterId === null) return { tone: 'quiet', label: 'No agent yet' };
      return adopted.running ? { tone: 'good', label: 'Read over SSH' } : { tone: 'bad', label: 'Corosync is stopped' };
    case 'installing':
      return { tone: 'accent', label: 'Installing the agent' };
    case 'failed':
      return { tone: 'bad', label: 'Agent failed' };
    case 'running': {
      const failed = report?.services.some(({ state }) => state === 'failed') === true;
      return failed ? { tone: 'warn', label: 'A service failed' } : { tone: 'good', label: 'Connected' };
    }
  }
}

/** `root@10.0.0.5`, with the port where it is not 22. */
export function hostAddress({ host }: HostView): string {
  const user = host.user === '' ? '' : `${host.user}@`;
  const address = host.address.includes(':') ? `[${host.address}]` : host.address;
  return `${user}${address}${host.port === 22 ? '' : `:${host.port}`}`;
}
