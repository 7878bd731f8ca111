/** What `pvecm status` and `pvecm nodes` print: the layout of corosync-quorumtool(8), as in pvecm(1). Pure. */
import type { EngineStatus, MemberStatus } from '../engine/engine.ts';
import type { FileSystemStatus } from '../mount/control.ts';
import { formatRingId } from '../totem/ids.ts';

const heading = (title: string): string => `${title}\n${'~'.repeat(title.length)}\n`;
const line = (label: string, value: string): string => `${`${label}:`.padEnd(18)}${value}`.trimEnd();
const hex = (id: number): string => `0x${id.toString(16).padStart(8, '0')}`;

const present = (status: EngineStatus): MemberStatus[] => status.members.filter((member) => member.state === 'member');
const mark = (member: MemberStatus): string => (member.local ? ' (local)' : '');

/** `date` is shown as by asctime(3), in the local time zone: Mon Apr 20 12:30:13 2015. */
export function formatDate(date: Date): string {
  const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
  const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
  const two = (value: number): string => String(value).padStart(2, '0');
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const day = String(date.getDate()).padStart(2);
  return `${days[date.getDay()]} ${months[date.getMonth()]} ${day} ${time} ${date.getFullYear()}`;
}

/** Quorum, votes and members. */
export function formatStatus(status: EngineStatus, date: Date): string {
  const { quorum } = status;
  const members = present(status);
  return [
    heading('Quorum information') +
      [
        line('Date', formatDate(date)),
        line('Quorum provider', 'corosync_votequorum'),
        line('Nodes', String(members.length)),
        line('Node ID', hex(status.localNode)),
        line('Ring ID', status.ringId === null ? 'none: the ring is being formed' : formatRingId(status.ringId)),
        line('Quorate', quorum.quorate ? 'Yes' : 'No'),
      ].join('\n'),
    heading('Votequorum information') +
      [
        line('Expected votes', String(quorum.expectedVotes)),
        line('Highest expected', String(quorum.highestExpected)),
        line('Total votes', String(quorum.totalVotes)),
        line('Quorum', `${quorum.quorum}${quorum.quorate ? '' : ' Activity blocked'}`),
        line('Flags', quorum.flags.join(' ')),
      ].join('\n'),
    heading('Membership information') +
      table(members.map((member) => [hex(member.nodeId), member.votes, shown(member)])),
  ].join('\n\n');
}

/** What `pvecm status` adds where this node has refused a change of corosync.conf, and none was taken since. */
export function formatRefusal(refused: FileSystemStatus['confRefused']): string {
  if (refused === undefined) return '';
  const when = formatDate(new Date(refused.timeMs));
  return `\n${heading('Configuration')}A change of corosync.conf was refused: ${refused.reason} (${when})\n`;
}

/** What `pvecm status` adds while nothing can be written to the tree of this node, though the ring may be quorate. */
export function formatReadOnly(tree: Pick<FileSystemStatus, 'writability'> | null): string {
  if (tree?.writability.kind !== 'read-only') return '';
  return `\n${heading('File system')}/etc/pve is read-only on this node. ${tree.writability.reason}\n`;
}

/** Node id, votes and name of each member. */
export function formatNodes(status: EngineStatus): string {
  const rows = present(status).map((member): Row => [
    String(member.nodeId),
    member.votes,
    `${member.name ?? address(member)}${mark(member)}`,
  ]);
  return heading('Membership information') + table(rows);
}

type Row = readonly [id: string, votes: number, name: string];

const table = (rows: readonly Row[]): string =>
  [['Nodeid', 'Votes', 'Name'] as const, ...rows]
    .map(([id, votes, name]) => `${id.padStart(10)} ${String(votes).padStart(10)} ${name}`)
    .join('\n') + '\n';

const address = (member: MemberStatus): string => member.addresses[0]?.address ?? `node ${member.nodeId}`;
const shown = (member: MemberStatus): string => `${address(member)}${mark(member)}`;
