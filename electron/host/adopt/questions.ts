/** What a host without an agent is asked: files, Corosync's own tools, versions. Nothing on it is changed. Pure. */
import type { Question } from './sections.ts';

/** Corosync's own file, and the one that Proxmox VE keeps the same on all nodes. */
export const LOCAL_CONF = '/etc/corosync/corosync.conf';
export const TREE_CONF = '/etc/pve/corosync.conf';
/** Where a trial's watchdog lives while it waits; on a file system that ends with the machine's run. */
export const TRIAL_DIRECTORY = '/run/ringmaster-trial';

const PACKAGES = 'corosync pacemaker pcs crmsh libknet1 pve-cluster pve-manager';

/** What may differ from one moment to the next. */
export const BRIEF: readonly Question[] = [
  { name: 'now', command: 'date +%s; cat /proc/uptime' },
  { name: 'conf', command: `cat ${LOCAL_CONF} 2>/dev/null` },
  // The mount of a pmxcfs that has died, or hangs, must not hold up the rest: each question has its own time.
  { name: 'tree-conf', command: `cat ${TREE_CONF} 2>/dev/null` },
  { name: 'tree-mount', command: "grep -m 1 ' /etc/pve fuse' /proc/mounts" },
  {
    name: 'running',
    command: 'for one in corosync pacemakerd pmxcfs pcsd; do pidof -s $one >/dev/null && echo $one; done; exit 0',
  },
  { name: 'cmap', command: 'corosync-cmapctl' },
  { name: 'stats', command: 'corosync-cmapctl -m stats' },
  { name: 'objects', command: 'corosync-objctl' },
  { name: 'quorum', command: 'corosync-quorumtool -s' },
  { name: 'links', command: 'corosync-cfgtool -s' },
  {
    name: 'trial',
    command: `cd ${TRIAL_DIRECTORY} 2>/dev/null && cat meta.json && echo && cat deadline phase && { cat decided 2>/dev/null || echo open; } && { cat outcome 2>/dev/null || :; }`,
  },
];

/** What changes with an installation or a boot. */
export const WHOLE: readonly Question[] = [
  ...BRIEF,
  { name: 'hostname', command: 'uname -n' },
  { name: 'os', command: '. /etc/os-release 2>/dev/null; printf %s "${PRETTY_NAME:-$(uname -sr)}"' },
  { name: 'addresses', command: 'ip -o addr show scope global' },
  { name: 'corosync-version', command: 'corosync -v' },
  { name: 'pve-version', command: 'pveversion' },
  {
    name: 'packages',
    command: `{ dpkg-query -W -f='\${Package} \${Version} \${Status}\\n' ${PACKAGES} 2>/dev/null; rpm -q --qf '%{NAME} %{VERSION}-%{RELEASE} installed\\n' ${PACKAGES} 2>/dev/null; } | grep ' installed$'; exit 0`,
  },
  {
    name: 'units',
    command:
      '[ -d /run/systemd/system ] && systemctl show -p Id,LoadState,ActiveState,UnitFileState corosync.service pacemaker.service pve-cluster.service pcsd.service',
  },
  {
    name: 'trial-tools',
    command: 'for one in setsid sha256sum corosync-cfgtool; do command -v $one >/dev/null || echo $one; done; exit 0',
  },
];
