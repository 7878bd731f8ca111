/** What simulated nodes say to each other: an application's message, or a node's word on its votes. */
import { nodeId, type NodeId } from '../../agent/totem/ids.ts';

const HEAD_BYTES = 16;
export const SMALLEST_MESSAGE = HEAD_BYTES;

export interface Message {
  /** One number for sender, life and number. */
  readonly id: number;
  readonly sender: NodeId;
  /** Which start of the sender. */
  readonly life: number;
  /** Counts within a life. */
  readonly number: number;
  readonly safe: boolean;
  /** An index into the words said so far, or null for an application's message. */
  readonly word: number | null;
}

export type Draft = Omit<Message, 'id'>;

const idOf = (sender: number, life: number, number: number): number => (sender * 4096 + life) * 2 ** 26 + number;

/** A payload of `bytes` bytes, at least SMALLEST_MESSAGE, filled so that a lost or doubled piece shows. */
export function writeMessage(draft: Draft, bytes: number): { readonly message: Message; readonly payload: Uint8Array } {
  const payload = new Uint8Array(Math.max(bytes, HEAD_BYTES));
  const view = new DataView(payload.buffer);
  view.setUint16(0, draft.sender);
  view.setUint16(2, draft.life);
  view.setUint32(4, draft.number);
  view.setUint8(8, draft.safe ? 1 : 0);
  view.setUint32(12, draft.word === null ? 0 : draft.word + 1);
  for (let at = HEAD_BYTES; at < payload.length; at += 1) payload[at] = (at * 31 + (at >> 8) + draft.number) & 0xff;
  return { message: { ...draft, id: idOf(draft.sender, draft.life, draft.number) }, payload };
}

/** Null where the payload is none of ours. */
export function readMessage(payload: Uint8Array): Message | null {
  if (payload.length < HEAD_BYTES) return null;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const [sender, life, number] = [view.getUint16(0), view.getUint16(2), view.getUint32(4)];
  if (sender === 0) return null;
  const word = view.getUint32(12);
  return {
    ...{ id: idOf(sender, life, number), sender: nodeId(sender), life, number },
    ...{ safe: view.getUint8(8) === 1, word: word === 0 ? null : word - 1 },
  };
}

/** `2/1/17s`: the 17th message of node 2 since its first start, to be delivered safely. */
export const showMessage = ({ sender, life, number, safe }: Message): string =>
  `${sender}/${life}/${number}${safe ? 's' : ''}`;
