/** `pvecm move-engine`: the whole cluster changes to the other engine. */
import { hostname, userInfo } from 'node:os';
import { Argument, Option, type Command } from 'commander';
import { moveEngine, planMove } from '../cluster/move/move.ts';
import type { NodePorts } from '../cluster/ports.ts';
import type { Watcher } from '../cluster/procedure.ts';
import type { EngineKind, EngineStatus } from '../engine/engine.ts';

export interface MoveCommands {
  readonly ports: NodePorts;
  /** The engine's status; rejects with a clear word where there is no cluster or no engine. */
  readonly status: () => Promise<EngineStatus>;
  readonly watcher: (quiet: boolean) => Watcher;
}

const ENGINES = { corosync: 'corosync', bundled: 'totem' } as const satisfies Record<string, EngineKind>;

export function addMoveCommands(program: Command, { ports, status, watcher }: MoveCommands): void {
  program
    .command('move-engine')
    .description('move the whole cluster to the other engine, with one short stop of writes')
    .addArgument(new Argument('<engine>', 'the engine to move to').choices(Object.keys(ENGINES)))
    .addOption(new Option('--dry-run', 'say what would be done, and do nothing'))
    .addOption(new Option('--json', 'print one JSON document'))
    .action(async (engine: keyof typeof ENGINES, options: { dryRun?: boolean; json?: boolean }) => {
      await status();
      const to = ENGINES[engine];
      const print = (value: object, words: string): void =>
        void process.stdout.write(options.json === true ? `${JSON.stringify(value)}\n` : `${words}\n`);
      if (options.dryRun === true) {
        const plan = await planMove(ports, to);
        return print(plan, [...plan.notes, ...plan.sentences].join('\n'));
      }
      const author = `${userInfo().username}@${hostname()}`;
      const plan = await moveEngine(ports, { to, author }, watcher(options.json === true));
      print(plan, `The cluster runs on the engine ${engine}, with corosync.conf version ${plan.version}.`);
    });
}
