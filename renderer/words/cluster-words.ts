/** What a cluster's state is called. Pure. */
import type { ClusterView } from '../../electron/host/api.ts';
import type { Tone } from './host-words.ts';

/** Healthy is the house's colour; everything else says in a colour and in words what is wrong. */
export function clusterTone({ quorum, seenFrom, engineState }: ClusterView): Tone {
  if (seenFrom === null || engineState.kind === 'down') return 'quiet';
  return quorum.quorate ? 'good' : 'warn';
}

export function quorumWords(cluster: ClusterView): string {
  const { quorum, seenFrom, engineState } = cluster;
  if (seenFrom === null) return 'Not reachable';
  if (engineState.kind === 'down') return 'Engine is down';
  if (engineState.kind === 'forming') return 'Forming a ring';
  if (engineState.kind === 'outdated') return 'Waiting for a newer corosync.conf';
  return quorum.quorate ? 'Quorate' : 'No quorum';
}

/** `3 of 3 votes`. */
export const votesWords = ({ quorum }: ClusterView): string =>
  `${quorum.totalVotes} of ${quorum.expectedVotes} ${quorum.expectedVotes === 1 ? 'vote' : 'votes'}`;

/** Why the cluster's files cannot be changed now, in words; null when they can, or nobody knows. */
export function readOnlyWords(cluster: ClusterView): string | null {
  const { quorum, seenFrom, writability } = cluster;
  const readOnly = writability === 'read-only' || (writability === 'unknown' && seenFrom !== null && !quorum.quorate);
  if (!readOnly) return null;
  if (cluster.adopted !== null && cluster.adopted.manager !== 'proxmox') {
    return `This cluster has no quorum (${votesWords(cluster)}, ${quorum.quorum} needed): what needs it stands still until nodes return.`;
  }
  if (quorum.quorate) {
    return 'This cluster is read-only for now: its configuration tree is being brought in sync. Files in /etc/pve can be read, not changed.';
  }
  return (
    `This cluster is read-only: it has no quorum (${votesWords(cluster)}, ${quorum.quorum} needed). ` +
    'Files in /etc/pve can be read, not changed.'
  );
}

/** What would be if one member failed now. */
export function ifItFailedWords(
  { quorum }: ClusterView,
  { votes, quorate }: { readonly votes: number; readonly quorate: boolean },
): string {
  const rest = `${votes} of ${quorum.expectedVotes} votes would remain`;
  if (!quorum.quorate) return `${rest}. There is no quorum already.`;
  return quorate
    ? `${rest}: the cluster would stay quorate.`
    : `${rest}: the cluster would lose quorum and become read-only.`;
}
