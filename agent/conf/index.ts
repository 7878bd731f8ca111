/** The language of corosync.conf. Pure: the same code runs on a node, in the app and in the page. */
export { completions, hover, type Completion, type Hover } from './assist.ts';
export {
  bundledLinks,
  bundledTimers,
  bundledTransport,
  type BundledLink,
  type BundledTimers,
  type BundledTransport,
} from './bundled.ts';
export { cmapOf, localKeys } from './cmap.ts';
export { isOldDialect, rrpToKnet, type Converted } from './convert.ts';
export { diagnose } from './diagnose.ts';
export { isSilent, plannedChanges, reloadFindings, type Effect, type PlannedChange, type Reload } from './effects.ts';
export {
  addNode,
  applyEdits,
  newConf,
  raiseConfigVersion,
  removeNode,
  setConfigVersion,
  type NewConfOptions,
  type NewNode,
  type TextEdit,
} from './edits.ts';
export { format } from './format.ts';
export { keysOf, type KeyFact, type KeyType } from './keys.ts';
export { addLink, moveNetwork, removeKey, removeLink, setNodeKey, setValue, type Move } from './link-edits.ts';
export { mergeConf, type Conflict } from './merge.ts';
export { model, type ConfAddress, type ConfInterface, type ConfNode, type CorosyncConf } from './model.ts';
export { foldings, linksOf, outline, type OutlineItem } from './outline.ts';
export { multicastGroup } from './multicast.ts';
export { nameAt, renameNode } from './rename.ts';
export type { Environment } from './rules/environment.ts';
export type { Diagnostic, Dialect, Fix } from './rules/report.ts';
export { parse, print, type ConfDocument } from './syntax.ts';
export { TEMPLATES, type Template } from './templates.ts';
export { effectiveTimers, type EffectiveTimers } from './timers.ts';
