import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, appendFileSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventFile, eventLog } from '../../agent/event-log.ts';
import { nodeLayout } from '../../agent/node-layout.ts';
import { tailEvents } from '../../agent/rpc/event-tail.ts';

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 450));

test('events are followed from now on, over a rotation and a line that is cut short', async () => {
  const root = mkdtempSync(join(tmpdir(), 'ringmaster-tail-'));
  const layout = nodeLayout({ RINGMASTER_ROOT: root, RINGMASTER_HOSTNAME: 'pve1' });
  const log = eventLog(layout, 'engine');
  log('info', 'before');
  const seen: string[] = [];
  const stop = tailEvents(layout, (event) => seen.push(event.message));
  try {
    log('notice', 'first');
    appendFileSync(eventFile(layout), '{"timeMs":1,"severity":"info","source":"engine","message":"in two');
    await settle();
    assert.deepEqual(seen, ['first']);
    appendFileSync(eventFile(layout), ' parts"}\n');
    log('notice', 'last of the old file');
    renameSync(eventFile(layout), `${eventFile(layout)}.1`);
    writeFileSync(eventFile(layout), '');
    log('notice', 'first of the new file');
    await settle();
    assert.deepEqual(seen, ['first', 'in two parts', 'last of the old file', 'first of the new file']);
  } finally {
    stop();
    rmSync(root, { recursive: true });
  }
});
