/**
 * What members of a process group tell each other through the ring: kind (1 byte), length of the group's name
 * (1 byte), name, bytes. Clients and the engine hand messages on in this form, so that none is copied for its head.
 */
export const JOIN = 1;
export const LEAVE = 2;
export const DATA = 3;
/** Bytes before the name. */
export const GROUP_HEAD = 2;

const text = new TextEncoder();
const words = new TextDecoder();

/** There are few groups, and one name per message: bytes and text of the last ones are kept. */
const known = new Map<string, Uint8Array>();
const MOST_NAMES = 1000;

export function nameBytes(group: string): Uint8Array {
  const bytes = known.get(group);
  if (bytes !== undefined) return bytes;
  const made = text.encode(group);
  if (known.size < MOST_NAMES) known.set(group, made);
  return made;
}

/** A name has at most 255 bytes (the engine's server sees to it). */
export function groupMessage(kind: number, group: string, bytes: Uint8Array): Uint8Array {
  const name = nameBytes(group);
  const message = new Uint8Array(GROUP_HEAD + name.length + bytes.length);
  putGroupHead(message, 0, kind, name);
  message.set(bytes, GROUP_HEAD + name.length);
  return message;
}

/** Writes kind and name. Gives where the bytes begin. */
export function putGroupHead(into: Uint8Array, at: number, kind: number, name: Uint8Array): number {
  into[at] = kind;
  into[at + 1] = name.length;
  into.set(name, at + GROUP_HEAD);
  return at + GROUP_HEAD + name.length;
}

/** Reads names, of which most are the one before. */
export class GroupNames {
  private bytes = new Uint8Array();
  private group = '';

  /** The group that a message names. */
  of(message: Uint8Array): string {
    const end = GROUP_HEAD + (message[1] ?? 0);
    if (!this.isLast(message, end)) {
      this.bytes = new Uint8Array(message.subarray(GROUP_HEAD, end));
      this.group = words.decode(this.bytes);
    }
    return this.group;
  }

  private isLast(message: Uint8Array, end: number): boolean {
    if (this.bytes.length !== end - GROUP_HEAD || message.length < end) return false;
    for (let index = 0; index < this.bytes.length; index += 1)
      if (message[GROUP_HEAD + index] !== this.bytes[index]) return false;
    return true;
  }
}

/** The bytes behind the name. */
export const groupBytes = (message: Uint8Array): Uint8Array => message.subarray(GROUP_HEAD + (message[1] ?? 0));
