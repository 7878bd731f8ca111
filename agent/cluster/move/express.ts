/** The cluster's corosync.conf in the words of the other engine. Pure. */
import { bundledTransport, diagnose, isOldDialect, model, parse, rrpToKnet, setValue } from '../../conf/index.ts';
import type { EngineKind } from '../../engine/engine.ts';
import { err, ok, type Result } from '../../result.ts';
import { isEncrypted } from '../conf-write.ts';

export interface Expressed {
  readonly text: string;
  /** What had to be said otherwise, a sentence each. */
  readonly notes: readonly string[];
}

export const NAMES: Readonly<Record<EngineKind, string>> = { totem: 'the bundled engine', corosync: 'Corosync' };

/** The same cluster for the engine `to`, config_version untouched; or which line stands in the way. */
export function expressFor(text: string, to: EngineKind): Result<Expressed, string> {
  const made = to === 'corosync' ? forCorosync(text) : ok({ text, notes: [] });
  if (!made.ok) return made;
  // In both languages: the file lies in the tree while the old engine still runs, and again if it is taken back.
  for (const engine of [to, to === 'corosync' ? 'totem' : 'corosync'] as const) {
    const dialect = engine === 'corosync' ? 'corosync3' : 'ringmaster';
    const [fault] = diagnose(made.value.text, { dialect }).filter(({ severity }) => severity === 'error');
    if (fault !== undefined) {
      return err(
        `${NAMES[engine]} does not take this corosync.conf: line ${fault.line}: ${fault.message} ${fault.why}`,
      );
    }
  }
  return made;
}

function forCorosync(text: string): Result<Expressed, string> {
  const notes: string[] = [];
  let made = text;
  if (isOldDialect(made)) {
    const converted = rrpToKnet(made);
    if (!converted.ok) return converted;
    made = converted.value.text;
    notes.push(...converted.value.notes);
  }
  const encrypted = isEncrypted(made, 'totem');
  const transport = bundledTransport(parse(made));
  if (encrypted && transport !== 'knet') {
    made = setValue(made, 'totem', 'transport', 'knet');
    notes.push(`transport changes from ${transport ?? 'none'} to knet: Corosync encrypts with no other.`);
  }
  const { cryptoCipher, cryptoHash } = model(parse(made)).totem;
  if ((cryptoCipher ?? 'none') !== 'none' && (cryptoHash ?? 'none') === 'none') {
    made = setValue(made, 'totem', 'crypto_hash', 'sha256');
    notes.push(
      'crypto_hash becomes sha256: the bundled engine authenticates with every cipher, Corosync when it is told.',
    );
  }
  return ok({ text: made, notes });
}

/** Bytes of a key that Corosync takes (totemconfig.c, TOTEM_PRIVATE_KEY_LEN_MIN and _MAX). */
const KEY_BYTES = [128, 4096] as const;

/** Why the engine `to` would not take the cluster's key, or null. `key` in base64. */
export function whyNotKey(text: string, to: EngineKind, key: string | null): string | null {
  if (!isEncrypted(text, to)) return null;
  if (key === null)
    return 'the cluster is encrypted, and this node has no key: put the same authkey on every node first';
  const bytes = Buffer.from(key, 'base64').length;
  if (to === 'totem' || (bytes >= KEY_BYTES[0] && bytes <= KEY_BYTES[1])) return null;
  return `the cluster's key has ${bytes} bytes, and Corosync takes ${KEY_BYTES[0]} to ${KEY_BYTES[1]}: replace it first ("pvecm rekey")`;
}

/**
 * How long writes wait, in milliseconds: both engines have to end and start, and the ring to form. Corosync needs 2.7 s
 * for three nodes from a cold start, 4.7 for five and 7.5 for nine (measured), the bundled engine a second.
 */
export const pauseMs = (to: EngineKind, nodes: number): number =>
  to === 'corosync' ? 2_000 + 800 * nodes : 2_000 + 100 * nodes;
