/**
 * `ringmaster-agent uninstall [--keep-data]`: stops everything and takes every file of ours away. With
 * --keep-data the tree's database and the cluster's configuration stay.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { systemctl, underSystemd } from '../cluster/services.ts';
import { engineChoice } from '../engine/choice.ts';
import { acceptedKeyFile, previousKeyFile, type NodeLayout } from '../node-layout.ts';
import { endSupervisor, removeWrappers, UNIT_FOLDER, UNITS } from './install.ts';
import { greet } from './supervise.ts';

export async function run(args: string[], layout: NodeLayout): Promise<number> {
  const unknown = args.filter((arg) => arg !== '--keep-data');
  if (unknown.length > 0) {
    process.stderr.write(`uninstall: unknown argument ${unknown.join(' ')}; there is only --keep-data\n`);
    return 2;
  }
  const keepData = args.includes('--keep-data');
  if (underSystemd(layout)) {
    await removeUnits();
    // We had it started; without its configuration it could not run anyway.
    if (!keepData && engineChoice(layout) === 'corosync')
      await systemctl('disable', '--now', '--quiet', 'corosync.service');
  }
  const running = await greet(layout);
  if (running !== null) await endSupervisor(layout, running.pid);
  unmount(layout);
  removeWrappers(layout);
  for (const folder of [layout.run, layout.log]) rmSync(folder, { recursive: true, force: true });
  if (!keepData) removeData(layout);
  // Last, for this program lies in it.
  rmSync(layout.home, { recursive: true, force: true });
  return 0;
}

async function removeUnits(): Promise<void> {
  for (const unit of [...UNITS].reverse()) {
    if (!existsSync(join(UNIT_FOLDER, unit))) continue;
    await systemctl('disable', '--now', '--quiet', unit);
    rmSync(join(UNIT_FOLDER, unit), { force: true });
  }
  await systemctl('daemon-reload');
}

/** pmxcfs unmounts when it ends; one that was killed leaves a dead mount. */
function unmount(layout: NodeLayout): void {
  const mounted = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .some((line) => {
      const [, at, type] = line.split(' ');
      return at === layout.mountPoint && type?.startsWith('fuse') === true;
    });
  if (mounted) execFileSync('umount', ['-l', layout.mountPoint], { stdio: 'ignore' });
}

/**
 * The tree, the configuration, the ring ids, and the folders we made, where nothing else is left in them.
 * On a node with Proxmox VE all of these are its own and stay.
 */
function removeData(layout: NodeLayout): void {
  if (layout.root === '' && existsSync('/usr/bin/pmxcfs')) return;
  rmSync(layout.treeState, { recursive: true, force: true });
  rmSync(layout.corosyncConf, { force: true });
  for (const file of [layout.authkey, acceptedKeyFile(layout), previousKeyFile(layout)]) rmSync(file, { force: true });
  if (existsSync(layout.ringState)) {
    for (const name of readdirSync(layout.ringState)) {
      if (name.startsWith('ringid_')) rmSync(join(layout.ringState, name), { force: true });
    }
  }
  removeIfEmpty(layout.mountPoint);
  // Where Corosync is installed these are its package's, and it does not start without its state directory.
  const corosyncs = existsSync('/usr/sbin/corosync') && layout.root === '';
  if (!corosyncs) for (const folder of [dirname(layout.corosyncConf), layout.ringState]) removeIfEmpty(folder);
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Not there, or something of another owner is in it.
  }
}
