/**
 * From a key to the diagnostics, on a file of 32 nodes: the language alone in Node beside a run of `corosync -t`, and
 * the whole way in the app's page (Chromium), from the key's event to the markers.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { diagnose, newConf, plannedChanges, reloadFindings } from '../../agent/conf/index.ts';
import { openPage, startApp } from '../e2e/app.ts';

const NODES = 32;
const KEYS = 200;
/** One frame at 60 Hz. */
const FRAME_MS = 16;

const file = (transport: string): string =>
  newConf({
    clusterName: 'bench',
    transport,
    secauth: 'off',
    nodes: Array.from({ length: NODES }, (_, index) => ({
      nodeId: index + 1,
      name: index === 0 ? hostname() : `node${index + 1}`,
      votes: 1,
      addresses: [{ link: 0, address: `10.44.0.${index + 1}` }],
    })),
  });

interface Spread {
  readonly median: number;
  readonly p99: number;
}
function spread(times: readonly number[]): Spread {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return { median: at(0.5), p99: at(0.99) };
}
const line = (what: string, { median, p99 }: Spread, more = ''): void =>
  console.log(
    `  ${what.padEnd(44)} median ${median.toFixed(2).padStart(7)} ms   p99 ${p99.toFixed(2).padStart(7)} ms${more}`,
  );

export async function benchEditor(): Promise<void> {
  const text = file('knet');
  console.log(`${NODES} nodes, ${text.split('\n').length} lines; ${KEYS} keys`);
  const typed = (index: number): string => text.replace('version: 2', `version: 2\n  token: ${1000 + index}`);
  const ours: number[] = [];
  for (let index = 0; index < KEYS + 20; index += 1) {
    const now = typed(index);
    const begun = performance.now();
    diagnose(now);
    plannedChanges(text, now);
    reloadFindings(text, now);
    // The first runs are the compiler's.
    if (index >= 20) ours.push(performance.now() - begun);
  }
  const language = spread(ours);
  line('diagnostics and changes (Node)', language);
  peer(typed, language);
  await inThePage(file('udpu'));
}

function peer(typed: (index: number) => string, language: Spread): void {
  if (!existsSync('/usr/sbin/corosync')) return console.log("  no peer: Debian's package corosync is not installed");
  const directory = mkdtempSync(join(tmpdir(), 'ringmaster-bench-'));
  const times: number[] = [];
  for (let index = 0; index < 20; index += 1) {
    writeFileSync(join(directory, 'corosync.conf'), typed(index));
    const begun = performance.now();
    spawnSync('/usr/sbin/corosync', ['-t', '-c', join(directory, 'corosync.conf')]);
    times.push(performance.now() - begun);
  }
  rmSync(directory, { recursive: true, force: true });
  const theirs = spread(times);
  line('corosync -t of the same file', theirs, `   ratio ${(theirs.median / language.median).toFixed(1)}`);
}

/** Types into the editor of the running app and asks the browser how long each key took. */
async function inThePage(text: string): Promise<void> {
  const app = await startApp();
  const view = await openPage(app.address);
  try {
    const { page } = view;
    await page.getByTestId('ring').waitFor({ timeout: 60_000 });
    await page.getByRole('navigation').getByRole('link', { name: 'Configuration' }).click();
    await page.locator('.view-lines').first().waitFor({ timeout: 30_000 });
    await page
      .getByTestId('file-chooser')
      .setInputFiles({ name: 'c.conf', mimeType: 'text/plain', buffer: Buffer.from(text) });
    await page.getByTestId('conf-editor').locator('.view-line').filter({ hasText: 'node5' }).first().waitFor();
    await page.getByTestId('conf-editor').locator('.view-lines').click();
    await page.keyboard.press('Control+Home');
    await page.keyboard.press('End');
    // From the key's event to the markers, and apart from that to the moment when the page is painted and free again.
    await page.evaluate(`(() => {
      window.__begun = []; window.__painted = [];
      addEventListener('keydown', () => {
        const begun = performance.now();
        window.__begun.push(begun);
        setTimeout(() => window.__painted.push(performance.now() - begun), 0);
      }, { capture: true });
    })()`);
    for (let index = 0; index < KEYS; index += 1) {
      await page.keyboard.press(index % 2 === 0 ? 'x' : 'Backspace');
      await page.waitForTimeout(15);
    }
    const frames = (times: Spread): string =>
      `   ratio to a frame of ${FRAME_MS} ms ${(times.median / FRAME_MS).toFixed(2)}`;
    const markers = spread(
      await page.evaluate<number[]>(`(() => {
        const marks = performance.getEntriesByName('corosync.conf: markers').map((mark) => mark.startTime);
        return window.__begun.map((begun) => marks.find((mark) => mark >= begun) - begun);
      })()`),
    );
    line('key to diagnostics in the page (Chromium)', markers, frames(markers));
    const painted = spread(await page.evaluate<number[]>('window.__painted'));
    line('key to the page painted, without a GPU', painted, frames(painted));
  } finally {
    await view.close();
    await app.stop();
  }
}
