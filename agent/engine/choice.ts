/** Which engine this node uses: one word in a file, because services start before anybody could tell them. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeLayout } from '../node-layout.ts';
import type { EngineKind } from './engine.ts';

const choiceFile = (layout: NodeLayout): string => join(layout.home, 'engine');

/** The bundled engine unless the node was told otherwise. */
export function engineChoice(layout: NodeLayout): EngineKind {
  try {
    return readFileSync(choiceFile(layout), 'utf8').trim() === 'corosync' ? 'corosync' : 'totem';
  } catch {
    return 'totem';
  }
}

/** On stable storage when it returns: a node that loses power must not come back on the other engine. */
export function chooseEngine(layout: NodeLayout, kind: EngineKind): void {
  mkdirSync(layout.home, { recursive: true });
  const partial = `${choiceFile(layout)}.${process.pid}`;
  writeFileSync(partial, `${kind}\n`, { flush: true });
  renameSync(partial, choiceFile(layout));
}
