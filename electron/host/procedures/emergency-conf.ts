/** Without quorum: one file on every node that can be reached, compared, and then into the tree. */
import { model, parse } from '../../../agent/conf/index.ts';
import type { AgentClient } from '../agent/client.ts';
import type { PlacedStep } from './join.ts';

export interface EmergencyNode {
  readonly name: string;
  /** null: it cannot be reached. */
  readonly client: AgentClient | null;
}

export interface EmergencyConf {
  readonly nodes: readonly EmergencyNode[];
  readonly text: string;
  readonly author: string;
  readonly operation: string;
  readonly onStep: (step: PlacedStep) => void;
}

/** Rejects with which node did not take it; those that did keep it, for a mixture is what must not be. */
export async function emergencyConf({ nodes, text, author, operation, onStep }: EmergencyConf): Promise<void> {
  const reachable = nodes.flatMap(({ name, client }) => (client === null ? [] : [{ name, client }]));
  // A node that the new file does not name any more has no need of it.
  const listed = new Set(model(parse(text)).nodelist.map((node) => node.name));
  const missing = nodes.filter(({ name, client }) => client === null && listed.has(name)).map(({ name }) => name);
  const digests = new Map<string, string>();
  const failed: string[] = [];
  for (const { name, client } of reachable) {
    try {
      // Steps of several nodes under one operation are told apart by what follows the dot.
      const { digest } = await client.installLocalConf(`${operation}.${name}`, { text, author });
      digests.set(name, digest);
    } catch (error) {
      failed.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const distinct = new Set(digests.values());
  const same = distinct.size === 1 && failed.length === 0;
  const where = reachable[0]?.name ?? '';
  const command = 'sha256sum /etc/corosync/corosync.conf';
  const compared = [...digests].map(([name, digest]) => `${name}: ${digest}`);
  const away = missing.length === 0 ? [] : [`not reached: ${missing.join(', ')}`];
  onStep({
    ...{ id: 'compare', title: 'All files are identical', command, where },
    ...{ state: same ? 'done' : 'failed', output: [...compared, ...failed, ...away] },
  });
  if (failed.length > 0) throw new Error(`Not every node has the file. ${failed.join('. ')}`);
  if (distinct.size > 1) throw new Error('The files differ from node to node. Put the file there again.');
  const [first] = reachable;
  if (first === undefined) throw new Error('No node of this cluster can be reached.');
  await first.client.publishLocalConf(`${operation}.tree`);
  if (missing.length > 0) {
    throw new Error(
      `${missing.join(', ')} could not be reached. Put the same file there before its engine starts: ` +
        'with another one it may form a cluster of its own.',
    );
  }
}
