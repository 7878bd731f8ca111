/** Rules of votes (votequorum.c): most are seen only when Corosync starts, and not by `corosync -t`. */
import { model, wholeNumber } from '../model.ts';
import { entryAt, nameRange, sectionsAt, valueRange, type Range } from '../syntax.ts';
import { removingLines, replacing, type Report, type Subject } from './report.ts';

export function checkQuorum({ document, dialect }: Subject, report: Report): void {
  const { quorum, nodelist } = model(document);
  const at = (name: string): Range => {
    const entry = entryAt(document, 'quorum', name);
    const [section] = sectionsAt(document, 'quorum');
    if (entry !== null) return valueRange(entry);
    return section === undefined ? { line: 1, column: 1, endLine: 1, endColumn: 2 } : nameRange(section);
  };
  if (quorum.provider === null) {
    report.warn({
      rule: 'no-quorum',
      at: at('provider'),
      message: 'No quorum provider is named.',
      why: 'Every part of a divided cluster would go on by itself. Add "provider: corosync_votequorum" to a quorum section.',
    });
    return;
  }
  const device = entryAt(document, 'quorum.device', 'model') !== null;
  const votes = nodelist.reduce((sum, node) => sum + node.votes, 0);
  const contradiction = (rule: string, key: string, message: string): void =>
    report.error({ rule, at: at(key), message, why: 'Corosync does not start, though a reload takes the file.' });
  if (device && quorum.twoNode)
    contradiction('two-node-device', 'two_node', 'two_node and a quorum device exclude each other.');
  if (device) {
    for (const [key, on] of [
      ['last_man_standing', quorum.lastManStanding],
      ['auto_tie_breaker', quorum.autoTieBreaker],
      ['allow_downscale', quorum.allowDownscale],
    ] as const) {
      if (on) contradiction('device-excludes', key, `${key} and a quorum device exclude each other.`);
    }
  }
  if (quorum.autoTieBreaker && quorum.lastManStanding && !quorum.waitForAll && votes % 2 === 1) {
    contradiction(
      'tie-breaker-odd',
      'auto_tie_breaker',
      'auto_tie_breaker with last_man_standing and an odd number of votes needs wait_for_all.',
    );
  }
  if (device) {
    const deviceVotes = wholeNumber(entryAt(document, 'quorum.device', 'votes')?.value ?? null);
    const uneven = nodelist.some((node) => node.votes !== 1);
    if (deviceVotes === null && (quorum.expectedVotes !== null || uneven)) {
      contradiction(
        'device-votes',
        'expected_votes',
        'A quorum device needs "votes" where expected_votes is given or nodes have different votes.',
      );
    } else if (quorum.expectedVotes !== null && deviceVotes !== null && quorum.expectedVotes - deviceVotes < 2) {
      contradiction(
        'device-majority',
        'expected_votes',
        'expected_votes must exceed the votes of the quorum device by 2 or more.',
      );
    }
  }
  if (quorum.twoNode && (nodelist.length !== 2 || nodelist.some((node) => node.votes !== 1))) {
    const entry = entryAt(document, 'quorum', 'two_node');
    report.warn({
      rule: 'two-node-count',
      at: at('two_node'),
      message: `two_node is for exactly two nodes with one vote each; the nodelist has ${nodelist.length}.`,
      why:
        dialect === 'ringmaster'
          ? 'It has no effect until there are two.'
          : 'One vote would then be enough for quorum: two parts of a divided cluster could both go on.',
      fix: entry === null ? null : removingLines('Remove the line', entry.line, entry.line),
    });
  }
  if (quorum.expectedVotes !== null && !device && quorum.expectedVotes !== votes && nodelist.length > 0) {
    const entry = entryAt(document, 'quorum', 'expected_votes');
    report.warn({
      rule: 'expected-votes',
      at: at('expected_votes'),
      message: `expected_votes is ${quorum.expectedVotes}; the nodes have ${votes} ${votes === 1 ? 'vote' : 'votes'}.`,
      why: 'It overrides the nodelist: quorum would be counted from a wrong sum. Without it the nodelist counts.',
      fix: entry === null ? null : replacing(`Change to ${votes}`, valueRange(entry), String(votes)),
    });
  }
}
