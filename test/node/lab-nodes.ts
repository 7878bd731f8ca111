/** A lab on a directory of its own, as the tests of whole nodes use it. */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineStatus } from '../../agent/engine/engine.ts';
import { enterNode } from '../../electron/lab/open.ts';

const command = join(import.meta.dirname, '../../electron/lab/command.ts');
const asRoot = process.platform === 'linux' && process.getuid?.() === 0;

/** False, or why a lab of namespaces cannot be made here. */
export const whyNoLab = asRoot ? false : 'a lab of namespaces needs root on Linux';

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export class LabNodes {
  readonly directory = mkdtempSync(join(tmpdir(), 'ringmaster-lab-'));

  /** Runs `npm run lab -- ARGS` on the directory. */
  lab(...args: readonly string[]): Outcome {
    const { status, stdout, stderr } = spawnSync(process.execPath, this.#line(args), {
      encoding: 'utf8',
      timeout: 180_000,
    });
    return { code: status, out: stdout, err: stderr };
  }

  good(...args: readonly string[]): string {
    const { code, out, err } = this.lab(...args);
    assert.equal(code, 0, `${args.join(' ')}: ${out}${err}`);
    return out;
  }

  /** What `npm run lab -- exec` does, without a process of Node for each: a test asks hundreds of times. */
  on(node: string, script: string): Outcome {
    const entered = this.#enter(node, script);
    if ('refused' in entered) return { code: 1, out: '', err: `lab: ${entered.refused}\n` };
    const { program, args, env, cwd } = entered;
    const options = { encoding: 'utf8', env, cwd, timeout: 180_000, maxBuffer: 64 * 1024 * 1024 } as const;
    const { status, signal, stdout, stderr } = spawnSync(program, args, options);
    return { code: status ?? 128 + (signal === null ? 0 : constants.signals[signal]), out: stdout, err: stderr };
  }

  run(node: string, script: string): string {
    const { code, out, err } = this.on(node, script);
    assert.equal(code, 0, `${script}: ${out}${err}`);
    return out;
  }

  /** Without waiting for its end. */
  begin(node: string, script: string): { readonly child: ChildProcess; readonly ended: Promise<Outcome> } {
    const entered = this.#enter(node, script);
    if ('refused' in entered) throw new Error(entered.refused);
    const child = spawn(entered.program, entered.args, { env: entered.env, cwd: entered.cwd });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    const ended = new Promise<Outcome>((resolve) => child.once('close', (code) => resolve({ code, out, err })));
    return { child, ended };
  }

  /** null while the engine does not answer there. */
  status(node: string): EngineStatus | null {
    const { code, out } = this.on(node, 'pvecm status --json');
    return code === 0 ? (JSON.parse(out) as EngineStatus) : null;
  }

  remove(): void {
    this.lab('down');
    rmSync(this.directory, { recursive: true, force: true });
  }

  #enter(node: string, script: string): ReturnType<typeof enterNode> | { readonly refused: string } {
    try {
      return enterNode(this.directory, node, ['sh', '-c', script]);
    } catch (error) {
      return { refused: error instanceof Error ? error.message : String(error) };
    }
  }

  #line(args: readonly string[]): string[] {
    const dashes = args.indexOf('--');
    const own = dashes < 0 ? args : args.slice(0, dashes);
    const rest = dashes < 0 ? [] : args.slice(dashes);
    return [command, ...own, '--dir', this.directory, ...rest];
  }
}

export async function until(what: string, withinMs: number, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + withinMs; !holds(); await new Promise((resolve) => setTimeout(resolve, 200))) {
    assert.ok(Date.now() < end, `waited ${withinMs / 1000} s for: ${what}`);
  }
}
