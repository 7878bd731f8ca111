/** Carries out on its node what `decide` says about the cluster's key, one thing at a time. It runs on every node. */
import type { EngineStatus } from '../../engine/engine.ts';
import type { Clock, TreePort } from '../ports.ts';
import { sentence } from '../procedure.ts';
import { decide, type Action, type Seen } from './decide.ts';
import type { KeyDisk } from './key-disk.ts';
import { answersTo, changeRekey, lastRekey, writeAnswer } from './rekey-store.ts';
import { fingerprint, isOpen, type Answer, type OpenRekey, type Phase, type Rekey } from './rekey.ts';

export interface FollowerPorts {
  readonly self: { readonly nodeId: number; readonly name: string };
  readonly disk: KeyDisk;
  readonly tree: TreePort;
  readonly clock: Clock;
  readonly engine: { status(): EngineStatus; reload(): Promise<unknown> };
  log(severity: 'info' | 'notice' | 'warning' | 'error', message: string): void;
}

/** How often the follower looks while a key is being replaced, and while none is. Milliseconds. */
const BUSY_MS = 200;
const REST_MS = 5_000;

export class KeyFollower {
  readonly #ports: FollowerPorts;
  /** The files that the engine has loaded, as far as is known here. */
  #loaded = '';
  #said = '';
  #timer: NodeJS.Timeout | null = null;
  #working: Promise<void> | null = null;
  #again = false;
  #closed = false;

  constructor(ports: FollowerPorts) {
    this.#ports = ports;
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
    let busy = false;
    while (this.#again && !this.#closed) {
      this.#again = false;
      try {
        busy = await this.#step();
      } catch (error) {
        this.#say(`the cluster key: ${sentence(error)}`);
        busy = true;
      }
    }
    if (!this.#closed) this.#timer = setTimeout(() => this.look(), busy ? BUSY_MS : REST_MS);
  }

  /** One look and what follows from it. True while something is under way. */
  async #step(): Promise<boolean> {
    const { tree, disk, engine, self } = this.#ports;
    const status = await tree.status();
    if (status === null || status.mode !== 'cluster') return false;
    const rekey = await lastRekey(tree);
    if (rekey === null) return false;
    const { members } = engine.status();
    const keys = disk.read();
    const action = decide({
      self: self.nodeId,
      rekey,
      disk: keys,
      loaded: this.#loaded === JSON.stringify(keys),
      answers: await this.#answers(rekey),
      configured: members.map(({ nodeId }) => nodeId),
      ring: new Set(members.filter(({ state }) => state === 'member').map(({ nodeId }) => nodeId)),
      treeWritable: status.writability.kind === 'writable',
    });
    await this.#carryOut(action, rekey);
    if (action.kind !== 'nothing') this.#again = true;
    return isOpen(rekey);
  }

  async #answers(rekey: Rekey): Promise<Seen['answers']> {
    const answers = isOpen(rekey) ? await answersTo(this.#ports.tree, rekey.id) : [];
    return new Map(answers.map(({ nodeId, state }) => [nodeId, state]));
  }

  async #carryOut(action: Action, rekey: Rekey): Promise<void> {
    const { disk, log } = this.#ports;
    const name = fingerprint(rekey.digest);
    switch (action.kind) {
      case 'nothing':
        return;
      case 'accept':
        disk.accept(action.key);
        log('info', `the new cluster key ${name} is accepted beside the present one`);
        return this.#load(rekey);
      case 'seal':
        disk.seal(action.key);
        log('info', `the new cluster key ${name} seals from now on; the previous one still opens`);
        return this.#load(rekey);
      case 'forget':
        disk.forget();
        log('info', 'one cluster key is left; any other is forgotten');
        return this.#load(rekey);
      case 'load':
        return this.#load(rekey);
      case 'answer':
        return this.#answer(rekey, action.state, action.detail);
      case 'turn':
        return this.#turn(action.from, action.to);
    }
  }

  async #load(rekey: Rekey): Promise<void> {
    const { disk, engine } = this.#ports;
    const keys = JSON.stringify(disk.read());
    try {
      await engine.reload();
    } catch (error) {
      // The next look tries again: an engine that is just starting reads the files by itself.
      if (isOpen(rekey)) await this.#answer(rekey, 'failed', `the engine did not load it: ${sentence(error)}`);
      throw error;
    }
    this.#loaded = keys;
  }

  async #answer({ id }: Rekey, state: Answer['state'], detail: string): Promise<void> {
    await writeAnswer(this.#ports.tree, { id, ...this.#ports.self, state, detail });
  }

  /** The page is turned by one; when another was quicker, or it was cancelled in between, it stays as it is. */
  async #turn(from: OpenRekey, to: Phase): Promise<void> {
    const { log } = this.#ports;
    const outcome = from.phase === 'cancelled' ? 'cancelled' : 'replaced';
    const turned = await changeRekey(this.#ports, from.id, (present) => {
      if (present.phase !== from.phase) return null;
      return {
        ...present,
        phase: to,
        key: to === 'seal' ? present.key : null,
        outcome: to === 'ended' ? outcome : null,
      };
    });
    if (turned?.phase !== to) return;
    if (to === 'seal') log('notice', 'every node accepts the new cluster key: all seal with it now');
    if (to === 'forget') log('notice', 'every node seals with the new cluster key: the old one is forgotten now');
    if (to === 'ended')
      log('notice', outcome === 'replaced' ? 'the cluster key is replaced' : 'the cluster key stays: it was cancelled');
  }

  /** Says the same thing once, not with every look. */
  #say(message: string): void {
    if (message === this.#said) return;
    this.#said = message;
    this.#ports.log('warning', message);
  }
}
