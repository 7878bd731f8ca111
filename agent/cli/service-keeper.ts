/** Keeps one child process running: started anew after each death, ever more slowly while it keeps dying. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { EventSeverity } from '../event-log.ts';
import type { ServiceState } from '../rpc/api.ts';

/** The program and its arguments, or why there is nothing to run now. */
export type Plan =
  { readonly kind: 'run'; readonly command: readonly string[] } | { readonly kind: 'idle'; readonly reason: string };

export interface KeeperTimes {
  readonly firstDelayMs: number;
  readonly longestDelayMs: number;
  /** A child that ran this long was healthy: the next delay is the first one again. */
  readonly healthyAfterMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly killAfterMs: number;
}

const usualTimes: KeeperTimes = {
  firstDelayMs: 250,
  longestDelayMs: 15_000,
  healthyAfterMs: 30_000,
  killAfterMs: 10_000,
};

export class ServiceKeeper {
  readonly name: ServiceState['name'];
  readonly #plan: (lastWords: string) => Plan;
  readonly #log: (severity: EventSeverity, message: string) => void;
  readonly #times: KeeperTimes;
  #wanted = false;
  #child: { process: ChildProcess; exited: Promise<void>; startedMs: number } | null = null;
  #retry: NodeJS.Timeout | null = null;
  #delayMs: number;
  #restarts = 0;
  #reason: string | null = null;
  /** Why it is not started although it is wanted. */
  #idle: string | null = null;
  #lastWords = '';

  /**
   * `plan` is asked at each start: configuration may have come or gone meanwhile. It is told what the program wrote
   * to its standard error last.
   */
  constructor(
    name: ServiceState['name'],
    plan: (lastWords: string) => Plan,
    log: (severity: EventSeverity, message: string) => void,
    times: KeeperTimes = usualTimes,
  ) {
    this.name = name;
    this.#plan = plan;
    this.#log = log;
    this.#times = times;
    this.#delayMs = times.firstDelayMs;
  }

  state(): ServiceState {
    const { name } = this;
    const base = { name, restarts: this.#restarts };
    if (this.#child !== null) return { ...base, state: 'running', pid: this.#child.process.pid ?? null, reason: null };
    if (this.#wanted && this.#idle === null) return { ...base, state: 'failed', pid: null, reason: this.#reason };
    return { ...base, state: 'stopped', pid: null, reason: this.#idle ?? 'stopped on request' };
  }

  /** Starts it unless it runs already. */
  start(): void {
    this.#wanted = true;
    if (this.#child !== null) return;
    this.#cancelRetry();
    this.#delayMs = this.#times.firstDelayMs;
    this.#spawn();
  }

  /** SIGTERM, and SIGKILL when that does not help. Resolves when the process is gone. */
  async stop(): Promise<void> {
    this.#wanted = false;
    this.#cancelRetry();
    const child = this.#child;
    if (child === null) return;
    child.process.kill('SIGTERM');
    const kill = setTimeout(() => {
      this.#log('warning', `${this.name} did not end within ${this.#times.killAfterMs / 1000} s and was killed`);
      child.process.kill('SIGKILL');
    }, this.#times.killAfterMs);
    await child.exited;
    clearTimeout(kill);
  }

  #spawn(): void {
    const plan = this.#plan(this.#lastWords);
    this.#idle = plan.kind === 'idle' ? plan.reason : null;
    if (plan.kind === 'idle') return;
    const [program = '', ...args] = plan.command;
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'pipe'] });
    this.#lastWords = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      process.stderr.write(text);
      this.#lastWords = (this.#lastWords + text).slice(-2000);
    });
    const exited = new Promise<void>((resolve) => {
      let over = false;
      const end = (how: string): void => {
        if (over) return;
        over = true;
        this.#ended(how);
        resolve();
      };
      // 'close' comes after the last of its standard error, unless a grandchild holds that open.
      child.once('exit', (code, signal) => {
        const how = signal === null ? `ended with exit code ${code ?? 'unknown'}` : `was ended by ${signal}`;
        child.once('close', () => end(how));
        setTimeout(() => end(how), 500);
      });
      child.once('error', (error) => end(`could not be started: ${error.message}`));
    });
    this.#child = { process: child, exited, startedMs: Date.now() };
  }

  #ended(how: string): void {
    const ranMs = Date.now() - (this.#child?.startedMs ?? 0);
    this.#child = null;
    if (!this.#wanted) return;
    const words = this.#lastWords.trim().split('\n').at(-1) ?? '';
    this.#reason = words === '' ? how : `${how}: ${words}`;
    if (ranMs >= this.#times.healthyAfterMs) this.#delayMs = this.#times.firstDelayMs;
    this.#log('error', `${this.name} ${this.#reason}; it is started again in ${this.#delayMs / 1000} s`);
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#restarts += 1;
      this.#spawn();
    }, this.#delayMs);
    this.#delayMs = Math.min(this.#delayMs * 2, this.#times.longestDelayMs);
  }

  #cancelRetry(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
  }
}
