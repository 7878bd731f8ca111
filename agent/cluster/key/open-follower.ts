/** The follower of the cluster's key on a real node. */
import type { Engine } from '../../engine/engine.ts';
import type { NodeLayout } from '../../node-layout.ts';
import { nodeClock } from '../node-ports.ts';
import { TreeLink } from '../tree-link.ts';
import { keyDisk } from './key-disk.ts';
import { KeyFollower, type FollowerPorts } from './key-follower.ts';
import { FOLDER } from './rekey.ts';

/** Begins to follow; the tree of the running pmxcfs is reached through its socket. */
export function openKeyFollower(
  layout: NodeLayout,
  self: FollowerPorts['self'],
  engine: Engine,
  log: FollowerPorts['log'],
): { close(): Promise<void> } {
  const tree = new TreeLink(layout);
  const follower = new KeyFollower({ self, disk: keyDisk(layout), tree, clock: nodeClock, engine, log });
  const changed = (path: string): void => {
    if (path === '' || path.startsWith(FOLDER)) follower.look();
  };
  tree.watch({ changed, statusChanged: () => follower.look() }, () => undefined);
  const off = engine.onStatus(() => follower.look());
  follower.look();
  return {
    close: async () => {
      off();
      await follower.close();
      tree.close();
    },
  };
}
