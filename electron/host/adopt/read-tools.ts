/** What corosync-quorumtool(8) and corosync-cfgtool(8) print, of Corosync 1, 2 and 3. Pure. */
import type { QuorumFlag } from '../../../agent/engine/engine.ts';

export interface QuorumTool {
  readonly provider: string | null;
  readonly localNode: number | null;
  readonly ringId: { readonly representative: number | null; readonly sequence: number } | null;
  readonly quorate: boolean;
  /** Null where votes are not counted: there is a quorum provider only where the file names one. */
  readonly votes: {
    readonly expected: number;
    readonly highestExpected: number;
    readonly total: number;
    readonly quorum: number;
  } | null;
  readonly flags: readonly QuorumFlag[];
  readonly members: readonly {
    readonly nodeId: number;
    readonly votes: number;
    readonly name: string;
    readonly local: boolean;
  }[];
}

const FLAGS: readonly QuorumFlag[] = [
  ...(['Quorate', '2Node', 'WaitForAll', 'LastManStanding', 'AutoTieBreaker', 'AllowDownscale', 'Qdevice'] as const),
];

/** `-s`; null when it is no such output. Node ids are decimal (3.x) or hexadecimal with `0x` (2.x, as the chapter shows). */
export function readQuorumTool(output: string): QuorumTool | null {
  const field = (name: string): string | null =>
    new RegExp(`^${name}:[ \\t]+(.*?)[ \\t]*$`, 'm').exec(output)?.[1] ?? null;
  const quorate = field('Quorate');
  if (quorate === null) return null;
  const number = (name: string): number | null => {
    // A cluster that expects more says so behind the number: `2 Activity blocked`.
    const found = /^-?\d+/.exec(field(name) ?? '');
    return found === null ? null : Number(found[0]);
  };
  const [expected, highest, total, quorum] = [
    number('Expected votes'),
    number('Highest expected'),
    number('Total votes'),
    number('Quorum'),
  ];
  const flags = new Set((field('Flags') ?? '').split(/\s+/));
  return {
    provider: field('Quorum provider') ?? field('Quorum type'),
    localNode: idOf(field('Node ID')),
    ringId: ringIdOf(field('Ring ID')),
    quorate: quorate === 'Yes',
    votes:
      expected === null || total === null || quorum === null
        ? null
        : { expected, highestExpected: highest ?? expected, total, quorum },
    flags: FLAGS.filter((flag) => flags.has(flag)),
    members: membersOf(output),
  };
}

function idOf(text: string | null): number | null {
  const value = Number(text ?? 'none');
  return Number.isInteger(value) && value > 0 && value <= 0xffffffff ? value : null;
}

/** `1.d` (3.x: the sequence in hexadecimal), `1/1928` (2.x), `1928` (older): the last two in decimal. */
function ringIdOf(text: string | null): QuorumTool['ringId'] {
  const dotted = /^([0-9a-f]+)\.([0-9a-f]+)$/.exec(text ?? '');
  if (dotted !== null) {
    return { representative: Number.parseInt(dotted[1] ?? '', 16), sequence: Number.parseInt(dotted[2] ?? '', 16) };
  }
  const older = /^(?:(\d+)\/)?(\d+)$/.exec(text ?? '');
  if (older === null) return null;
  return { representative: older[1] === undefined ? null : Number(older[1]), sequence: Number(older[2]) };
}

/** Rows below the heading that begins with Nodeid. With a device a column `Qdevice` stands between (3.x, 2.x). */
function membersOf(output: string): QuorumTool['members'] {
  const lines = output.split('\n');
  const head = lines.findIndex((line) => /^\s*Nodeid\s+Votes\s/.test(line));
  if (head < 0) return [];
  const withDevice = /\sQdevice\s/.test(lines[head] ?? '');
  const row = withDevice
    ? /^\s*(0x[0-9a-f]+|\d+)\s+(\d+)\s+\S+\s+(.+?)(\s+\(local\))?\s*$/
    : /^\s*(0x[0-9a-f]+|\d+)\s+(\d+)\s+(.+?)(\s+\(local\))?\s*$/;
  return lines.slice(head + 1).flatMap((line) => {
    const found = row.exec(line);
    const nodeId = idOf(found?.[1] ?? null);
    // Row 0 is the device itself: no node.
    if (found === null || nodeId === null) return [];
    return [{ nodeId, votes: Number(found[2]), name: found[3] ?? '', local: found[4] !== undefined }];
  });
}

/** A ring of Corosync 1 or 2, or a link of Corosync 3, as the local node sees it. */
export interface ToolLink {
  readonly link: number;
  readonly address: string;
  /** Corosync 1 and 2: what is wrong, in its words; null when nothing is, and on Corosync 3. */
  readonly fault: string | null;
  /** Corosync 3: whether each other node is connected. */
  readonly peers: readonly { readonly nodeId: number; readonly connected: boolean }[];
}

/** `-s`: `RING ID` of 1.x and 2.x, `LINK ID` of 3.0 and 3.1. */
export function readCfgTool(output: string): ToolLink[] {
  const found: {
    link: number;
    address: string;
    fault: string | null;
    peers: { nodeId: number; connected: boolean }[];
  }[] = [];
  for (const line of output.split('\n')) {
    const head = /^(?:RING|LINK) ID (\d+)/.exec(line);
    if (head !== null) {
      found.push({ link: Number(head[1]), address: '', fault: null, peers: [] });
      continue;
    }
    const link = found.at(-1);
    if (link === undefined) continue;
    const address = /^\s+(?:id|addr)\s+= (\S+)/.exec(line)?.[1];
    if (address !== undefined) link.address = address;
    const status = /^\s+status\s+= (.*)$/.exec(line)?.[1];
    // 2.x: "ring 0 active with no faults"; anything else is one ("Marking ringid 1 interface ... FAULTY").
    if (status !== undefined && !/no faults/.test(status)) link.fault = status;
    const peer = /^\s+nodeid:?\s+(\d+):\s*(.*)$/.exec(line);
    // 3.1 says "connected", 3.0 "link enabled:1 link connected:1".
    if (peer !== null && !/localhost/.test(peer[2] ?? '')) {
      const state = peer[2] ?? '';
      link.peers.push({ nodeId: Number(peer[1]), connected: /connected:1/.test(state) || /^connected/.test(state) });
    }
  }
  return found;
}
