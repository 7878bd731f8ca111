/** What still keeps a node from being ready. Pure. */
import type { NodeReport } from '../../agent/rpc/api.ts';

export interface Expectation {
  /** A free host belongs to no cluster; its own tree is served all the same. */
  readonly member: boolean;
  /** As root on Linux the tree is mounted; without root it is only served. */
  readonly mount: boolean;
  /** Names of nodes that are stopped or cut off: nobody waits for them to be in the ring. */
  readonly away: readonly string[];
}

/** One sentence without a full stop, or null when the node is ready. */
export function whatIsMissing(report: NodeReport, expected: Expectation): string | null {
  const failed = report.services.find((service) => service.state === 'failed');
  if (failed !== undefined) return `its service ${failed.name} failed: ${failed.reason ?? 'no reason given'}`;
  if (expected.member) {
    const ring = missingInRing(report, expected.away);
    if (ring !== null) return ring;
  }
  const { fileSystem } = report;
  if (fileSystem === null) return 'pmxcfs does not answer';
  if (expected.mount && fileSystem.mount.kind === 'none') return `its tree is not mounted: ${fileSystem.mount.reason}`;
  if (fileSystem.writability.kind === 'read-only') return `its tree is read-only: ${fileSystem.writability.reason}`;
  return fileSystem.synced ? null : 'its tree is not in sync yet';
}

function missingInRing(report: NodeReport, away: readonly string[]): string | null {
  const { engine } = report;
  if (engine === null) return 'it is not in a cluster';
  if (engine.state.kind === 'down') return `its engine is down: ${engine.state.reason}`;
  if (engine.state.kind === 'forming') return 'its engine is still forming a ring';
  if (engine.state.kind === 'outdated') return `its corosync.conf is old: ${engine.state.reason}`;
  if (!engine.quorum.quorate) {
    const { totalVotes, quorum } = engine.quorum;
    return `it is not quorate: it sees ${totalVotes} of the ${quorum} votes it needs`;
  }
  const absent = engine.members.filter(({ name, state }) => state === 'absent' && !away.includes(name ?? ''));
  if (absent.length === 0) return null;
  return `it does not see ${absent.map(({ name, nodeId }) => name ?? `node ${nodeId}`).join(', ')} in its ring`;
}
