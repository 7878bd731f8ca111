/**
 * The replacement of the cluster's key while the cluster runs: what all nodes know of it. It lies in the part of the
 * tree that only root reads, and the key itself only as long as a node may need it. Types and reading only.
 */
import * as z from 'zod/mini';

/**
 * `accept`: each node opens with the new key too. `seal`: each seals with the new one, and still opens the old.
 * `forget`: each forgets the old one. `cancelled`: each forgets the new one. `ended`: it is over.
 */
const phase = z.enum(['accept', 'seal', 'forget', 'cancelled', 'ended']);

const rekey = z.object({
  id: z.string(),
  /** Who asked for it, for instance root@pve1. */
  author: z.string(),
  /** Milliseconds since 1970, for people. */
  startedMs: z.number(),
  phase,
  /** The new key in base64; null once every node has it on its disk, or none needs it. Secret. */
  key: z.nullable(z.string()),
  /** SHA-256 of the new key in hexadecimal: tells keys apart, and tells nothing of 2048 random bits. */
  digest: z.string(),
  /** Node ids that are not waited for: they need the key by hand. */
  without: z.array(z.number()),
  outcome: z.nullable(z.enum(['replaced', 'cancelled'])),
});

export type Rekey = z.infer<typeof rekey>;
export type Phase = z.infer<typeof phase>;

/** What one node says of the replacement with this id. Its last word stands. */
const answer = z.object({
  id: z.string(),
  nodeId: z.number(),
  name: z.string(),
  state: z.enum(['accepts', 'seals', 'forgot', 'failed']),
  detail: z.string(),
});

export type Answer = z.infer<typeof answer>;

/** Paths in the tree. */
export const FOLDER = 'priv/ringmaster';
export const REKEY_FILE = `${FOLDER}/rekey.json`;
export const LOCK = `${FOLDER}/rekey.lock`;
export const ANSWERS = `${FOLDER}/rekey`;

/** null for what is no such document: another version's, or damaged. */
export const readRekey = (text: string): Rekey | null => parsed(rekey, text);
export const readAnswer = (text: string): Answer | null => parsed(answer, text);

function parsed<T>(schema: z.ZodMiniType<T>, text: string): T | null {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

export type OpenRekey = Rekey & { readonly phase: Exclude<Phase, 'ended'> };
export const isOpen = (one: Rekey | null): one is OpenRekey => one !== null && one.phase !== 'ended';

/** How a key is named where people read: enough to compare, and no secret. */
export const fingerprint = (digest: string): string => digest.slice(0, 16);
