/**
 * The guard of a node: carries out what `decide` says, one thing at a time. It runs on every node of a
 * cluster, so that an apply needs nobody's presence to be taken back.
 */
import { versionOf } from '../conf-write.ts';
import type { Word } from '../move/word.ts';
import { sentence } from '../procedure.ts';
import { decide, type Action, type Seen } from './decide.ts';
import type { GuardPorts } from './guard-ports.ts';
import { isOpen, type Answer, type Journal, type Trial } from './trial.ts';
import { answersTo, changeTrial, endTrial, lastTrial, writeAnswer, writeFacts } from './trial-store.ts';

/** How often the guard looks while something is under way, and while nothing is. Milliseconds. */
const BUSY_MS = 200;
const REST_MS = 2_000;
/** A node that does not run the file so long after it was told has failed. */
const LOAD_MS = { reload: 10_000, 'rolling-restart': 40_000, 'whole-restart': 40_000 } as const;
/**
 * A node that has seen the order to change the engine leaves the old one this much later: the others must have seen it
 * too, and only the old engine can tell them.
 */
const SEEN_BY_ALL_MS = 800;
/** On the way back a reload gets this long before the engine is restarted. */
const RELOAD_BACK_MS = 5_000;

export class Guard {
  readonly #ports: GuardPorts;
  #journal: Journal | null;
  #deadline: number | null = null;
  #treeConf: string | null = null;
  #phase = { key: '', since: 0 };
  #answered: { id: string; states: Set<string> } = { id: '', states: new Set() };
  #loadedAt = 0;
  #pushed = '';
  #caughtUp = '';
  #facts = '';
  #said = '';
  #timer: NodeJS.Timeout | null = null;
  #working: Promise<void> | null = null;
  #again = false;
  #closed = false;
  /** A process before this one was ended while it changed the engine. */
  #halfway = false;
  #word: Word | null = null;

  constructor(ports: GuardPorts) {
    this.#ports = ports;
    this.#journal = ports.disk.readJournal();
    if (this.#journal === null) return;
    this.#halfway = this.#journal.engine !== undefined && this.#journal.loaded && !this.#journal.givenUp;
    // By the wall clock, the only one that outlives a process; never longer than the whole time it was given.
    const left = this.#journal.deadlineWallMs - ports.clock.now();
    this.#deadline = ports.monotonic() + Math.max(0, Math.min(left, 3_600_000));
  }

  /** The cluster runs on another engine, as a node with quorum says: this one comes over, unless a trial is open here. */
  comeOver(word: Word): void {
    this.#word = word;
    this.look();
  }

  /** To be called when the tree's corosync.conf may have changed, with its text. */
  confChanged(text: string | null): void {
    this.#treeConf = text;
    this.look();
  }

  /** Looks now. Any number of calls while it works make one more look. */
  look(): void {
    if (this.#closed) return;
    this.#again = true;
    this.#working ??= this.#work().finally(() => (this.#working = null));
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer ?? undefined);
    await this.#working;
  }

  async #work(): Promise<void> {
    clearTimeout(this.#timer ?? undefined);
    let busy = true;
    while (this.#again && !this.#closed) {
      this.#again = false;
      try {
        busy = await this.#step();
      } catch (error) {
        this.#say('warning', `the guard of corosync.conf: ${sentence(error)}`);
        busy = true;
      }
    }
    if (!this.#closed) this.#timer = setTimeout(() => this.look(), busy ? BUSY_MS : REST_MS);
  }

  /** One look and what follows from it. True while something is under way. */
  async #step(): Promise<boolean> {
    if (this.#halfway && this.#journal !== null && this.#ports.monotonic() < (this.#deadline ?? 0)) {
      await this.#changeEngine(this.#journal);
    }
    if (this.#word !== null && this.#journal?.givenUp !== false) await this.#obey(this.#word);
    const seen = await this.#see();
    const action = decide(seen);
    await this.#carryOut(action, seen);
    if (action.kind === 'nothing' && seen.treeWritable) await this.#tellFacts();
    return this.#journal !== null || isOpen(seen.trial);
  }

  async #see(): Promise<Seen> {
    const { tree, disk, engine, monotonic, self } = this.#ports;
    const now = monotonic();
    const status = engine.status();
    const treeStatus = await tree.status();
    const trial = treeStatus === null ? null : await lastTrial({ tree });
    const key = trial === null ? '' : `${trial.id} ${trial.phase}`;
    if (key !== this.#phase.key) this.#phase = { key, since: now };
    if (trial !== null && trial.id !== this.#answered.id) this.#answered = { id: trial.id, states: new Set() };
    const answers = isOpen(trial) ? await answersTo({ tree }, trial.id) : [];
    const localConf = disk.readConf();
    const { quorum, members } = status;
    const own = members.find(({ nodeId }) => nodeId === self.nodeId)?.votes ?? 0;
    return {
      self: self.nodeId,
      trial,
      treeConf: this.#treeConf,
      localConf,
      localVersion: versionOf(localConf) ?? 0,
      journal: this.#journal,
      now,
      deadline: this.#deadline,
      phaseSince: this.#phase.since,
      treeWritable: treeStatus?.writability.kind === 'writable' && treeStatus.mode === 'cluster',
      ring: new Set(members.filter(({ state }) => state === 'member').map(({ nodeId }) => nodeId)),
      answered: this.#answered.states,
      back: new Set(answers.filter(({ state }) => state === 'back').map(({ nodeId }) => nodeId)),
      leaderEnded: isOpen(trial) && trial.leaderNode === self.nodeId && !this.#ports.isAlive(trial.leaderPid),
      spare: !quorum.quorate || quorum.totalVotes - own >= quorum.quorum,
    };
  }

  async #carryOut(action: Action, seen: Seen): Promise<void> {
    switch (action.kind) {
      case 'nothing':
        return;
      case 'check':
        return this.#check(action.trial);
      case 'install':
        return this.#install(action.trial);
      case 'load':
        return this.#load(action.trial);
      case 'read-back':
        return this.#readBack(action.trial, seen);
      case 'await-confirmation':
        return this.#awaitConfirmation(action.trial, seen.now);
      case 'keep':
        this.#ports.log('notice', `corosync.conf version ${versionOf(seen.localConf) ?? '?'} is confirmed and stays`);
        return this.#clear();
      case 'go-back':
        return this.#goBack(action.why, seen);
      case 'say-back':
        return this.#answer(action.trial, 'back', 'the old corosync.conf runs');
      case 'forget':
        return this.#clear();
      case 'end':
        return this.#end(action.trial, action.why);
      case 'have-all-go-back':
        return this.#haveAllGoBack(action.trial, action.why);
      case 'catch-up':
        return this.#catchUp(action.trial, seen);
      case 'push':
        return this.#push(seen);
    }
  }

  async #check(trial: Trial): Promise<void> {
    const { disk, refuses, engine } = this.#ports;
    const refusal = await refuses(trial.after, trial.engine?.to ?? engine.kind());
    if (refusal !== null) return this.#answer(trial, 'failed', refusal);
    try {
      disk.stage(trial.after, this.#journalOf(trial));
    } catch (error) {
      return this.#answer(trial, 'failed', `it cannot be written here: ${sentence(error)}`);
    }
    return this.#answer(trial, 'ready', 'it can be installed here');
  }

  #journalOf(trial: Trial): Journal {
    const { clock, disk } = this.#ports;
    return {
      id: trial.id,
      before: disk.readConf() ?? trial.before,
      after: trial.after,
      method: trial.method,
      ...(trial.engine === undefined ? {} : { engine: trial.engine }),
      deadlineWallMs: clock.now() + trial.rolloutMs,
      loaded: false,
      confirming: false,
      givenUp: false,
    };
  }

  async #install(trial: Trial): Promise<void> {
    const { disk, monotonic } = this.#ports;
    try {
      // Staged when it was checked; a node that has started anew since then stages it now.
      if (!this.#answered.states.has('ready')) disk.stage(trial.after, this.#journalOf(trial));
      // Until its engine is changed a node that restarts must do so with the old file.
      if (trial.engine === undefined) disk.install();
      else disk.begin();
    } catch (error) {
      if (this.#answered.states.has('failed')) return;
      return this.#answer(trial, 'failed', `it cannot be installed here: ${sentence(error)}`);
    }
    this.#journal = disk.readJournal() ?? this.#journalOf(trial);
    this.#deadline = monotonic() + trial.rolloutMs;
    this.#ports.log('notice', `corosync.conf version ${trial.version} of ${trial.author} is on trial on this node`);
    await this.#answer(trial, 'installed', `version ${trial.version} is on disk`);
  }

  async #changeEngine({ engine, after }: Journal): Promise<void> {
    const { engine: own, disk, log } = this.#ports;
    if (engine === undefined) return;
    log('notice', `this node changes its engine from ${engine.from} to ${engine.to}`);
    await own.changeTo(engine.to, () => disk.place(after));
    this.#halfway = false;
    this.#loadedAt = this.#ports.monotonic();
  }

  async #load(trial: Trial): Promise<void> {
    const { engine, self, monotonic, clock } = this.#ports;
    if (trial.engine !== undefined) await clock.sleep(SEEN_BY_ALL_MS);
    this.#note({ loaded: true });
    this.#loadedAt = monotonic();
    try {
      if (trial.engine !== undefined && this.#journal !== null) return await this.#changeEngine(this.#journal);
      if (trial.method !== 'reload') return await engine.restart();
      // One reload is Corosync's whole cluster's (corosync-cfgtool(8)); the bundled engine's is its node's.
      if (engine.kind() === 'totem' || Math.min(...trial.nodes) === self.nodeId) await engine.reload();
    } catch (error) {
      await this.#answer(trial, 'failed', `the engine did not take it: ${sentence(error)}`);
    }
  }

  async #readBack(trial: Trial, { now, treeWritable }: Seen): Promise<void> {
    // Until the new engine has quorum there is nowhere to say it.
    if (trial.engine !== undefined && !treeWritable) return;
    const missing = await this.#ports.engine.readBack(trial.after);
    if (missing.length === 0) return this.#answer(trial, 'effective', `version ${trial.version} runs`);
    if (now - this.#loadedAt < LOAD_MS[trial.method] || this.#answered.states.has('failed')) return;
    await this.#answer(trial, 'failed', `not in effect: ${missing.join('; ')}`);
  }

  async #awaitConfirmation(trial: Trial, now: number): Promise<void> {
    this.#deadline = now + trial.confirmWithinMs;
    this.#note({ confirming: true, deadlineWallMs: this.#ports.clock.now() + trial.confirmWithinMs });
  }

  async #goBack(why: string, seen: Seen): Promise<void> {
    const { disk, log } = this.#ports;
    const journal = this.#journal;
    if (journal === null) return;
    // On the way back too the others must have seen why.
    const changed = journal.engine !== undefined && journal.loaded;
    if (changed && seen.treeWritable) await this.#ports.clock.sleep(SEEN_BY_ALL_MS);
    // With a change of engine the file goes back between the end of the one and the start of the other.
    if (journal.engine === undefined) disk.putBack(journal.before);
    log('warning', `corosync.conf version ${versionOf(journal.after) ?? '?'} is taken back on this node: ${why}`);
    if (journal.loaded || this.#ports.engine.status().configVersion === versionOf(journal.after)) {
      await this.#runOld(journal);
    }
    this.#note({ givenUp: true });
    const { trial } = seen;
    if (isOpen(trial) && trial.id === journal.id && seen.treeWritable) {
      await this.#answer(trial, 'back', `version ${versionOf(journal.before) ?? '?'} runs again`);
    }
  }

  /** Tries what disturbs least first. */
  async #runOld(journal: Journal): Promise<void> {
    const { engine, log, monotonic, clock, disk } = this.#ports;
    if (journal.engine !== undefined) {
      return engine.changeTo(journal.engine.from, () => disk.putBack(journal.before));
    }
    if (journal.method === 'reload' && engine.status().state.kind !== 'down') {
      try {
        await engine.reload();
        for (const end = monotonic() + RELOAD_BACK_MS; monotonic() < end; await clock.sleep(BUSY_MS)) {
          if ((await engine.readBack(journal.before)).length === 0) return;
        }
        log('warning', 'the engine still runs something else after a reload of the old file; it is restarted');
      } catch (error) {
        log('warning', `the engine did not reload the old file (${sentence(error)}); it is restarted`);
      }
    }
    await engine.restart();
  }

  async #end(trial: Trial, why: string): Promise<void> {
    const { clock, self, tree, log } = this.#ports;
    const outcome = { kind: 'reverted', reason: why, by: trial.asked?.by ?? self.name, atMs: clock.now() } as const;
    await endTrial({ tree, clock }, trial.id, outcome);
    log('warning', `corosync.conf version ${trial.version} was not kept: ${why}. The tree holds the old one again.`);
  }

  async #haveAllGoBack(trial: Trial, reason: string): Promise<void> {
    const { self, tree, clock } = this.#ports;
    const asked = { by: self.name, reason };
    await changeTrial({ tree, clock }, trial.id, (one) => ({ ...one, phase: 'revert', turn: null, asked }));
  }

  async #catchUp(trial: Trial, seen: Seen): Promise<void> {
    const { disk, engine, log, refuses } = this.#ports;
    if (this.#caughtUp === trial.id && this.#journal === null) return;
    const refusal = await refuses(trial.after, trial.engine?.to ?? engine.kind());
    if (refusal !== null) {
      this.#caughtUp = trial.id;
      log('error', `corosync.conf version ${trial.version} of the cluster is not installed here: ${refusal}`);
      return this.#clear();
    }
    // A restart that would cost the quorum waits for a better moment.
    if (trial.method === 'rolling-restart' && !seen.spare) return;
    this.#caughtUp = trial.id;
    if (trial.engine === undefined) disk.writeConf(trial.after);
    else await engine.changeTo(trial.engine.to, () => disk.writeConf(trial.after));
    this.#clear();
    log('notice', `corosync.conf version ${trial.version}, confirmed while this node was away, is installed`);
    if (trial.engine !== undefined) return;
    await (trial.method === 'reload' ? engine.reload() : engine.restart());
  }

  async #obey({ engine: to, conf, from }: Word): Promise<void> {
    const { engine, disk, log, refuses } = this.#ports;
    this.#word = null;
    if (engine.kind() === to) return;
    const refusal = await refuses(conf, to);
    if (refusal !== null) {
      return this.#say('error', `the cluster runs on the engine ${to} (${from} says so); this node cannot: ${refusal}`);
    }
    log('notice', `the cluster runs on the engine ${to} since this node was away (${from} says so): it comes over`);
    await engine.changeTo(to, () => disk.writeConf(conf));
    this.#clear();
  }

  async #push(seen: Seen): Promise<void> {
    const key = `${seen.treeConf ?? ''}\0${seen.localConf ?? ''}`;
    if (key === this.#pushed) return;
    this.#pushed = key;
    await this.#ports.push();
  }

  async #answer(trial: Trial, state: Answer['state'], detail: string): Promise<void> {
    const { self, tree, engine } = this.#ports;
    const { configVersion, state: engineState } = engine.status();
    await writeAnswer(tree, {
      ...{ id: trial.id, ...self, state, detail },
      running: engineState.kind === 'down' ? null : configVersion,
    });
    this.#answered.states.add(state);
  }

  async #tellFacts(): Promise<void> {
    const { self, tree, disk, engine, digest } = this.#ports;
    const text = disk.readConf();
    const { state, configVersion } = engine.status();
    const facts = {
      ...self,
      disk: text === null ? null : { version: versionOf(text), digest: digest(text) },
      running: state.kind === 'down' ? null : configVersion,
      agent: this.#ports.agent,
    };
    const key = JSON.stringify(facts);
    if (key === this.#facts) return;
    await writeFacts(tree, facts);
    this.#facts = key;
  }

  /** In memory whatever the disk says: a full disk must not keep the node from going back. */
  #note(change: Partial<Journal>): void {
    if (this.#journal === null) return;
    this.#journal = { ...this.#journal, ...change };
    try {
      this.#ports.disk.writeJournal(this.#journal);
    } catch (error) {
      this.#say('warning', `the journal of the apply cannot be written: ${sentence(error)}`);
    }
  }

  #clear(): void {
    this.#journal = null;
    this.#deadline = null;
    this.#ports.disk.clear();
  }

  /** Says the same thing once, not with every look. */
  #say(severity: 'warning' | 'error', message: string): void {
    if (message === this.#said) return;
    this.#said = message;
    this.#ports.log(severity, message);
  }
}
