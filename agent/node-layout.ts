/**
 * Where a node keeps its files. Every path comes from here, so that a lab node without root can
 * live below a directory of its own (RINGMASTER_ROOT).
 */
import { join } from 'node:path';
import { hostname } from 'node:os';

export interface NodeLayout {
  /** Empty on a real node; a directory below which everything lives on a rootless lab node. */
  readonly root: string;
  /** The node's host name (RINGMASTER_HOSTNAME overrides it where there is no UTS namespace). */
  readonly hostname: string;
  readonly corosyncConf: string; // /etc/corosync/corosync.conf
  readonly authkey: string; // /etc/corosync/authkey
  readonly ringState: string; // /var/lib/corosync: ring ids, so that they never repeat
  readonly treeState: string; // /var/lib/pve-cluster: config.db, its backups, set-aside copies
  readonly mountPoint: string; // /etc/pve
  readonly run: string; // /run/ringmaster: sockets and pid files
  readonly engineSocket: string;
  readonly fileSystemSocket: string;
  readonly supervisorSocket: string;
  readonly home: string; // /var/lib/ringmaster: uploaded agents, `current`, settings
  readonly log: string; // /var/log/ringmaster
}

/** The layout of the node this process runs on. */
export function nodeLayout(env: NodeJS.ProcessEnv = process.env): NodeLayout {
  const root = env['RINGMASTER_ROOT'] ?? '';
  const at = (path: string): string => (root === '' ? path : join(root, path));
  const run = at('/run/ringmaster');
  return {
    root,
    hostname: env['RINGMASTER_HOSTNAME'] ?? hostname(),
    corosyncConf: at('/etc/corosync/corosync.conf'),
    authkey: at('/etc/corosync/authkey'),
    ringState: at('/var/lib/corosync'),
    treeState: at('/var/lib/pve-cluster'),
    mountPoint: at('/etc/pve'),
    run,
    engineSocket: join(run, 'engine.sock'),
    fileSystemSocket: join(run, 'pmxcfs.sock'),
    supervisorSocket: join(run, 'supervisor.sock'),
    home: at('/var/lib/ringmaster'),
    log: at('/var/log/ringmaster'),
  };
}

/** The cluster's next key while it is being replaced: it opens, and does not seal yet. */
export const acceptedKeyFile = ({ authkey }: Pick<NodeLayout, 'authkey'>): string => `${authkey}.accepted`;
/** The cluster's previous key while it is being replaced: it opens, and seals no more. */
export const previousKeyFile = ({ authkey }: Pick<NodeLayout, 'authkey'>): string => `${authkey}.previous`;
