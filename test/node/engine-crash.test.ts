/**
 * The engine's process dies, stays away, hangs and flaps under a mount that is in use (a lab of three nodes): the file
 * system stays mounted, is read all the while, refuses writes and says why, and takes them again by itself.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { LabNodes, until, whyNoLab } from './lab-nodes.ts';

/** Shell functions for a node: the pid of one of its agent's processes, and what a write came to. */
const functions = `
  agent() { for p in /proc/[0-9]*; do
    case "$(tr '\\0' ' ' < $p/cmdline 2>/dev/null)" in *"agent.mjs $1"*) echo "\${p#/proc/}"; return;; esac
  done; }
  now() { date +%s%3N; }
  mounted() { grep ' /etc/pve ' /proc/self/mountinfo | cut -d' ' -f1; }
  try() { s=$(now); if echo "$1" | dd of=/etc/pve/try status=none 2> /tmp/said; then r=written; else r=$(sed 's/.*: //' /tmp/said); fi
    echo "$r after $(($(now) - s)) ms"; }
  again() { e=$(($(now) + 40000)); while [ "$(now)" -lt $e ]; do
    case "$(try again)" in written*) echo written; return;; esac; sleep 0.1
  done; echo 'not within 40 s'; }
`;

const took = (outcome: string): number => Number(/after (\d+) ms/.exec(outcome)?.[1]);

function refusedAtOnce(outcome: string): void {
  assert.match(outcome, /^Permission denied after/);
  assert.ok(took(outcome) < 1000, outcome);
}

/** A write that the file system had taken when the engine failed may have reached the others: EIO says just that. */
function refusedUnderWay(outcome: string, withinMs: number): void {
  assert.match(outcome, /^(Permission denied|Input\/output error) after/);
  assert.ok(took(outcome) < withinMs, outcome);
}

describe('an engine that fails under a mount in use', { skip: whyNoLab }, () => {
  const lab = new LabNodes();
  const run = (script: string): string[] =>
    lab
      .run('pve1', functions + script)
      .trim()
      .split('\n');
  let mount = '';

  /** Reads on pve1 go on until the returned function is called, which gives the number of reads and of failures. */
  function read(): () => Promise<{ readonly reads: number; readonly failures: number }> {
    const script = `rm -f /tmp/enough; n=0; f=0; while [ ! -e /tmp/enough ]; do
      n=$((n + 1)); [ "$(cat /etc/pve/kept)" = kept ] && ls /etc/pve > /dev/null || f=$((f + 1)); sleep 0.02
    done; echo "$n $f"`;
    const { ended } = lab.begin('pve1', script);
    return async () => {
      lab.run('pve1', 'touch /tmp/enough');
      const [reads = 0, failures = 0] = (await ended).out.trim().split(' ').map(Number);
      return { reads, failures };
    };
  }

  /** The mount was never away, took a write again, and every node has what was written last. */
  async function recovered(): Promise<void> {
    assert.equal(run('again').at(-1), 'written');
    assert.equal(run('mounted').join(), mount, 'it is the same mount');
    for (const name of ['pve1', 'pve2', 'pve3'])
      await until(`${name} has it`, 10_000, () => lab.on(name, 'cat /etc/pve/try').out === 'again\n');
  }

  before(() => {
    lab.good('up', '--free', '0');
    run('echo kept > /etc/pve/kept');
    mount = run('mounted').join();
    assert.match(mount, /^\d+$/);
  });
  after(() => lab.remove());

  test('killed: writes fail at once and say why, reads go on, and it is writable again by itself', async () => {
    const enough = read();
    const [first = '', ...later] = run('kill -9 $(agent engine); sleep 0.1; try one; try two; try three');
    refusedUnderWay(first, 5000);
    for (const outcome of later) refusedAtOnce(outcome);
    await recovered();
    const { reads, failures } = await enough();
    assert.ok(reads > 10, `${reads} reads`);
    assert.equal(failures, 0);
    const events = run('tail -n 40 /var/log/ringmaster/events.jsonl').join('\n');
    assert.match(events, /engine was ended by SIGKILL/);
    assert.match(events, /"source":"pmxcfs"[^\n]*the tree is read-only\./);
  });

  test('stays away: the mount stays and is read, writes fail, and pvecm status says what is missing', async () => {
    // A supervisor that is stopped starts nothing.
    run('kill -STOP $(agent supervise); kill -9 $(agent engine)');
    try {
      // One that begins at the moment of the death is under way.
      refusedUnderWay(run('try no').join(), 5000);
      for (let times = 0; times < 3; times += 1) assert.match(run('try no').join(), /^Permission denied/);
      assert.equal(run('cat /etc/pve/kept').join(), 'kept');
      const status = lab.on('pve1', 'pvecm status');
      assert.notEqual(status.code, 0);
      assert.match(`${status.out}${status.err}`, /engine (does not run|of this node has ended)/);
      lab.run('pve2', 'echo meanwhile > /etc/pve/meanwhile');
    } finally {
      run('kill -CONT $(agent supervise)');
    }
    await recovered();
    assert.equal(run('cat /etc/pve/meanwhile').join(), 'meanwhile');
  });

  test('hangs: a write does not hang with it for ever, reads go on, and when it moves again so does the mount', async () => {
    const enough = read();
    run('kill -STOP $(agent engine)');
    try {
      // What is under way waits for a sign of life; when there is none, this is as good as a death.
      const [first = '', second = ''] = run('try hanging; try hanging');
      refusedUnderWay(first, 20_000);
      refusedAtOnce(second);
      const status = lab.on('pve1', 'pvecm status');
      assert.notEqual(status.code, 0);
      assert.match(run('tail -n 20 /var/log/ringmaster/events.jsonl').join('\n'), /the tree is read-only\./);
    } finally {
      run('kill -CONT $(agent engine)');
    }
    await recovered();
    assert.equal((await enough()).failures, 0);
  });

  test('flaps: killed five times as soon as it is back, the mount is as before', async () => {
    const enough = read();
    const deaths = run(
      `n=0; while [ $n -lt 5 ]; do p=$(agent engine); [ -n "$p" ] && kill -9 $p && n=$((n + 1)); sleep 0.2; done; echo $n`,
    );
    assert.equal(deaths.join(), '5');
    await recovered();
    assert.equal((await enough()).failures, 0);
  });
});
