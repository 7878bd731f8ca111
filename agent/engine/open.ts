/** Opens the engine that a node uses. */
import type { NodeLayout } from '../node-layout.ts';
import type { Engine, EngineKind } from './engine.ts';
import { openCorosync } from './corosync/driver.ts';
import { TotemClient } from './totem/client.ts';

/**
 * Never fails by itself: an engine that cannot be reached has a status of kind `down` and is tried
 * again until `close`.
 */
export function openEngine(kind: EngineKind, layout: NodeLayout): Engine {
  if (kind === 'corosync')
    throw new Error('the agent of this version cannot drive Corosync yet: choose --engine totem');
  return new TotemClient(layout);
}
