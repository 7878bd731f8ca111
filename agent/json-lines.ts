/**
 * The wire of every local and remote procedure call: one JSON document a line over any byte stream
 * (a Unix socket, or standard input and output through SSH). birpc speaks over it.
 */
import type { Readable, Writable } from 'node:stream';
import type { ChannelOptions } from 'birpc';

/** A line longer than this is an error: no call of ours carries more (a 1 MiB file in base64). */
const LONGEST_LINE = 8 * 1024 * 1024;

export type LineChannel = Pick<ChannelOptions, 'post' | 'on' | 'serialize' | 'deserialize'>;

/** JSON.stringify makes `{}` of an Error: what a failed call says must cross the wire. */
const errorAsData = (_key: string, value: unknown): unknown =>
  value instanceof Error ? { name: value.name, message: value.message } : value;

/** birpc's answer to a failed call carries the error in `e`: the caller gets an Error again, not its data. */
function dataAsError(message: unknown): unknown {
  if (typeof message !== 'object' || message === null || !('e' in message)) return message;
  const { e } = message;
  if (typeof e !== 'object' || e === null || !('message' in e) || typeof e.message !== 'string') return message;
  const error = new Error(e.message);
  if ('name' in e && typeof e.name === 'string') error.name = e.name;
  return { ...message, e: error };
}

/**
 * A birpc channel over a pair of streams. `onBroken` is called once when the input ends or holds
 * something that is not ours; the caller then closes its birpc.
 */
export function jsonLines(input: Readable, output: Writable, onBroken: (reason: Error | null) => void): LineChannel {
  let broken = false;
  const breakOff = (reason: Error | null): void => {
    if (broken) return;
    broken = true;
    onBroken(reason);
  };
  return {
    serialize: (data: unknown) => JSON.stringify(data, errorAsData),
    deserialize: (line: string) => dataAsError(JSON.parse(line) as unknown),
    post: (line: string) => {
      if (!broken && output.writable) output.write(`${line}\n`);
    },
    on: (receive: (line: string) => void) => {
      let pending = '';
      input.setEncoding('utf8');
      input.on('data', (chunk: string) => {
        pending += chunk;
        let end = pending.indexOf('\n');
        if (end < 0 && pending.length > LONGEST_LINE) {
          breakOff(new Error('a line of the connection is too long: the other side is not a Ringmaster agent'));
          return;
        }
        let start = 0;
        while (end >= 0) {
          const line = pending.slice(start, end);
          start = end + 1;
          end = pending.indexOf('\n', start);
          if (line !== '') receive(line);
        }
        pending = pending.slice(start);
      });
      input.on('error', (error: Error) => breakOff(error));
      input.on('end', () => breakOff(null));
      input.on('close', () => breakOff(null));
      output.on('error', (error: Error) => breakOff(error));
    },
  };
}
