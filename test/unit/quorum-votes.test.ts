/** votequorum(5), rule by rule. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { quorumSettingsOf, type QuorumKeys, type QuorumSettings } from '../../agent/quorum/quorum.ts';
import { nodeId } from '../../agent/totem/ids.ts';
import { evenVotes, QuorumCluster } from './quorum-cluster.ts';

const settings = (votes: number | readonly number[], keys: Partial<QuorumKeys> = {}): QuorumSettings =>
  quorumSettingsOf(
    typeof votes === 'number' ? evenVotes(votes) : new Map(votes.map((count, index) => [nodeId(index + 1), count])),
    keys,
  );

/** All nodes up and together. */
function whole(votes: number | readonly number[], keys: Partial<QuorumKeys> = {}): QuorumCluster {
  const cluster = new QuorumCluster(settings(votes, keys));
  const all = [...cluster.settings.votes.keys()];
  cluster.start(...all);
  cluster.regroup(all);
  return cluster;
}

function restarted(cluster: QuorumCluster, ...ids: number[]): void {
  cluster.kill(...ids);
  cluster.start(...ids);
}

describe('votes', () => {
  test('a majority is needed: 2 of 3, 3 of 4, 3 of 5 (the examples in the seed are misprints)', () => {
    const needed = [3, 4, 5].map((count) => whole(count).status(1).quorum);
    assert.deepEqual(needed, [2, 3, 3]);
  });

  test('half is not a majority', () => {
    const cluster = whole(4);
    cluster.regroup([1, 2], [3, 4]);
    assert.deepEqual(cluster.quorate(1, 2, 3, 4), [false, false, false, false]);
  });

  test('votes count, not nodes; a node may have none', () => {
    const cluster = whole([3, 1, 1, 0]);
    cluster.regroup([1], [2, 3, 4]);
    assert.deepEqual(cluster.quorate(1, 2), [true, false]);
    assert.equal(cluster.status(2).totalVotes, 2);
  });

  test('expected_votes above the sum of the nodelist raises what is needed; below it, it lowers nothing', () => {
    assert.equal(whole(3, { expectedVotes: 5 }).status(1).quorum, 3);
    assert.equal(whole(5, { expectedVotes: 3 }).status(1).quorum, 3);
  });

  test('a node that is not in the nodelist has no vote', () => {
    const cluster = new QuorumCluster(settings(3));
    cluster.start(1, 9);
    cluster.regroup([1, 9]);
    assert.equal(cluster.status(1).totalVotes, 1);
  });
});

describe('expected N', () => {
  test('is in effect on every member of the view, at once', () => {
    const cluster = whole(5);
    cluster.regroup([1, 2], [3, 4, 5]);
    assert.ok(cluster.order(1, { kind: 'expected', votes: 2 }));
    assert.deepEqual(cluster.quorate(1, 2), [true, true]);
    assert.equal(cluster.status(2).expectedVotes, 2);
  });

  test('reaches those who join, and grows with the votes they bring', () => {
    const cluster = whole(5);
    cluster.regroup([1]);
    cluster.kill(2, 3, 4, 5);
    cluster.order(1, { kind: 'expected', votes: 1 });
    cluster.start(2);
    cluster.regroup([1, 2]);
    assert.deepEqual([cluster.status(2).quorate, cluster.status(2).expectedVotes], [true, 2]);
  });

  test('lasts through a loss of quorum, until more votes are seen', () => {
    const cluster = whole(5);
    cluster.kill(3, 4, 5);
    cluster.regroup([1, 2]);
    cluster.order(1, { kind: 'expected', votes: 2 });
    cluster.regroup([1], [2]);
    assert.equal(cluster.status(1).quorate, false);
    cluster.regroup([1, 2]);
    assert.equal(cluster.status(1).quorate, true);
    cluster.start(3, 4, 5);
    cluster.regroup([1, 2, 3, 4, 5]);
    assert.equal(cluster.status(1).expectedVotes, 5);
  });

  test('refuses 0, fewer votes than are present, more than there are, and what would cost the quorum', () => {
    const cluster = whole(5);
    cluster.regroup([1, 2, 3]);
    for (const votes of [0, 1.5, 2, 6]) assert.equal(cluster.order(1, { kind: 'expected', votes }), false, `${votes}`);
    assert.equal(whole(3).order(1, { kind: 'expected', votes: 4 }), false);
  });

  test('ends with a new configuration', () => {
    const cluster = whole(3);
    cluster.regroup([1]);
    cluster.order(1, { kind: 'expected', votes: 1 });
    cluster.order(1, { kind: 'settings', settings: cluster.settings });
    assert.deepEqual([cluster.status(1).quorate, cluster.status(1).expectedVotes], [false, 3]);
  });
});

describe('wait_for_all', () => {
  const keys = { waitForAll: true };

  test('a majority that has just started is not quorate until all have met', () => {
    const cluster = new QuorumCluster(settings(3, keys));
    cluster.start(1, 2, 3);
    cluster.regroup([1, 2]);
    assert.equal(cluster.status(1).quorate, false);
    cluster.regroup([1, 2, 3]);
    cluster.regroup([1, 2]);
    assert.equal(cluster.status(1).quorate, true);
  });

  test('a node that starts again need not wait where others have quorum', () => {
    const cluster = whole(3, keys);
    cluster.kill(3);
    restarted(cluster, 2);
    cluster.regroup([1]);
    cluster.regroup([1, 2]);
    assert.equal(cluster.status(2).quorate, false, 'quorum was lost: all are waited for again, as Corosync does');
    const other = whole(5, keys);
    restarted(other, 2);
    other.regroup([1, 3, 4], [2]);
    other.regroup([1, 2, 3, 4]);
    assert.equal(other.status(2).quorate, true);
  });

  test('the administrator can end the wait', () => {
    const cluster = new QuorumCluster(settings(3, keys));
    cluster.start(1, 2);
    cluster.regroup([1, 2]);
    cluster.order(1, { kind: 'cancelWait' });
    assert.deepEqual(cluster.quorate(1, 2), [true, true]);
  });
});

describe('two_node', () => {
  const keys = { twoNode: true };

  test('one vote suffices, once both have met', () => {
    const cluster = new QuorumCluster(settings(2, keys));
    cluster.start(1, 2);
    cluster.regroup([1], [2]);
    assert.deepEqual(cluster.quorate(1, 2), [false, false], 'two_node implies wait_for_all');
    cluster.regroup([1, 2]);
    assert.equal(cluster.status(1).quorum, 1);
    cluster.kill(2);
    cluster.regroup([1]);
    assert.equal(cluster.status(1).quorate, true);
  });

  test('of two that lose each other only the lower id goes on: there is no fencing here', () => {
    const cluster = whole(2, keys);
    cluster.regroup([1], [2]);
    assert.deepEqual(cluster.quorate(1, 2), [true, false]);
  });

  test('either goes on when the other stops in order, and takes it back', () => {
    const cluster = whole(2, keys);
    cluster.stop(1);
    cluster.regroup([2]);
    assert.deepEqual([cluster.status(2).quorate, cluster.status(2).expectedVotes], [true, 2]);
    cluster.start(1);
    cluster.regroup([1], [2]);
    assert.deepEqual(cluster.quorate(1, 2), [false, true]);
    cluster.regroup([1, 2]);
    assert.deepEqual(cluster.quorate(1, 2), [true, true]);
  });

  test('has no effect with another number of nodes, or with other votes', () => {
    assert.deepEqual(whole(3, keys).status(1).flags, ['Quorate', 'WaitForAll']);
    assert.deepEqual(whole([2, 1], keys).status(1).flags, ['Quorate', 'WaitForAll']);
  });
});

describe('auto_tie_breaker', () => {
  const half = (keys: Partial<QuorumKeys>, ...sides: number[][]): boolean[] => {
    const cluster = whole(4, { autoTieBreaker: true, ...keys });
    cluster.regroup(...sides);
    return sides.map(([first]) => cluster.status(first ?? 1).quorate);
  };

  test('of two halves the one with the lowest id goes on', () => {
    assert.deepEqual(half({}, [1, 4], [2, 3]), [true, false]);
  });
  test('or the one with the highest', () => {
    assert.deepEqual(half({ autoTieBreakerNode: 'highest' }, [1, 2], [3, 4]), [false, true]);
  });
  test('or the one with the first node of the list', () => {
    assert.deepEqual(half({ autoTieBreakerNode: '3 1' }, [1, 2], [3, 4]), [false, true]);
  });

  test('a node of the list that was not there before does not count: the next one does', () => {
    const cluster = whole(4, { autoTieBreaker: true, autoTieBreakerNode: '3 1' });
    cluster.regroup([1, 2, 4]);
    cluster.regroup([1, 2], [4]);
    assert.equal(cluster.status(1).quorate, true);
  });

  test('halves that have just started have no tie to break', () => {
    const cluster = new QuorumCluster(settings(4, { autoTieBreaker: true }));
    cluster.start(1, 2);
    cluster.regroup([1, 2]);
    assert.equal(cluster.status(1).quorate, false);
  });

  test('is off with an odd number of votes and no wait_for_all, and where its node is no node', () => {
    assert.deepEqual(whole(3, { autoTieBreaker: true }).status(1).flags, ['Quorate']);
    assert.deepEqual(whole(4, { autoTieBreaker: true, autoTieBreakerNode: 'first' }).status(1).flags, ['Quorate']);
  });
});

describe('last_man_standing', () => {
  const keys = { lastManStanding: true, lastManStandingWindow: 100 };

  test('expected votes follow the members once the window has passed, down to two', () => {
    const cluster = whole(5, keys);
    cluster.kill(4, 5);
    cluster.regroup([1, 2, 3]);
    assert.equal(cluster.status(1).expectedVotes, 5);
    cluster.wait(100);
    assert.equal(cluster.status(1).expectedVotes, 3);
    cluster.kill(3);
    cluster.regroup([1, 2]);
    assert.equal(cluster.status(1).quorate, true);
    cluster.wait(100);
    cluster.kill(2);
    cluster.regroup([1]);
    assert.equal(cluster.status(1).quorate, false);
  });

  test('and to the last one with auto_tie_breaker', () => {
    const cluster = whole(4, { ...keys, autoTieBreaker: true });
    for (const left of [[1, 2, 3], [1, 2], [1]]) {
      cluster.regroup(left);
      cluster.wait(100);
    }
    assert.deepEqual([cluster.status(1).quorate, cluster.status(1).expectedVotes], [true, 1]);
  });

  test('a second loss within the window is measured by the votes of before', () => {
    const cluster = whole(5, keys);
    cluster.regroup([1, 2, 3]);
    cluster.wait(50);
    cluster.regroup([1, 2]);
    assert.equal(cluster.status(1).quorate, false);
  });

  test('one of the rest does not make a majority with those who were left behind', () => {
    const cluster = whole(5, keys);
    cluster.regroup([1, 2, 3], [4, 5]);
    cluster.wait(100);
    cluster.regroup([1, 2], [3, 4, 5]);
    assert.deepEqual(cluster.quorate(1, 3, 4), [true, false, false]);
  });

  test('nor when it has started again in between', () => {
    const cluster = whole(5, keys);
    cluster.regroup([1, 2, 3], [4, 5]);
    cluster.wait(100);
    restarted(cluster, 3, 4, 5);
    cluster.regroup([1, 2], [3, 4, 5]);
    assert.deepEqual(cluster.quorate(1, 3, 4), [true, false, false]);
  });

  test('the rest that falls apart and finds itself again goes on', () => {
    const cluster = whole(5, keys);
    cluster.regroup([1, 2, 3]);
    cluster.wait(100);
    cluster.regroup([1], [2], [3]);
    cluster.regroup([2, 3]);
    assert.deepEqual(cluster.quorate(2, 3), [true, true]);
  });

  test('needs one vote per node', () => {
    assert.deepEqual(whole([2, 1, 1], keys).status(1).flags, ['Quorate']);
  });
});

describe('a view that breaks before all members have spoken', () => {
  const keys = { lastManStanding: true, lastManStandingWindow: 100 };

  /** Of 1, 2 and 3, all that is expected, with 4 and 5 joining: 3, 4 and 5 hear every word, 1 and 2 none. */
  function brokenJoin(): QuorumCluster {
    const cluster = whole(5, keys);
    cluster.regroup([1, 2, 3], [4, 5]);
    cluster.wait(100);
    const broken = [
      { nodes: [1, 2], heard: 0 },
      { nodes: [3, 4, 5], heard: 5 },
    ];
    cluster.regroup({ nodes: [1, 2, 3, 4, 5], broken });
    return cluster;
  }

  test('binds those who heard nothing: others may have settled it', () => {
    const cluster = brokenJoin();
    cluster.regroup({ nodes: [1, 2], broken: [{ nodes: [1, 2], heard: 0 }] }, [3, 4, 5]);
    assert.deepEqual(cluster.quorate(1, 3), [false, true], 'and at once, before there is a word of the next view');
    cluster.regroup([1, 2], [3, 4, 5]);
    assert.deepEqual(cluster.quorate(1, 3), [false, true]);
  });

  test('binds them as well when they have been apart in between', () => {
    const cluster = brokenJoin();
    cluster.regroup([1], [2], [3, 4, 5]);
    cluster.regroup([1, 2], [3, 4, 5]);
    assert.deepEqual(cluster.quorate(1, 3), [false, true]);
  });

  test('is remembered as incomplete by those who heard nothing, through a start', () => {
    const cluster = whole(5, keys);
    cluster.kill(4, 5);
    const broken = [
      { nodes: [1, 2], heard: 3 },
      { nodes: [3], heard: 0 },
    ];
    cluster.regroup({ nodes: [1, 2, 3], broken });
    cluster.wait(100, 1, 2);
    cluster.kill(3);
    cluster.start(3, 4, 5);
    cluster.regroup([1, 2], [3, 4, 5]);
    assert.deepEqual(cluster.quorate(1, 3), [true, false]);
  });
});

test('a view that one of two halves has not heard the end of binds the node that meets it', () => {
  const cluster = whole([0, 0, 3, 3], { autoTieBreaker: true, expectedVotesTracking: true });
  const broken = [
    { nodes: [3], heard: 2 },
    { nodes: [4], heard: 0 },
  ];
  cluster.regroup({ nodes: [3, 4], broken });
  cluster.regroup([1, 4]);
  cluster.regroup([3], { nodes: [1, 4], broken: [{ nodes: [1, 4], heard: 0 }] });
  assert.deepEqual(cluster.quorate(3, 1, 4), [true, false, false]);
});

describe('allow_downscale', () => {
  const keys = { allowDownscale: true, expectedVotes: 2 };

  test('a node that leaves in order is not expected any more, down to expected_votes', () => {
    const cluster = whole(5, keys);
    const expected = [5, 4, 3, 2].map((node) => {
      cluster.stop(node);
      cluster.regroup([...cluster.running.keys()]);
      return cluster.status(1).expectedVotes;
    });
    assert.deepEqual(expected, [4, 3, 2, 2]);
  });

  test('a node that dies still is', () => {
    const cluster = whole(5, keys);
    cluster.kill(5);
    cluster.regroup([1, 2, 3, 4]);
    assert.equal(cluster.status(1).expectedVotes, 5);
  });

  test('a goodbye counts in the view that it was said in, not in one that the node is back in', () => {
    const cluster = whole([1, 1, 0, 0], { allowDownscale: true, expectedVotes: 1, autoTieBreaker: true });
    cluster.stop(1);
    cluster.start(1);
    cluster.regroup([1, 2]);
    cluster.regroup([1], [2, 4]);
    assert.deepEqual(cluster.quorate(1, 2), [true, false], '4 has heard the goodbye and does not know of the return');
  });

  test('who comes along counts only where it holds the same electorate', () => {
    const cluster = whole(4, { allowDownscale: true, autoTieBreaker: true });
    cluster.regroup([1, 2]);
    cluster.stop(1);
    cluster.start(1);
    cluster.regroup([1, 3]);
    cluster.regroup({ nodes: [1, 3], broken: [{ nodes: [1, 3], heard: 0 }] }, [2, 4]);
    assert.deepEqual(cluster.quorate(1, 3), [false, false], '1 and 3 are half, with the tie, of what only 3 remembers');
  });

  test('a goodbye of a node that has started since strikes nothing that its run before went on from', () => {
    const cluster = whole([2, 1, 3], { allowDownscale: true, expectedVotes: 1, autoTieBreaker: true });
    cluster.regroup([1, 2]);
    cluster.stop(2);
    cluster.start(2);
    cluster.regroup([2, 3]);
    cluster.stop(2);
    cluster.regroup([1], [3]);
    assert.deepEqual(cluster.quorate(1, 3), [true, false]);
  });

  test('those who left do not make a majority of their own', () => {
    const cluster = whole(5, keys);
    for (const node of [3, 4, 5]) cluster.stop(node);
    cluster.start(3, 4, 5);
    cluster.regroup([1, 2], [3, 4, 5]);
    assert.deepEqual(cluster.quorate(1, 3), [true, false]);
  });
});

describe('expected_votes_tracking', () => {
  test('the highest number seen holds after a start, though the file has become smaller', () => {
    const big = whole(5, { expectedVotesTracking: true });
    const small = new QuorumCluster(settings(3, { expectedVotesTracking: true }));
    small.start(1, 2, 3);
    small.regroup([1, 2, 3]);
    assert.equal(small.status(1).expectedVotes, 3);
    big.order(1, { kind: 'settings', settings: small.settings });
    assert.equal(big.status(1).expectedVotes, 5);
  });
});

test('flags are in the order of corosync-quorumtool', () => {
  const keys = { waitForAll: true, autoTieBreaker: true, lastManStanding: true, allowDownscale: true };
  assert.deepEqual(whole(4, keys).status(1).flags, [
    'Quorate',
    'WaitForAll',
    'LastManStanding',
    'AutoTieBreaker',
    'AllowDownscale',
  ]);
  assert.deepEqual(whole(2, { twoNode: true }).status(1).flags, ['2Node', 'Quorate', 'WaitForAll']);
});
