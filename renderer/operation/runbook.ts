/** An operation's steps as a text to keep: what ran where, and its output as comments. Pure. */
import type { OperationView } from '../../electron/host/api.ts';

export function runbook({ title, steps }: OperationView): string {
  const parts = steps.map(({ where, title: step, command, output, state }) => {
    const lines = [`# ${where}: ${step} (${state})`];
    if (command !== null) lines.push(command);
    lines.push(...output.map((line) => `#   ${line}`));
    return lines.join('\n');
  });
  return `# ${title}\n\n${parts.join('\n\n')}\n`;
}
