/** The AEAD of the bundled engine, and the files with the cluster's keys. */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createSecretKey,
  type CipherGCMTypes,
  type KeyObject,
} from 'node:crypto';
import { readFileSync } from 'node:fs';
import { acceptedKeyFile, previousKeyFile, type NodeLayout } from '../../node-layout.ts';
import { err, ok, type Result } from '../../result.ts';
import type { NodeId } from '../../totem/ids.ts';
import { TAG_BYTES, type ClusterKey, type SessionKey } from '../../totem/security/cluster-key.ts';

/**
 * The names of crypto_cipher, corosync.conf(5). Each is that AES in GCM, which authenticates by itself: crypto_hash
 * has nothing to choose and is ignored.
 */
export type CipherName = 'aes128' | 'aes192' | 'aes256';

const CIPHERS: Readonly<Record<CipherName, { readonly algorithm: CipherGCMTypes; readonly bytes: number }>> = {
  aes128: { algorithm: 'aes-128-gcm', bytes: 16 },
  aes192: { algorithm: 'aes-192-gcm', bytes: 24 },
  aes256: { algorithm: 'aes-256-gcm', bytes: 32 },
};

const HASH = 'sha512';
const SALT = 'ringmaster cluster key 1';
const NONCE_BYTES = 12;
const OPTIONS = { authTagLength: TAG_BYTES };

/**
 * A cluster key of the key file's bytes. A subkey is HKDF-Expand of RFC 5869 in one block of SHA-512: the cipher's
 * key, and after 32 bytes the voucher. Written out as one HMAC because hkdfSync extracts anew on every call (7.4 us
 * against 3.8 us here), and a packet of an unknown session costs one of these.
 */
export function clusterKey(secret: Uint8Array, cipher: CipherName): ClusterKey {
  const { algorithm, bytes } = CIPHERS[cipher];
  const extracted = createSecretKey(createHmac(HASH, SALT).update(secret).digest());
  const id = createHash('sha256').update(`ringmaster key id ${algorithm}\n`).update(secret).digest().readUInt32BE(0);
  return {
    id,
    session: (sender: NodeId, session: Uint8Array): SessionKey => {
      const node = Buffer.allocUnsafe(5);
      node.writeUInt32BE(sender, 0);
      node[4] = session.length;
      const block = createHmac(HASH, extracted)
        .update(algorithm)
        .update(node)
        .update(session)
        .update(FIRST_BLOCK)
        .digest();
      return new AeadSession(algorithm, block.subarray(0, bytes), block.readUInt32BE(32));
    },
  };
}

/** The counter of HKDF-Expand's only block. */
const FIRST_BLOCK = Buffer.of(1);

class AeadSession implements SessionKey {
  readonly voucher: number;
  readonly #algorithm: CipherGCMTypes;
  readonly #bytes: Buffer;
  /** Made at the first use: for most unknown sessions only the voucher is looked at. */
  #key: KeyObject | null = null;
  readonly #nonce = Buffer.alloc(NONCE_BYTES);

  constructor(algorithm: CipherGCMTypes, bytes: Buffer, voucher: number) {
    this.#algorithm = algorithm;
    this.#bytes = bytes;
    this.voucher = voucher;
  }

  seal(counter: number, datagram: Uint8Array, head: number, plain: Uint8Array): void {
    const cipher = createCipheriv(this.#algorithm, this.#ready(counter), this.#nonce, OPTIONS);
    cipher.setAAD(datagram.subarray(0, head));
    datagram.set(cipher.update(plain), head);
    cipher.final(); // empty: GCM has no padding
    datagram.set(cipher.getAuthTag(), head + plain.length);
  }

  open(counter: number, datagram: Uint8Array, head: number): Uint8Array | null {
    const end = datagram.length - TAG_BYTES;
    if (end < head) return null;
    const decipher = createDecipheriv(this.#algorithm, this.#ready(counter), this.#nonce, OPTIONS);
    decipher.setAAD(datagram.subarray(0, head));
    decipher.setAuthTag(datagram.subarray(end));
    const plain = decipher.update(datagram.subarray(head, end));
    try {
      decipher.final();
    } catch {
      return null; // the only thing final() throws for is a tag that does not fit
    }
    return plain;
  }

  /** The key, with the nonce set: 96 bits, of which the counter are the last (NIST SP 800-38D, section 8.2.1). */
  #ready(counter: number): KeyObject {
    this.#nonce.writeUIntBE(counter, NONCE_BYTES - 6, 6);
    this.#key ??= createSecretKey(this.#bytes);
    return this.#key;
  }
}

/** Bytes: Corosync's bounds (1024 bits is its minimum; knet takes 4096 bytes at most). */
export const SHORTEST_KEY = 128;
export const LONGEST_KEY = 4096;

export interface KeyFiles {
  /** /etc/corosync/authkey: seals and opens. */
  readonly sealing: Uint8Array;
  /** Keys that only open, while one is being replaced: the next one, the previous one, or none. */
  readonly accepted: readonly Uint8Array[];
}

/** Reads the key files. The error is a sentence that says which file and what to do. */
export function readKeys(layout: Pick<NodeLayout, 'authkey'>): Result<KeyFiles, string> {
  const sealing = readKey(layout.authkey);
  if (!sealing.ok) return sealing;
  if (sealing.value === null)
    return err(`${layout.authkey} is missing, and crypto_cipher or secauth asks for it: copy it from another node`);
  const accepted: Uint8Array[] = [];
  for (const file of [acceptedKeyFile(layout), previousKeyFile(layout)]) {
    const key = readKey(file);
    if (!key.ok) return key;
    if (key.value !== null) accepted.push(key.value);
  }
  return ok({ sealing: sealing.value, accepted });
}

/** The keys of the files for Security: the first seals. */
export const clusterKeys = ({ sealing, accepted }: KeyFiles, cipher: CipherName): ClusterKey[] =>
  [sealing, ...accepted].map((secret) => clusterKey(secret, cipher));

function readKey(file: string): Result<Uint8Array | null, string> {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ok(null);
    return err(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (bytes.length < SHORTEST_KEY)
    return err(`${file} has ${bytes.length * 8} bits, and a cluster key has at least ${SHORTEST_KEY * 8}`);
  if (bytes.length > LONGEST_KEY)
    return err(`${file} has ${bytes.length} bytes, and a cluster key has at most ${LONGEST_KEY}`);
  return ok(bytes);
}
