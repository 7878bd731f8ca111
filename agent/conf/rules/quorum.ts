/** Rules of votes (votequorum.c): most are seen only when Corosync starts, and not by `corosync -t`. */
import { model, wholeNumber } from '../model.ts';
import { entryAt, nameRange, sectionsAt, valueRange, type Range } from '../syntax.ts';
import { removingLines, replacing, type Report, type Subject } from './report.ts';

export function checkQuorum(subject: Subject, report: Report): void {
  const { document, dialect } = subject;
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
  if (device && dialect === 'ringmaster') {
    const entry = entryAt(document, 'quorum.device', 'model');
    report.error({
      rule: 'device-not-bundled',
      at: entry === null ? at('provider') : valueRange(entry),
      message: 'The bundled engine has no quorum device.',
      why: 'Its votes would be missing, and every node would count otherwise than the file says.',
    });
  }
  if (quorum.twoNode && (nodelist.length !== 2 || nodelist.some((node) => node.votes !== 1))) {
    const entry = entryAt(document, 'quorum', 'two_node');
    // One node alone may be on its way to two; three with two_node are a file that nobody can have meant.
    const refused = dialect === 'ringmaster' && nodelist.length > 1;
    const say = refused ? report.error : report.warn;
    say({
      rule: 'two-node-count',
      at: at('two_node'),
      message: `two_node is for exactly two nodes with one vote each; the nodelist has ${nodelist.length}.`,
      why:
        dialect !== 'ringmaster'
          ? 'One vote would then be enough for quorum: two parts of a divided cluster could both go on.'
          : refused
            ? 'The bundled engine refuses the file.'
            : 'It has no effect until there are two.',
      fix: entry === null ? null : removingLines('Remove the line', entry.line, entry.line),
    });
  }
  if (quorum.twoNode && quorum.autoTieBreaker) {
    report.warn({
      rule: 'two-node-tie-breaker',
      at: at('two_node'),
      message: 'two_node has no effect beside auto_tie_breaker.',
      why: 'Corosync switches it off and says so in its log only. Keep one of the two.',
    });
  } else if (quorum.twoNode && wholeNumber(entryAt(document, 'quorum', 'wait_for_all')?.value ?? null) === 0) {
    report.warn({
      rule: 'two-node-wait',
      at: at('wait_for_all'),
      message: 'two_node without wait_for_all: two nodes that start apart both have quorum.',
      why: dialect === 'ringmaster' ? 'The bundled engine waits for both all the same.' : 'Corosync allows it.',
    });
  }
  if (quorum.autoTieBreaker && !quorum.lastManStanding && !quorum.waitForAll && votes % 2 === 1) {
    report.warn({
      rule: 'tie-breaker-off',
      at: at('auto_tie_breaker'),
      message: `auto_tie_breaker has no effect with an odd number of votes (${votes}) and no wait_for_all.`,
      why: 'Corosync switches it off and says so in its log only.',
    });
  }
  checkTieBreakerNode(subject, quorum.autoTieBreaker, report);
  if (quorum.lastManStanding && nodelist.some((node) => node.votes > 1)) {
    report.warn({
      rule: 'last-man-votes',
      at: at('last_man_standing'),
      message: 'last_man_standing has no effect unless every node has one vote.',
      why: 'It counts nodes: votequorum(5).',
    });
  }
  if (quorum.expectedVotes !== null && !device && quorum.expectedVotes !== votes && nodelist.length > 0) {
    const entry = entryAt(document, 'quorum', 'expected_votes');
    report.warn({
      rule: 'expected-votes',
      at: at('expected_votes'),
      message: `expected_votes is ${quorum.expectedVotes}; the nodes have ${votes} ${votes === 1 ? 'vote' : 'votes'}.`,
      why:
        dialect === 'ringmaster' && quorum.expectedVotes < votes
          ? 'The bundled engine takes the sum, or two minorities could both go on; it is the floor of allow_downscale.'
          : 'It overrides the nodelist: quorum would be counted from a wrong sum. Without it the nodelist counts.',
      fix: entry === null ? null : replacing(`Change to ${votes}`, valueRange(entry), String(votes)),
    });
  }
}

/** Its text is not checked by Corosync: what names no node switches the tie-breaker off. */
function checkTieBreakerNode({ document }: Subject, autoTieBreaker: boolean, report: Report): void {
  const entry = entryAt(document, 'quorum', 'auto_tie_breaker_node');
  if (entry === null) return;
  const found = (message: string, why: string): void =>
    report.warn({ rule: 'tie-breaker-node', at: valueRange(entry), message, why });
  if (!autoTieBreaker) {
    return found('auto_tie_breaker_node has no effect without auto_tie_breaker: 1.', 'Corosync warns in its log only.');
  }
  if (entry.value === 'lowest' || entry.value === 'highest') return;
  const words = entry.value.trim().split(/\s+/);
  if (!words.every((word) => /^\d+$/.test(word))) {
    return found(
      `auto_tie_breaker_node is lowest, highest or node ids with blanks between, not "${entry.value}".`,
      'What comes after the first word that is no id is not read; where there is none, no tie is broken.',
    );
  }
  const known = model(document).nodelist.map((node) => node.nodeId);
  const strange = words.filter((word) => !known.includes(Number(word)));
  if (strange.length > 0) {
    found(`No node of the nodelist has the nodeid ${strange.join(', ')}.`, 'Such a node never breaks a tie.');
  }
}
