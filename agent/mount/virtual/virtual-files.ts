/** The contents of the virtual files, made when they are asked for. One each for the serving and the replicating thread. */
import type { Tree } from '../../tree/tree.ts';
import type { VirtualFile } from '../../tree/virtual.ts';
import { Counters } from './counters.ts';
import { versionFile, vmlistFile, type VersionFacts } from './formats.ts';

/** What one thread tells the other. */
export type VirtualPart =
  | { readonly kind: 'text'; readonly name: '.members' | '.clusterlog' | '.rrd'; readonly text: string }
  | { readonly kind: 'facts'; readonly facts: Pick<VersionFacts, 'clusterInfo' | 'keyValues'> }
  | { readonly kind: 'debug'; readonly on: boolean };

const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');

export class VirtualFiles {
  readonly #counters = new Counters();
  readonly #texts = new Map<VirtualFile, Uint8Array>([
    ['.clusterlog', bytes('{\n"data": [\n\n]\n}\n')],
    ['.rrd', bytes('')],
  ]);
  #facts: VersionFacts;
  #debug = false;
  /** The last `.vmlist`, and the count it was made at. */
  #vmlist: { readonly count: number; readonly contents: Uint8Array } | null = null;

  /** `startTimeS`: seconds since 1970 at which this pmxcfs was started. */
  constructor(startTimeS: number) {
    this.#facts = { startTimeS, clusterInfo: 0, keyValues: {} };
  }

  take(part: VirtualPart): void {
    if (part.kind === 'text') this.#texts.set(part.name, bytes(part.text));
    else if (part.kind === 'facts') this.#facts = { ...this.#facts, ...part.facts };
    else this.#debug = part.on;
  }
  noteChange(tree: Tree, paths: readonly string[]): void {
    this.#counters.note(tree, paths);
  }
  noteAll(tree: Tree): void {
    this.#counters.noteAll(tree);
    this.#vmlist = null;
  }

  /** Null when the file is not there (yet). */
  contents(name: VirtualFile, tree: Tree): Uint8Array | null {
    switch (name) {
      case '.vmlist': {
        const count = this.#counters.guestChanges;
        if (this.#vmlist?.count !== count)
          this.#vmlist = { count, contents: bytes(vmlistFile(tree.guests(), this.#counters)) };
        return this.#vmlist.contents;
      }
      case '.version':
        return bytes(versionFile(this.#facts, this.#counters));
      case '.debug':
        return bytes(this.#debug ? '1\n' : '0\n');
      default:
        return this.#texts.get(name) ?? null;
    }
  }
}
