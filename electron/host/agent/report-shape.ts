/**
 * Is what an agent sent a report? A node may be of another version, or taken over: what the app
 * computes with is checked here, once, at the edge. Unknown fields pass.
 */
import { z } from 'zod';
import type { EventEntry, NodeReport, Step } from '../../../agent/rpc/api.ts';

const address = z.looseObject({ link: z.number(), address: z.string() });
const count = z.number().int().min(0);

const engine = z.looseObject({
  engine: z.enum(['totem', 'corosync']),
  state: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('operational') }),
    z.object({ kind: z.literal('forming') }),
    z.object({ kind: z.literal('outdated'), reason: z.string() }),
    z.object({ kind: z.literal('down'), reason: z.string() }),
  ]),
  clusterName: z.string(),
  configVersion: z.number(),
  transport: z.string(),
  localNode: z.number(),
  ringId: z.looseObject({ representative: z.number(), sequence: z.number() }).nullable(),
  members: z
    .array(
      z.looseObject({
        nodeId: z.number(),
        name: z.string().nullable(),
        votes: count,
        addresses: z.array(address),
        state: z.enum(['member', 'absent']),
        local: z.boolean(),
      }),
    )
    .max(1000),
  links: z.array(z.looseObject({ link: z.number(), peer: z.number(), connected: z.boolean() })).max(10_000),
  quorum: z.looseObject({
    quorate: z.boolean(),
    expectedVotes: count,
    highestExpected: count,
    totalVotes: count,
    quorum: count,
    flags: z.array(z.string()),
  }),
});

const report = z.looseObject({
  hostname: z.string(),
  agentVersion: z.string(),
  os: z.string(),
  supervision: z.enum(['systemd', 'self']),
  clockMs: z.number(),
  addresses: z.array(z.looseObject({ interface: z.string(), address: z.string(), prefix: z.number() })),
  services: z.array(z.looseObject({ name: z.string(), state: z.string(), restarts: z.number() })),
  engine: engine.nullable(),
  fileSystem: z
    .looseObject({
      mode: z.enum(['local', 'cluster']),
      writability: z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('writable') }),
        z.object({ kind: z.literal('read-only'), reason: z.string() }),
      ]),
    })
    .nullable(),
  localConfigVersion: z.number().nullable(),
  apply: z
    .looseObject({
      id: z.string(),
      author: z.string(),
      version: z.number(),
      method: z.enum(['reload', 'rolling-restart', 'whole-restart']),
      phase: z.enum(['prepare', 'install', 'effect', 'confirm', 'revert']),
      changes: z.array(z.string()),
      remainingMs: z.number().nullable(),
    })
    .nullable(),
});

const event = z.object({
  timeMs: z.number(),
  severity: z.enum(['info', 'notice', 'warning', 'error']),
  source: z.enum(['engine', 'pmxcfs', 'supervisor', 'cluster']),
  message: z.string().max(20_000),
});

const step = z.object({
  id: z.string().max(200),
  title: z.string().max(2000),
  command: z.string().max(100_000).nullable(),
  state: z.enum(['waiting', 'running', 'done', 'failed', 'skipped']),
  output: z.array(z.string()).max(10_000),
});

/** Throws an Error in words when it is not a report. */
export function asReport(given: unknown): NodeReport {
  const parsed = report.safeParse(given);
  if (parsed.success) return parsed.data as unknown as NodeReport;
  const at = parsed.error.issues[0]?.path.join('.') ?? '';
  throw new Error(`The agent's report cannot be read (${at}): it may be of another version. Install the agent again.`);
}
/** Throws a ZodError when it is not an event. */
export const asEvent = (given: unknown): EventEntry => event.parse(given);
/** Throws a ZodError when it is not a step. */
export const asStep = (given: unknown): Step => step.parse(given);
