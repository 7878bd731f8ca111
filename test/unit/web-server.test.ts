import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import type { RendererChannel } from '../../electron/host/renderers.ts';
import { serveBrowser } from '../../electron/host/web/server.ts';
import type { BrowserServer } from '../../electron/host/web/server.ts';
import { relativePath } from '../../electron/host/web/static-files.ts';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

describe('the browser mode', () => {
  const home = mkdtempSync(join(tmpdir(), 'ringmaster-web-'));
  const pages: RendererChannel[] = [];
  let left = 0;
  let server: BrowserServer;
  let cookie = '';

  /** A request with the path as given: no client tidies it up. */
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port: server.port, path, method, headers }, (response) => {
        let body = '';
        response.on('data', (chunk) => (body += String(chunk)));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      });
      asked.on('error', reject);
      asked.end();
    });
  const pathOf = (address: string): string => address.slice(address.indexOf('/?'));
  const socket = (headers: Record<string, string>, path = '/rpc'): Promise<WebSocket | number> =>
    new Promise((resolve) => {
      const opened = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, { headers });
      opened.on('open', () => resolve(opened));
      opened.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
      opened.on('error', () => resolve(0));
    });
  const origin = (): string => `http://127.0.0.1:${server.port}`;

  before(async () => {
    const directory = join(home, 'page');
    mkdirSync(join(directory, 'assets'), { recursive: true });
    writeFileSync(join(directory, 'index.html'), '<h1>app</h1>');
    writeFileSync(join(directory, 'assets', 'index-AbCd1234.js'), '1');
    writeFileSync(join(directory, '.hidden.html'), 'secret');
    writeFileSync(join(home, 'secret.html'), 'secret');
    server = await serveBrowser(
      { connectRenderer: (channel) => (pages.push(channel), () => (left += 1)) },
      { staticDirectory: directory },
    );
    const opened = await get(pathOf(server.address()));
    cookie = String(opened.headers['set-cookie']?.[0]).split(';')[0] ?? '';
  });
  after(async () => {
    await server.close();
    rmSync(home, { recursive: true, force: true });
  });

  test('listens on loopback only', () => {
    assert.match(server.address(), /^http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{43}$/);
  });
  test('a token becomes a cookie that scripts and other sites do not get, and the address loses it', async () => {
    const opened = await get(pathOf(server.address()));
    assert.equal(opened.status, 303);
    assert.equal(opened.headers.location, '/');
    assert.match(String(opened.headers['set-cookie']), /; HttpOnly; SameSite=Strict; Path=\/$/);
  });
  test('a token works once; then a page says what to do', async () => {
    const path = pathOf(server.address());
    assert.equal((await get(path)).status, 303);
    const again = await get(path);
    assert.equal(again.status, 403);
    assert.match(again.body, /used already/);
    assert.equal((await get('/?token=guess')).status, 403);
  });
  test('a used token in the browser that has the cookie leads on', async () => {
    const path = pathOf(server.address());
    await get(path);
    assert.equal((await get(path, { cookie })).status, 303);
  });
  test('without a cookie nothing is served', async () => {
    for (const path of ['/', '/index.html', '/assets/index-AbCd1234.js', '/nothing']) {
      assert.equal((await get(path)).status, 403, path);
    }
    assert.equal((await get('/', { cookie: `${cookie}x` })).status, 403);
  });
  test('with it the page is, under a strict policy', async () => {
    const page = await get('/', { cookie });
    assert.equal(page.status, 200);
    assert.equal(page.body, '<h1>app</h1>');
    const policy = String(page.headers['content-security-policy']);
    for (const part of [
      "default-src 'none'",
      "script-src 'self'",
      "connect-src 'self'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "form-action 'none'",
    ]) {
      assert.ok(policy.split('; ').includes(part), part);
    }
    assert.ok(!/script-src[^;]*unsafe/.test(policy));
    assert.equal(page.headers['x-content-type-options'], 'nosniff');
    assert.equal(page.headers['referrer-policy'], 'no-referrer');
    assert.equal(page.headers['cross-origin-opener-policy'], 'same-origin');
  });
  test('only names with a hash are cached for good', async () => {
    assert.match(String((await get('/assets/index-AbCd1234.js', { cookie })).headers['cache-control']), /immutable/);
    assert.equal((await get('/', { cookie })).headers['cache-control'], 'no-cache');
  });
  test('no path leads out of the page', async () => {
    for (const path of [
      '/../secret.html',
      '/%2e%2e/secret.html',
      '/..%2fsecret.html',
      '/assets/../../secret.html',
      '/assets/..%5c..%5csecret.html',
      '/.hidden.html',
      '//secret.html',
      '/%00',
      '/%',
    ]) {
      const found = await get(path, { cookie });
      assert.equal(found.status, 404, path);
      assert.ok(!found.body.includes('secret'), path);
    }
    assert.equal(relativePath('/a/%2e%2e/b'), null);
    assert.equal(relativePath('/C:/x'), null);
  });
  test('a request line that is no URL is answered, not fatal', async () => {
    const answer = await new Promise<string>((resolve) => {
      const line = connect(server.port, '127.0.0.1', () => {
        line.write(`GET // HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nConnection: close\r\n\r\n`);
      });
      let said = '';
      line.on('data', (chunk) => (said += String(chunk)));
      line.on('close', () => resolve(said));
    });
    assert.match(answer, /^HTTP\/1\.1 [45]/);
    assert.equal((await get('/', { cookie })).status, 200);
  });
  test('another name for this address (DNS rebinding) is refused, with the cookie too', async () => {
    assert.equal((await get('/', { cookie, host: `evil.example:${server.port}` })).status, 421);
    assert.equal((await get('/', { cookie, host: '127.0.0.1' })).status, 421);
  });
  test('nothing but reading is possible over HTTP', async () => {
    assert.equal((await get('/', { cookie }, 'POST')).status, 405);
  });
  test('a WebSocket needs the cookie, our own Origin, our own name and the right path', async () => {
    assert.equal(await socket({ origin: origin() }), 403);
    assert.equal(await socket({ cookie }), 403);
    assert.equal(await socket({ cookie, origin: 'http://evil.example' }), 403);
    assert.equal(await socket({ cookie, origin: 'null' }), 403);
    assert.equal(await socket({ cookie, origin: `http://127.0.0.1:${server.port + 1}` }), 403);
    const rebound = `evil.example:${server.port}`;
    assert.equal(await socket({ cookie, origin: `http://${rebound}`, host: rebound }), 403);
    assert.equal(await socket({ cookie, origin: origin() }, '/'), 403);
    assert.equal(pages.length, 0);
  });
  test('lines go both ways, and the app hears when the page leaves', async () => {
    const opened = await socket({ cookie, origin: origin() });
    assert.ok(typeof opened !== 'number');
    const page = pages.at(-1);
    assert.ok(page !== undefined);
    const heard = new Promise<string>((resolve) => page.on(resolve));
    opened.send('{"from":"page"}');
    assert.equal(await heard, '{"from":"page"}');
    const told = new Promise<string>((resolve) => opened.on('message', (data) => resolve(String(data))));
    page.post('{"from":"host"}');
    assert.equal(await told, '{"from":"host"}');
    const before = left;
    opened.close();
    await new Promise((resolve) => opened.on('close', resolve));
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(left, before + 1);
  });
});
