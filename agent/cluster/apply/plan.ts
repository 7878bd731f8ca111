/** What an apply would do, said before anything is done. Pure. */
import {
  diagnose,
  isSilent,
  mergeConf,
  plannedChanges,
  raiseConfigVersion,
  type CorosyncConf,
  type Diagnostic,
  type PlannedChange,
} from '../../conf/index.ts';
import type { EngineStatus, MemberStatus } from '../../engine/engine.ts';
import { err, ok, type Result } from '../../result.ts';
import type { ApplyPlan, PlannedNode } from '../../rpc/api.ts';
import { modelOf, versionOf } from '../conf-write.ts';
import type { Method, NodeFacts, TrialRecord } from './trial.ts';

export interface Known {
  readonly status: EngineStatus;
  /** The tree's corosync.conf. */
  readonly present: string;
  readonly facts: ReadonlyMap<number, NodeFacts>;
  readonly history: readonly TrialRecord[];
  readonly digest: (text: string) => string;
}

export interface Wanted {
  readonly text: string;
  /** Digest of the file the change was made to; null when it is not known: then the history is asked. */
  readonly baseDigest: string | null;
  /** When the text was last edited, in milliseconds since 1970; null when that is not known. */
  readonly editedMs: number | null;
  /** Nodes that the file adds and that start as soon as it runs: their votes count for the quorum afterwards. */
  readonly joining?: readonly number[];
}

/** The plan, or why it cannot be done: one sentence or several, ready for a person. */
export function planApply(known: Known, wanted: Wanted): Result<ApplyPlan, string> {
  const { status, present, facts, digest } = known;
  const dialect = status.engine === 'corosync' ? 'corosync3' : 'ringmaster';
  const merged = mergeWith(known, wanted);
  if (!merged.ok) return merged;
  const version = Math.max(highestVersion(known), versionOf(merged.value.text) ?? 0);
  const raised = raiseConfigVersion(merged.value.text, highestVersion(known));
  const found = diagnose(raised.text, { dialect });
  const errors = found.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) return err(errorWords(errors));
  const changes = plannedChanges(present, raised.text, dialect).filter(
    ({ sentence }) => !/config_version/.test(sentence),
  );
  if (changes.length === 0 && sameButVersion(present, raised.text)) {
    return err('it changes nothing: the cluster has this file already');
  }
  const after = modelOf(raised.text);
  const refusal = forbidden(status, modelOf(present), after) ?? quorumAfterwards(status, after, wanted.joining ?? []);
  if (refusal !== null) return err(refusal);
  const members = status.members.filter(({ state }) => state === 'member');
  const wantedMethod = methodOf(changes);
  const method = wantedMethod === 'rolling-restart' && !canSpareAny(status, members) ? 'whole-restart' : wantedMethod;
  const warnings = [
    ...found.filter(({ severity }) => severity === 'warning').map(({ line, message }) => `Line ${line}: ${message}`),
    ...methodWarnings(wantedMethod, method),
    ...(version > highestVersion(known) + 1 ? [`config_version leaps to ${raised.version}.`] : []),
  ];
  return ok({
    fromVersion: versionOf(present) ?? 0,
    version: raised.version,
    baseDigest: digest(present),
    text: raised.text,
    method,
    changes: changes.map((change) => {
      const { sentence, effect, advice } = change;
      return { sentence, effect, silent: isSilent(change), advice };
    }),
    nodes: status.members.map((member) =>
      plannedNode(member, members, method, digest(present), facts.get(member.nodeId)),
    ),
    warnings,
    merged: merged.value.merged,
  });
}

/** Never a number that was on any node before: a node that returns must not take one file for another. */
function highestVersion({ present, facts, history, status }: Known): number {
  const seen = [...facts.values()].flatMap(({ disk, running }) => [disk?.version ?? 0, running ?? 0]);
  return Math.max(versionOf(present) ?? 0, status.configVersion, ...seen, ...history.map(({ trial }) => trial.version));
}

/** A change that was made to an older file is merged with what happened since, or refused. */
function mergeWith(known: Known, wanted: Wanted): Result<{ text: string; merged: boolean }, string> {
  const { present } = known;
  const { text } = wanted;
  const madeTo = baseOf(known, wanted);
  if (madeTo === present) return ok({ text, merged: false });
  if (madeTo === null) {
    return err(
      `the file has config_version ${versionOf(text) ?? 'none'} and the cluster ${versionOf(present) ?? 'none'}: it was ` +
        'made from a file that is not known here any more. Make your change to the present file.',
    );
  }
  const merged = mergeConf(madeTo, text, present);
  if (merged.ok) return ok({ text: merged.value, merged: true });
  const lines = merged.error.map(({ line, ours, theirs }) => {
    const shown = (part: readonly string[]): string => part.map((one) => one.trim()).join(' / ') || 'nothing';
    return `line ${line}: you have "${shown(ours)}", the cluster has "${shown(theirs)}"`;
  });
  return err(`corosync.conf has changed since you opened it, at the same place as you did. ${lines.join('; ')}`);
}

/** Which file a text was made from; null when that is not to be found. */
function baseOf({ present, history, digest }: Known, { text, baseDigest, editedMs }: Wanted): string | null {
  if (baseDigest !== null) {
    const known = [present, ...history.flatMap(({ trial }) => [trial.before, trial.after])];
    return known.find((one) => digest(one) === baseDigest) ?? null;
  }
  const [own, now] = [versionOf(text) ?? 0, versionOf(present) ?? 0];
  if (own >= now) {
    // Two who raise the number by hand arrive at the same one: a file that is older than the present version was
    // not made from it.
    const last = history.find(({ trial }) => trial.version === now && trial.outcome?.kind === 'confirmed')?.trial;
    return last !== undefined && editedMs !== null && editedMs < last.startedMs ? last.before : present;
  }
  for (const { trial } of history) {
    if (trial.fromVersion === own) return trial.before;
    if (trial.version === own && trial.outcome?.kind === 'confirmed') return trial.after;
  }
  return null;
}

const ORDER = ['none', 'live', 'rolling-restart', 'whole-restart'] as const;

export function methodOf(changes: readonly PlannedChange[]): Method {
  const worst = changes.reduce((most, { effect }) => Math.max(most, ORDER.indexOf(effect)), 0);
  const effect = ORDER[worst] ?? 'none';
  return effect === 'none' || effect === 'live' ? 'reload' : effect;
}

function methodWarnings(wanted: Method, method: Method): string[] {
  if (method === 'reload') return [];
  if (method === 'whole-restart' && wanted === 'rolling-restart') {
    return [
      'No node can restart its engine without the cluster losing quorum, so all restart at once: the tree is read-only until the ring is formed again.',
    ];
  }
  return method === 'whole-restart'
    ? [
        'All nodes restart their engine at once: until the ring is formed again there is no quorum and the tree is read-only.',
      ]
    : ['The nodes restart their engine one after the other. Quorum holds all the time.'];
}

/** Does the cluster keep quorum without any one of its members? */
function canSpareAny({ quorum }: EngineStatus, members: readonly MemberStatus[]): boolean {
  return members.length > 1 && members.every(({ votes }) => quorum.totalVotes - votes >= quorum.quorum);
}

/** What no apply may do, for it would cut off a node that runs. */
function forbidden(status: EngineStatus, before: CorosyncConf, after: CorosyncConf): string | null {
  for (const member of status.members) {
    const name = member.name ?? `node ${member.nodeId}`;
    const listed = after.nodelist.some(({ nodeId }) => nodeId === member.nodeId);
    if (listed || member.state !== 'member') continue;
    const was = before.nodelist.find(({ nodeId }) => nodeId === member.nodeId);
    const renumbered = after.nodelist.find((node) => node.name !== null && node.name === was?.name);
    return renumbered === undefined
      ? `${name} is in the ring: it would be cut off. Stop it before it is removed.`
      : `the nodeid of ${name} would change from ${member.nodeId} to ${renumbered.nodeId ?? 'none'}: a running node keeps its number`;
  }
  return null;
}

function quorumAfterwards(status: EngineStatus, after: CorosyncConf, joining: readonly number[]): string | null {
  const expected = after.quorum.expectedVotes ?? after.nodelist.reduce((sum, { votes }) => sum + votes, 0);
  const needed = after.quorum.twoNode ? 1 : Math.floor(expected / 2) + 1;
  const inRing = new Set<number | null>([
    ...status.members.filter(({ state }) => state === 'member').map(({ nodeId }) => nodeId),
    ...joining,
  ]);
  const present = after.nodelist.filter(({ nodeId }) => inRing.has(nodeId)).reduce((sum, { votes }) => sum + votes, 0);
  return present >= needed
    ? null
    : `the cluster would lose quorum: ${needed} votes would be needed, and the nodes in the ring have ${present}`;
}

function plannedNode(
  member: MemberStatus,
  members: readonly MemberStatus[],
  method: Method,
  digest: string,
  facts: NodeFacts | undefined,
): PlannedNode {
  const { nodeId, state } = member;
  const place = members.findIndex((one) => one.nodeId === nodeId) + 1;
  const effect =
    state === 'absent'
      ? method === 'whole-restart'
        ? 'is not in the ring. It cannot return with its old file: bring it up to date when it is back.'
        : 'is not in the ring. It takes the file when it returns.'
      : {
          reload: 'loads the file. Nothing restarts.',
          'rolling-restart': `restarts its engine, number ${place} of ${members.length}.`,
          'whole-restart': 'restarts its engine together with all others.',
        }[method];
  const disk = facts?.disk ?? null;
  const drift =
    facts === undefined
      ? null
      : disk === null
        ? 'has no corosync.conf on its disk'
        : disk.digest === digest
          ? null
          : `has another file on its disk (version ${disk.version ?? 'none'}); the apply replaces it`;
  return {
    nodeId,
    name: member.name ?? `node ${nodeId}`,
    state,
    effect,
    diskVersion: disk?.version ?? null,
    runningVersion: facts?.running ?? null,
    drift,
  };
}

function errorWords(errors: readonly Diagnostic[]): string {
  const lines = errors.slice(0, 5).map(({ line, message }) => `line ${line}: ${message}`);
  const more = errors.length > 5 ? ` and ${errors.length - 5} more` : '';
  return `corosync.conf has ${errors.length === 1 ? 'an error' : 'errors'}: ${lines.join('; ')}${more}`;
}

/** Comments count as a change: somebody wrote them to be kept. */
function sameButVersion(one: string, other: string): boolean {
  const without = (text: string): string => text.replace(/^([ \t]*config_version[ \t]*:).*$/gm, '$1');
  return without(one) === without(other);
}
