/** What the renderer may ask, checked: a renderer taken over by someone gets no further than this. */
import { z } from 'zod';
import type { HostApi } from './api.ts';

const id = z.string().min(1).max(200);

/** No control characters, no leading dash: these words reach ssh, shells and configuration files. */
const word = (what: string, most: number): z.ZodString =>
  z
    .string()
    .trim()
    .min(1, `${what} is missing.`)
    .max(most, `${what} is longer than ${most} characters.`)
    .regex(/^[^\p{Cc}]*$/u, `${what} holds a control character.`)
    .regex(/^[^-]/, `${what} may not begin with a dash.`);

const address = word('The address', 253).regex(
  /^[A-Za-z0-9._:%[\]-]+$/,
  'The address is a host name or an IP address, without spaces.',
);

const hostAddress = z.object({
  name: z.string().trim().max(100, 'The name is longer than 100 characters.'),
  address,
  port: z
    .number('The port is a number.')
    .int('The port is a whole number.')
    .min(1, 'The port is at least 1.')
    .max(65535, 'The port is at most 65535.'),
  user: z
    .string()
    .trim()
    .max(64, 'The user name is longer than 64 characters.')
    .regex(/^(?:[A-Za-z0-9_][A-Za-z0-9._\\@-]*)?$/, 'The user name holds a character that no user name has.'),
  identityFile: z.union([z.null(), word('The path of the key', 4096)]),
});

/** Path inside the replicated tree: relative, no `..`, '' is the root. */
const treePath = z
  .string()
  .max(4096, 'The path is too long.')
  .regex(/^(?!\/)[^\0]*$/, 'The path is relative to /etc/pve.')
  .refine((path) => !path.split('/').includes('..'), 'The path may not hold "..".');

const clusterName = z
  .string()
  .trim()
  .regex(
    /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,13}[A-Za-z0-9])?$/,
    'A cluster name is 1 to 15 letters, digits and dashes, and begins and ends with a letter or digit.',
  );

const engine = z.enum(['totem', 'corosync'], 'The engine is "totem" or "corosync".');

const createRequest = z.object({
  clusterName,
  engine,
  ring0Addr: z.union([z.null(), address]),
  nodeId: z.union([z.null(), z.number().int().min(1, 'A node id is at least 1.').max(0xffffffff)]),
  votes: z.number().int('Votes are a whole number.').min(0, 'Votes are not negative.').max(255, 'At most 255 votes.'),
});

const nodeName = z
  .string()
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/, 'That is not the name of a node.');

const confText = z.string().max(1024 * 1024, 'The file is larger than 1 MiB.');
const digest = z.string().regex(/^[0-9a-f]{64}$/, 'That is not a digest.');

const none = z.tuple([]);

/** The arguments of every call, by name. */
export const inputs = {
  watch: none,
  eventLog: none,
  addHost: z.tuple([hostAddress]),
  removeHost: z.tuple([id]),
  reconnect: z.tuple([id]),
  approveKey: z.tuple([id, z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}$/, 'That is not a fingerprint.')]),
  giveSecret: z.tuple([id, z.string().min(1, 'It is empty.').max(1024, 'It is too long.')]),
  installAgent: z.tuple([id]),
  uninstallAgent: z.tuple([id]),
  openConf: z.tuple([id]),
  planConf: z.tuple([id, confText, digest]),
  applyConf: z.tuple([
    id,
    z.object({
      text: confText,
      baseDigest: digest,
      method: z.enum(['reload', 'rolling-restart', 'whole-restart']),
      confirmWithinMs: z.number().int().min(5_000, 'That is too short.').max(3_600_000, 'That is too long.'),
    }),
  ]),
  confirmConf: z.tuple([id]),
  revertConf: z.tuple([id]),
  planMove: z.tuple([id, engine]),
  moveEngine: z.tuple([id, engine]),
  confHistory: z.tuple([id]),
  expectVotes: z.tuple([id, z.number().int().min(1, 'At least one vote is expected.').max(1_000_000)]),
  emergencyConf: z.tuple([id, confText]),
  listFiles: z.tuple([id, treePath]),
  readFile: z.tuple([id, treePath]),
  createCluster: z.tuple([id, createRequest]),
  preflightJoin: z.tuple([id, id]),
  join: z.tuple([id, id]),
  removeNode: z.tuple([id, z.number().int().min(1, 'A node id is at least 1.').max(0xffffffff)]),
  cancel: z.tuple([id]),
  dismiss: z.tuple([id]),
  labKill: z.tuple([nodeName]),
  labStart: z.tuple([nodeName]),
  labCut: z.tuple([z.array(nodeName).min(1, 'Name at least one node.').max(64)]),
  labHeal: none,
} satisfies Record<keyof HostApi, z.ZodType<readonly unknown[]>>;

/** The checked arguments, trimmed. Throws an Error with what is wrong, in words, when they are not fit. */
export function checkedArguments<Name extends keyof HostApi>(name: Name, given: unknown): Parameters<HostApi[Name]> {
  const parsed = inputs[name].safeParse(given);
  if (parsed.success) return parsed.data as unknown as Parameters<HostApi[Name]>;
  const first = parsed.error.issues[0];
  const at = first === undefined ? [] : first.path.slice(1);
  const where = at.length === 0 ? '' : ` (${at.join('.')})`;
  throw new Error(`${first?.message ?? 'The input is not valid.'}${where}`);
}

/**
 * The API with every call checked first, as an object that inherits nothing: a call named
 * `constructor` finds nothing.
 */
export function checkedApi(api: HostApi): HostApi {
  const checked = Object.create(null) as Record<string, unknown>;
  for (const name of Object.keys(inputs) as (keyof HostApi)[]) {
    checked[name] = async (...given: unknown[]) => {
      // Each call takes the arguments of its own name; TypeScript cannot follow that through the loop.
      const call = api[name] as (...args: unknown[]) => Promise<unknown>;
      return call.apply(api, checkedArguments(name, given));
    };
  }
  return checked as unknown as HostApi;
}
