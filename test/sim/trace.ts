/** Packets and effects in words. */
import { formatRingId } from '../../agent/totem/ids.ts';
import { decode } from '../../agent/totem/packet.ts';

/** One packet in a line: kind, ring, and what matters of it. */
export function packetInWords(bytes: Uint8Array, tag: number): string {
  const packet = decode(bytes, tag);
  if (packet === null) return `${bytes.length} bytes that are no packet`;
  switch (packet.kind) {
    case 'message': {
      const flags = `${packet.safe ? ' safe' : ''}${packet.encapsulated ? ' old' : ''}`;
      return `message ${packet.seq} of ring ${formatRingId(packet.ring)} by ${packet.sender}${flags}, ${bytes.length} bytes`;
    }
    case 'token': {
      const { hop, seq, aru, aruSetter, quiet, missing } = packet;
      const behind = aruSetter === 0 ? '' : ` (node ${aruSetter})`;
      const lacks = missing.length === 0 ? '' : `, missing ${missing.slice(0, 8).join(' ')}`;
      return `token of ring ${formatRingId(packet.ring)} hop ${hop}, seq ${seq}, aru ${aru}${behind}, quiet ${quiet}${lacks}`;
    }
    case 'join': {
      const { leaving, sequence, version, proc, fail } = packet;
      const without = fail.length === 0 ? '' : ` without {${fail.join(' ')}}`;
      return `${leaving ? 'goodbye' : 'join'} by ${packet.sender} {${proc.join(' ')}}${without}, sequence ${sequence.toString(16)}, version ${version}`;
    }
    case 'commit': {
      const entries = packet.entries.map(({ node, old }) =>
        old === null ? `${node}` : `${node} from ${formatRingId(old.ring)} ${old.aru}/${old.high}`,
      );
      return `commit of ring ${formatRingId(packet.ring)} {${entries.join('; ')}}`;
    }
    case 'merge':
      return `merge: ring ${formatRingId(packet.ring)} of node ${packet.sender}, version ${packet.version}`;
    case 'wake':
      return `wake on ring ${formatRingId(packet.ring)}`;
  }
}
