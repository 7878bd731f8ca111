/** Contents that tell by themselves whether they are whole: an identity that never repeats, a length and a digest. */
import { createHash } from 'node:crypto';

const digestOf = (text: string): string => createHash('sha1').update(text).digest('hex').slice(0, 16);

/** `length` characters that follow from the identity, so that bytes of two values are hardly the same. */
function filler(id: string, length: number): string {
  const unit = createHash('sha1').update(id).digest('base64url');
  return unit.repeat(Math.ceil(length / unit.length)).slice(0, length);
}

/** A file's whole contents. `length`: of what follows the first line, in bytes. */
export function composeFile(id: string, length: number): string {
  const body = filler(id, length);
  return `${id} ${body.length} ${digestOf(`${id} ${body}`)}\n${body}`;
}

export type Read = { readonly kind: 'whole'; readonly id: string } | { readonly kind: 'torn'; readonly why: string };

/** What a reader saw: one value that somebody wrote, whole, or something that nobody wrote. */
export function parseFile(text: string): Read {
  const head = /^(\S+) (\d+) ([0-9a-f]{16})\n/.exec(text);
  if (head === null) return torn(text, 'no first line');
  const [line, id = '', length, digest] = head;
  const body = text.slice(line.length);
  if (body.length !== Number(length)) return torn(text, `${body.length} bytes for ${length}`);
  return digest === digestOf(`${id} ${body}`) ? { kind: 'whole', id } : torn(text, 'the digest is another one');
}

/** One record of a file that is appended to. */
export function composeRecord(id: string, length: number): string {
  const body = filler(id, length);
  return `<${id} ${body.length} ${digestOf(`${id} ${body}`)} ${body}>\n`;
}

export interface Records {
  /** In the order of the file. */
  readonly ids: readonly string[];
  /** Why it ends before the text does; null when every byte belongs to a record. */
  readonly torn: string | null;
}

export function parseRecords(text: string): Records {
  const ids: string[] = [];
  for (let at = 0; at < text.length;) {
    const head = /^<(\S+) (\d+) ([0-9a-f]{16}) /.exec(text.slice(at, at + 128));
    const [line = '', id = '', length = '', digest = ''] = head ?? [];
    const body = text.slice(at + line.length, at + line.length + Number(length));
    const end = at + line.length + body.length;
    const whole = head !== null && digestOf(`${id} ${body}`) === digest && text.slice(end, end + 2) === '>\n';
    if (!whole) return { ids, torn: `at ${at}: ${JSON.stringify(text.slice(at, at + 60))}` };
    ids.push(id);
    at = end + 2;
  }
  return { ids, torn: null };
}

const torn = (text: string, why: string): Read => ({
  kind: 'torn',
  why: `${why}: ${text.length} bytes, ${JSON.stringify(text.slice(0, 60))}`,
});
