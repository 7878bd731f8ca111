/** Are the replicas identical? Each says its digest at one place of the order; whoever finds another one is told. */
import type { NodeId } from '../totem/ids.ts';
import { sameVersion, type Version } from '../tree/types.ts';
import type { DigestMessage } from './messages.ts';

export class Comparison {
  private own: { readonly version: Version; readonly digest: Uint8Array } | null = null;

  /** This replica's state at the place that all compare at. */
  note(version: Version, digest: Uint8Array): void {
    this.own = { version, digest };
  }

  /** Has the sender another state than this replica had at the same place? */
  differs({ digest, version }: DigestMessage): boolean {
    const { own } = this;
    if (own === null || !sameVersion(own.version, version)) return false;
    return digest.length !== own.digest.length || digest.some((byte, at) => byte !== own.digest[at]);
  }
}

/** One member asks for all. */
export const asksForAll = (members: readonly NodeId[], self: NodeId): boolean =>
  members.every((member) => member >= self);
