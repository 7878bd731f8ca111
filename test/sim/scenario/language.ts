/** The line language of test/scenarios: what a scenario file says, as data. */
import { quorumSettingsOf, type QuorumKeys } from '../../../agent/quorum/quorum.ts';
import { nodeId, type NodeId } from '../../../agent/totem/ids.ts';
import type { RingPhase } from '../../../agent/totem/ring-types.ts';
import { CALM, defaultTimeouts, type Plan } from '../plan.ts';

export type Action =
  | { readonly kind: 'start' | 'kill' | 'leave' | 'wipe'; readonly nodes: readonly NodeId[] }
  | { readonly kind: 'kill-in'; readonly nodes: readonly NodeId[]; readonly phase: RingPhase }
  | { readonly kind: 'kill-holder'; readonly phase: RingPhase }
  | { readonly kind: 'pause'; readonly node: NodeId; readonly ms: number }
  | { readonly kind: 'cut' | 'mend'; readonly from: NodeId; readonly to: NodeId }
  | { readonly kind: 'split'; readonly sides: readonly (readonly NodeId[])[] }
  | { readonly kind: 'whole' }
  | { readonly kind: 'apply'; readonly version: number; readonly nodes: readonly NodeId[] }
  | { readonly kind: 'say'; readonly node: NodeId; readonly bytes: number; readonly safe: boolean }
  | { readonly kind: 'joins'; readonly count: number };

export type Outcome =
  | { readonly kind: 'ring' | 'quorate' | 'not-quorate' | 'down'; readonly nodes: readonly NodeId[] }
  | { readonly kind: 'no-view'; readonly since: number; readonly nodes: readonly NodeId[] }
  | { readonly kind: 'outdated'; readonly node: NodeId }
  | { readonly kind: 'kept-out'; readonly node: NodeId; readonly by: NodeId }
  | { readonly kind: 'version' | 'delivered'; readonly node: NodeId; readonly count: number };

export interface Statement {
  /** In the file, from 1. */
  readonly line: number;
  readonly at: number;
  readonly what:
    | { readonly kind: 'do'; readonly action: Action }
    | { readonly kind: 'expect'; readonly outcome: Outcome; readonly within: number };
}

export interface Scenario {
  readonly plan: Plan;
  readonly statements: readonly Statement[];
}

/** A line that is not of the language. */
export class BadLine extends Error {
  override readonly name = 'BadLine';
}

const PHASES = ['gather', 'commit', 'recovery', 'operational'] as const;
const QUORUM_WORDS: Readonly<Record<string, Partial<QuorumKeys>>> = {
  two_node: { twoNode: true },
  wait_for_all: { waitForAll: true },
  auto_tie_breaker: { autoTieBreaker: true },
  last_man_standing: { lastManStanding: true, lastManStandingWindow: 1000 },
  allow_downscale: { allowDownscale: true },
};

/** Reads a scenario. Throws BadLine with the line's number. */
export function readScenario(text: string): Scenario {
  const reader = new ScenarioReader();
  for (const [index, line] of text.split('\n').entries()) {
    const words = line.replace(/#.*/, '').trim();
    if (words === '') continue;
    try {
      reader.take(index + 1, words);
    } catch (error) {
      throw new BadLine(`line ${index + 1}: ${error instanceof Error ? error.message : 'not understood'}: ${words}`);
    }
  }
  return reader.done();
}

class ScenarioReader {
  private ids: readonly NodeId[] = [];
  private readonly votes = new Map<NodeId, number>();
  private keys: Partial<QuorumKeys> = {};
  private loss = 0;
  private delay = 1;
  private seed = 1;
  private readonly statements: Statement[] = [];

  take(line: number, words: string): void {
    const [first, second] = words.split(/\s+/);
    const number = Number(second);
    const keys = QUORUM_WORDS[first ?? ''];
    if (first === 'nodes') {
      this.ids = Array.from({ length: number }, (_, index) => nodeId(index + 1));
      for (const id of this.ids) this.votes.set(id, 1);
    } else if (keys !== undefined) this.keys = { ...this.keys, ...keys };
    else if (first === 'votes') {
      for (const [, node, votes] of words.matchAll(/(\d+)=(\d+)/g)) this.votes.set(nodeId(Number(node)), Number(votes));
    } else if (first === 'loss') this.loss = number / 100;
    else if (first === 'delay') this.delay = number;
    else if (first === 'seed') this.seed = number;
    else if (first === 'from') this.chatter(line, words);
    else if (first === 'at') this.moment(line, words);
    else throw new Error('not understood');
  }

  done(): Scenario {
    const statements = [...this.statements].sort((a, b) => a.at - b.at || a.line - b.line);
    const faults = { ...CALM, loss: this.loss, delay: this.delay };
    const workload = { pause: Infinity, burst: 1, small: 40, large: 0 };
    const quorum = quorumSettingsOf(this.votes, this.keys);
    const { seed, ids: nodes } = this;
    const plan = { seed, nodes, timeouts: defaultTimeouts(nodes.length), quorum, faults, workload, storm: 0 };
    return { plan: { ...plan, datagram: 1400, window: 64, patient: false }, statements };
  }

  private chatter(line: number, words: string): void {
    const [, from, to, every, nodes] = match(words, /^from (\d+) to (\d+) every (\d+) say (.+)$/);
    for (let at = Number(from); at < Number(to); at += Number(every)) {
      for (const node of this.nodes(nodes)) {
        this.statements.push({
          line,
          at,
          what: { kind: 'do', action: { kind: 'say', node, bytes: 40, safe: at % 2 === 0 } },
        });
      }
    }
  }

  private moment(line: number, words: string): void {
    const [, time, within, expect, rest] = match(words, /^at (\d+) (?:within (\d+) )?(expect )?(.+)$/);
    const at = Number(time);
    if (expect === undefined) this.statements.push({ line, at, what: { kind: 'do', action: this.action(rest ?? '') } });
    else {
      const outcome = this.outcome(rest ?? '');
      this.statements.push({ line, at, what: { kind: 'expect', outcome, within: Number(within ?? 0) } });
    }
  }

  private action(words: string): Action {
    const [verb = '', ...rest] = words.split(/\s+/);
    const tail = rest.join(' ');
    switch (verb) {
      case 'kill': {
        const inPhase = /^(.+) in (\w+)$/.exec(tail);
        if (inPhase === null) return { kind: 'kill', nodes: this.nodes(tail) };
        const phase = PHASES.find((name) => name === inPhase[2]);
        if (phase === undefined) throw new Error(`no phase ${inPhase[2] ?? ''}`);
        if (inPhase[1] === 'holder') return { kind: 'kill-holder', phase };
        return { kind: 'kill-in', phase, nodes: this.nodes(inPhase[1]) };
      }
      case 'start':
      case 'leave':
      case 'wipe':
        return { kind: verb, nodes: this.nodes(tail) };
      case 'pause': {
        const [, node, ms] = match(tail, /^(\d+) for (\d+)$/);
        return { kind: 'pause', node: this.node(node), ms: Number(ms) };
      }
      case 'cut':
      case 'mend': {
        const [, from, to] = match(tail, /^(\d+) to (\d+)$/);
        return { kind: verb, from: this.node(from), to: this.node(to) };
      }
      case 'split':
        return { kind: 'split', sides: tail.split('|').map((side) => this.nodes(side.trim())) };
      case 'whole':
        return { kind: 'whole' };
      case 'apply': {
        const [, version, nodes] = match(tail, /^(\d+) on (.+)$/);
        return { kind: 'apply', version: Number(version), nodes: this.nodes(nodes) };
      }
      case 'say': {
        const [, node, bytes, safe] = match(tail, /^(\d+) (\d+)( safe)?$/);
        return { kind: 'say', node: this.node(node), bytes: Number(bytes), safe: safe !== undefined };
      }
      case 'storm': {
        const [, count] = match(tail, /^of (\d+) joins$/);
        return { kind: 'joins', count: Number(count) };
      }
    }
    throw new Error('no such action');
  }

  private outcome(words: string): Outcome {
    const keptOut = /^(\d+) kept out by (\d+)$/.exec(words);
    if (keptOut !== null) return { kind: 'kept-out', node: this.node(keptOut[1]), by: this.node(keptOut[2]) };
    const count = /^(version|delivered) (\d+)=(\d+)$/.exec(words);
    if (count !== null) {
      const kind = count[1] === 'version' ? 'version' : 'delivered';
      return { kind, node: this.node(count[2]), count: Number(count[3]) };
    }
    const noView = /^no view since (\d+)(?: on (.+))?$/.exec(words);
    if (noView !== null) return { kind: 'no-view', since: Number(noView[1]), nodes: this.nodes(noView[2] ?? 'all') };
    const [, kind, nodes] = match(words, /^(ring|quorate|not quorate|outdated|down) (.+)$/);
    if (kind === 'outdated') return { kind, node: this.node(nodes) };
    if (kind === 'ring' || kind === 'quorate' || kind === 'down') return { kind, nodes: this.nodes(nodes) };
    return { kind: 'not-quorate', nodes: this.nodes(nodes) };
  }

  private nodes(words: string | undefined): readonly NodeId[] {
    return words === 'all' ? this.ids : (words ?? '').split(/\s+/).map((word) => this.node(word));
  }
  private node(word: string | undefined): NodeId {
    const found = this.ids.find((id) => String(id) === word);
    if (found === undefined) throw new Error(`no node ${word ?? ''}`);
    return found;
  }
}

function match(words: string, pattern: RegExp): RegExpExecArray {
  const found = pattern.exec(words);
  if (found === null) throw new Error('not understood');
  return found;
}
