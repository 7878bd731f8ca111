/** The editor, used as people use it: keyboard, form, files dropped in, the old dialect; without any other server. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Page } from 'playwright-core';
import { lab, openPage, startApp, type OpenPage, type RunningApp } from './app.ts';

const seconds = (count: number): { timeout: number } => ({ timeout: count * 1000 });

const OLD = `totem {
  version: 2
  cluster_name: tweak
  config_version: 9
  rrp_mode: passive
  secauth: on
  interface {
    bindnetaddr: 10.10.10.1
    ringnumber: 0
  }
  interface {
    bindnetaddr: 10.10.20.1
    ringnumber: 1
  }
}
nodelist {
  node {
    name: pvecm1
    nodeid: 1
    ring0_addr: 10.10.10.1
    ring1_addr: 10.10.20.1
  }
}
`;

describe('the editor of corosync.conf', () => {
  let app: RunningApp;
  let view: OpenPage;
  let page: Page;
  const elsewhere: string[] = [];

  before(async () => {
    app = await startApp();
    view = await openPage(app.address);
    page = view.page;
    const home = new URL(app.address).origin;
    page.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(home) && !/^(data|blob):/.test(url)) elsewhere.push(url);
    });
    await page.getByTestId('ring').waitFor(seconds(60));
    await page.getByRole('navigation').getByRole('link', { name: 'Configuration' }).click();
    await page.locator('.view-lines').first().waitFor(seconds(30));
  });
  after(async () => {
    await view?.close();
    await app?.stop();
  });

  const lines = async (): Promise<string> =>
    (await page.getByTestId('conf-editor').locator('.view-lines').innerText()).replaceAll('\u00a0', ' ');
  const shows = (text: string | RegExp) =>
    page.getByTestId('conf-editor').locator('.view-line').filter({ hasText: text }).first().waitFor(seconds(10));
  const discard = async (): Promise<void> => {
    const button = page.getByRole('button', { name: 'Discard changes' });
    if (await button.isEnabled()) await button.click();
  };

  test('the outline lists the nodes, and a click goes there', async () => {
    const outline = page.getByTestId('conf-outline');
    assert.match(await outline.innerText(), /nodelist[\s\S]*3 nodes[\s\S]*pve1[\s\S]*pve3/);
    await outline.getByRole('button', { name: /pve2/ }).click();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('End');
    await view.screenshot('e1-outline');
  });

  test('F2 on a node’s name renames it; a name that is taken is refused with the reason', async () => {
    await page.keyboard.press('F2');
    await page.locator('.rename-input:focus').waitFor(seconds(10));
    await page.keyboard.press('Control+a');
    await page.keyboard.type('pve3');
    await page.keyboard.press('Enter');
    await page.getByText('there is a node pve3 already').first().waitFor(seconds(10));
    await page.keyboard.press('Escape');
    await page.keyboard.press('F2');
    await page.locator('.rename-input:focus').waitFor(seconds(10));
    await page.keyboard.press('Control+a');
    await page.keyboard.type('storage2');
    await page.keyboard.press('Enter');
    await shows('name: storage2');
    await page.getByText('Node pve2 is renamed to storage2.').waitFor(seconds(10));
    await discard();
    await shows('name: pve2');
  });

  test('a mistake is mended from the keyboard alone', async () => {
    await page.getByTestId('conf-editor').locator('.view-lines').click();
    await page.keyboard.press('Control+End');
    await page.keyboard.type('logging {\ndebug: yes\n}');
    await page.locator('.squiggly-error').first().waitFor(seconds(10));
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('End');
    await page.keyboard.press('Control+.');
    await page.locator('.action-widget').first().waitFor(seconds(10));
    await page.keyboard.press('Enter');
    await page
      .locator('.squiggly-error')
      .first()
      .waitFor({ state: 'detached', ...seconds(10) });
    assert.doesNotMatch(await lines(), /debug: yes/);
    await discard();
  });

  test('sections fold', async () => {
    await page
      .getByTestId('conf-outline')
      .getByRole('button', { name: /nodelist/ })
      .click();
    await page.keyboard.press('Control+Shift+BracketLeft');
    await page
      .getByTestId('conf-editor')
      .locator('.view-line')
      .filter({ hasText: 'ring0_addr' })
      .first()
      .waitFor({ state: 'detached', ...seconds(10) });
    await page.keyboard.press('Control+Shift+BracketRight');
    await shows('ring0_addr');
  });

  test('the form and the text are one document', async () => {
    await page.getByTestId('form-tab').click();
    const votes = page.getByLabel('Votes of node 2');
    await votes.fill('3');
    await votes.press('Tab');
    await page.getByText('Node pve2 changes from 1 vote to 3 votes.').waitFor(seconds(10));
    await page.getByTestId('form-more-totem').selectOption('token');
    const token = page.getByTestId('form-token');
    await token.fill('4000');
    await token.press('Tab');
    await view.screenshot('e2-form');
    await page.emulateMedia({ colorScheme: 'light' });
    await view.screenshot('e2-form-light');
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.getByTestId('edit-tab').click();
    await shows('quorum_votes: 3');
    await page.getByTestId('conf-editor').locator('.view-lines').click();
    await page.keyboard.press('Control+z');
    await page.keyboard.press('Control+z');
    await page.getByTestId('form-tab').click();
    await page.getByTestId('form-token').waitFor({ state: 'detached', ...seconds(10) });
    await discard();
  });

  test('a value that the form cannot mean is a problem, and stays what was typed', async () => {
    const votes = page.getByLabel('Votes of node 1');
    await votes.fill('many');
    await votes.press('Tab');
    await page.getByText('quorum_votes must be a whole number').waitFor(seconds(10));
    assert.ok(await page.getByTestId('apply').isDisabled());
    await discard();
    await page.getByTestId('edit-tab').click();
  });

  test('a file dropped in becomes the edit, and its redundant rings are made into links', async () => {
    // In the page's own words: the test program has no DataTransfer.
    const script = `(() => {
      const data = new DataTransfer();
      data.items.add(new File([${JSON.stringify(OLD)}], 'corosync.conf', { type: 'text/plain' }));
      return data;
    })()`;
    const transfer = await page.evaluateHandle(script);
    const area = page.getByTestId('drop-area');
    await area.dispatchEvent('dragover', { dataTransfer: transfer });
    await area.dispatchEvent('drop', { dataTransfer: transfer });
    await page.getByTestId('old-dialect').waitFor(seconds(10));
    await view.screenshot('e3-old-dialect');
    await page.getByTestId('convert-rrp').click();
    await page.getByTestId('converted').waitFor(seconds(10));
    await shows('linknumber: 1');
    assert.doesNotMatch(await lines(), /rrp_mode|ringnumber|bindnetaddr/);
    await view.screenshot('e4-converted');
    await discard();
  });

  test('an example is taken as an edit', async () => {
    await page.getByTestId('open-menu').click();
    await page.getByTestId('template-two-links').click();
    await shows('ring1_addr: 10.10.20.1');
    await discard();
  });

  test('the edit is compared with what one node has and runs', async () => {
    await page.getByTestId('review-tab').click();
    await page.getByTestId('compare-with').selectOption('pve3');
    assert.match(
      await page.getByTestId('compare-with').locator('option:checked').innerText(),
      /^pve3: file of version \d+, runs \d+$/,
    );
    await view.screenshot('e5-compare');
    await page.getByTestId('edit-tab').click();
  });

  test('a comparison that is closed while it is being made is no error', async () => {
    for (const pause of [0, 5, 20, 60, 120, 250]) {
      await page.getByTestId('review-tab').click();
      await page.waitForTimeout(pause);
      await page.getByTestId('edit-tab').click();
    }
    await page.getByTestId('review-tab').click();
    for (const name of ['pve1', 'pve2', 'pve3']) await page.getByTestId('compare-with').selectOption(name);
    await page.getByTestId('edit-tab').click();
    await page.waitForTimeout(500);
    assert.deepEqual(view.complaints, []);
  });

  test('two of three are lost for good: the glass is broken, and the one that is left runs the file without them', async () => {
    for (const name of ['pve2', 'pve3']) lab(app.directory, 'kill', name);
    await page.getByTestId('emergency-banner').waitFor(seconds(30));
    await page.getByTestId('form-tab').click();
    for (const name of ['pve2', 'pve3']) {
      await page.getByRole('button', { name: `Take ${name} out of the file` }).click();
    }
    assert.ok(await page.getByTestId('apply').isDisabled());
    await page.getByTestId('break-glass').click();
    await page.getByTestId('emergency-name').fill('lab');
    assert.ok(await page.getByTestId('emergency-file').isChecked());
    await view.screenshot('e6-break-glass');
    await page.getByTestId('emergency-go').click();
    await page.getByTestId('operation-done').waitFor(seconds(60));
    await view.screenshot('e7-glass-broken');
    await page.keyboard.press('Escape');
    await page.getByTestId('emergency-banner').waitFor({ state: 'detached', ...seconds(30) });
    const disk = lab(app.directory, 'exec', 'pve1', '--', 'cat', '/etc/corosync/corosync.conf');
    assert.doesNotMatch(disk, /name: pve[23]/);
    assert.match(lab(app.directory, 'exec', 'pve1', '--', 'pvecm', 'status'), /Quorate: +Yes/);
    if (process.getuid?.() === 0) {
      assert.equal(lab(app.directory, 'exec', 'pve1', '--', 'cat', '/etc/pve/corosync.conf'), disk);
    }
  });

  test('nothing was fetched from anywhere else, and the page has nothing to complain about', () => {
    assert.deepEqual(elsewhere, []);
    assert.deepEqual(view.complaints, []);
  });
});
