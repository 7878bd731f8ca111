/** Rules of the bundled engine alone: redundant rings, probes of links, and what Corosync does not look at. */
import { bundledLinks, bundledTransport, timersOf } from '../bundled.ts';
import { model, type CorosyncConf } from '../model.ts';
import { entryAt, nameRange, sectionsAt, valueRange, type Range, type Section } from '../syntax.ts';
import { removingLines, replacing, type Report, type Subject } from './report.ts';

/** Bytes of an IP packet: what every IPv4 host takes (RFC 791), and the most there is. */
const LEAST_NETMTU = 576;
const MOST_NETMTU = 65_535;

export function checkBundled({ document }: Subject, transport: string, report: Report): void {
  const conf = model(document);
  const start = { line: 1, column: 1, endLine: 1, endColumn: 2 };
  const [totem] = sectionsAt(document, 'totem');
  const at = (name: string): Range => {
    const entry = entryAt(document, 'totem', name);
    if (entry !== null) return valueRange(entry);
    return totem === undefined ? start : nameRange(totem);
  };
  if (transport === 'knet') {
    if (conf.totem.rrpMode === 'passive' || conf.totem.rrpMode === 'active') {
      report.error({
        rule: 'rrp-with-knet',
        at: at('rrp_mode'),
        message: `rrp_mode ${conf.totem.rrpMode} is for the transports udp and udpu, not for knet.`,
        why: 'With knet link_mode says how several links are used.',
      });
    }
  } else checkRings(conf, transport, { document, at }, report);
  const { netmtu } = conf.totem;
  if (netmtu !== null && (netmtu < LEAST_NETMTU || netmtu > MOST_NETMTU)) {
    report.error({
      rule: 'netmtu-range',
      at: at('netmtu'),
      message: `netmtu is the size of an IP packet in bytes: ${LEAST_NETMTU} to ${MOST_NETMTU}.`,
      why: 'The bundled engine would not start. Without the line it is 1500.',
    });
  }
  const { token, hold } = timersOf(document);
  if (hold > token / 2) {
    report.error({
      rule: 'hold-too-long',
      at: at('hold'),
      message: `hold (${hold} ms) must not be longer than half of the token timeout (${token} ms).`,
      why: 'The others would take a token that is only held for a lost one.',
    });
  }
  for (const section of sectionsAt(document, 'totem.interface')) checkInterface(section, transport, report);
  checkProbes(document, conf, report);
}

/** Corosync 2 had two rings at most, and both had to be told of (corosync.conf(5) of 2.4: rrp_mode). */
function checkRings(
  conf: CorosyncConf,
  transport: string,
  { document, at }: Pick<Subject, 'document'> & { at: (name: string) => Range },
  report: Report,
): void {
  const redundant = conf.totem.rrpMode === 'passive' || conf.totem.rrpMode === 'active';
  const used = new Set(conf.nodelist.flatMap(({ addresses }) => addresses.map(({ link }) => link)));
  const third = [...used].find((link) => link > 1);
  const place = (link: number): Range => {
    const key = sectionsAt(document, 'nodelist.node')
      .flatMap(({ entries }) => entries)
      .find(({ name }) => name === `ring${link}_addr`);
    return key === undefined ? at('rrp_mode') : nameRange(key);
  };
  if (third !== undefined) {
    report.error({
      rule: 'rings-two',
      at: place(third),
      message: `With transport ${transport} there are rings 0 and 1, and no ring ${third}.`,
      why: 'More links than two need transport knet.',
    });
  }
  if (redundant && !used.has(1)) {
    const mode = entryAt(document, 'totem', 'rrp_mode');
    report.error({
      rule: 'rrp-needs-ring1',
      at: at('rrp_mode'),
      message: `rrp_mode ${conf.totem.rrpMode} needs a ring1_addr on every node.`,
      why: 'There is no second ring to be redundant with.',
      fix: mode === null ? null : replacing('Change to none', valueRange(mode), 'none'),
    });
  }
  if (!redundant && used.has(1)) {
    const mode = entryAt(document, 'totem', 'rrp_mode');
    report.error({
      rule: 'ring1-needs-rrp',
      at: mode === null ? place(1) : valueRange(mode),
      message: 'There are addresses of a second ring, and rrp_mode is none.',
      why: 'The second ring would not be used: say "rrp_mode: passive", or use transport knet.',
      fix: mode === null ? null : replacing('Change to passive', valueRange(mode), 'passive'),
    });
  }
}

function checkInterface(section: Section, transport: string, report: Report): void {
  const find = (name: string) => section.entries.findLast((entry) => entry.name === name);
  const protocol = find('knet_transport');
  if (protocol !== undefined && protocol.value !== 'udp') {
    report.error({
      rule: 'bundled-sctp',
      at: valueRange(protocol),
      message: `The bundled engine speaks UDP, not ${protocol.value}.`,
      why: 'It would not start. Use Corosync as the engine, or take the line out.',
    });
  }
  const broadcast = find('broadcast');
  if (transport !== 'udp' || broadcast?.value !== 'yes') return;
  report.error({
    rule: 'bundled-broadcast',
    at: valueRange(broadcast),
    message: 'The bundled engine does not broadcast.',
    why: 'Without the line it sends to a multicast group; where there is no multicast, use transport udpu.',
    fix: removingLines('Remove the line', broadcast.line, broadcast.line),
  });
}

function checkProbes(document: Subject['document'], conf: CorosyncConf, report: Report): void {
  const transport = bundledTransport(document);
  if (transport === null) return;
  for (const { link, pingInterval, pingTimeout } of bundledLinks(conf, transport)) {
    const keys = sectionsAt(document, 'totem.interface').flatMap(({ entries }) => entries);
    const key = keys.find(({ name }) => name === 'knet_ping_timeout' || name === 'knet_ping_interval');
    if (key !== undefined && pingTimeout <= pingInterval) {
      report.error({
        rule: 'ping-timeout',
        at: valueRange(key),
        message: `On link ${link} the ping timeout (${pingTimeout} ms) must be longer than the interval (${pingInterval} ms).`,
        why: 'The link would be down before an answer could come. Corosync refuses it too, from 3.1.8 on.',
      });
    }
  }
}
