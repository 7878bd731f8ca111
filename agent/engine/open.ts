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
  return kind === 'corosync' ? openCorosync(layout) : new TotemClient(layout);
}
