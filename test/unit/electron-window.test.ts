/** The Electron shell cannot run in every test; its security settings can be read in every one. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  CONTENT_SECURITY_POLICY,
  PAGE,
  isOwnFrame,
  isOwnPage,
  schemePrivileges,
  webPreferences,
} from '../../electron/window-settings.ts';

const project = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const main = readFileSync(join(project, 'electron', 'main.ts'), 'utf8');
const preload = readFileSync(join(project, 'electron', 'preload.ts'), 'utf8');

describe('the Electron window', () => {
  test('isolates the page from Node and from other pages', () => {
    assert.equal(webPreferences.contextIsolation, true);
    assert.equal(webPreferences.sandbox, true);
    assert.equal(webPreferences.nodeIntegration, false);
    assert.equal(webPreferences.nodeIntegrationInWorker, false);
    assert.equal(webPreferences.nodeIntegrationInSubFrames, false);
    assert.equal(webPreferences.webSecurity, true);
    assert.equal(webPreferences.allowRunningInsecureContent, false);
    assert.equal(webPreferences.webviewTag, false);
    assert.equal(schemePrivileges.bypassCSP, false);
  });
  test('has a policy that allows no remote content and no inline script', () => {
    const parts = CONTENT_SECURITY_POLICY.split('; ');
    assert.ok(parts.includes("default-src 'none'"));
    assert.ok(parts.includes("script-src 'self'"));
    assert.ok(!/https?:|\*/.test(CONTENT_SECURITY_POLICY));
  });
  test('is made with these settings and no others', () => {
    assert.equal(main.match(/new BrowserWindow\(/g)?.length, 1);
    assert.match(main, /webPreferences: \{ \.\.\.webPreferences, preload: join\([^)]*\) \}/);
    assert.match(main, /privileges: schemePrivileges/);
    assert.match(main, /headers: \{ \.\.\.SECURITY_HEADERS,/);
    assert.match(main, /app\.enableSandbox\(\)/);
    assert.match(main, /loadURL\(PAGE\)/);
    assert.equal(main.match(/loadURL|loadFile/g)?.length, 1);
  });
  test('denies windows, foreign navigation, webviews and permissions', () => {
    assert.match(main, /setWindowOpenHandler\(\(\) => \(\{ action: 'deny' \}\)\)/);
    assert.match(main, /'will-navigate', \(event\) => \{\s*if \(!isOwnPage\(event\.url\)\) event\.preventDefault\(\)/);
    assert.match(main, /'will-attach-webview', \(event\) => event\.preventDefault\(\)/);
    assert.match(main, /setPermissionRequestHandler\([^;]*decide\(false\)\)/);
    assert.match(main, /setPermissionCheckHandler\(\(\) => false\)/);
    assert.ok(!/openExternal|executeJavaScript|remote\b/.test(main));
  });
  test('listens to the top frame of its own page only', () => {
    assert.match(main, /!isOwnFrame\(event\.senderFrame\)\) return/);
    assert.equal(main.match(/ipcMain\./g)?.length, 1);
    assert.equal(isOwnFrame({ url: PAGE, parent: null }), true);
    assert.equal(isOwnFrame({ url: PAGE, parent: {} }), false);
    assert.equal(isOwnFrame({ url: 'https://evil.example/', parent: null }), false);
    assert.equal(isOwnFrame(null), false);
    assert.equal(isOwnPage('app://ringmaster.evil.example/'), false);
    assert.equal(isOwnPage('app://evil/'), false);
    assert.equal(isOwnPage('file:///etc/passwd'), false);
  });
  test('gives the page one line to the host and nothing else', () => {
    assert.equal(preload.match(/exposeInMainWorld/g)?.length, 1);
    assert.match(preload, /exposeInMainWorld\('ringmaster', \{\s*post:[^}]*on:/);
    assert.ok(!/ipcRenderer\.(invoke|sendSync|postMessage)|require\(/.test(preload));
  });
});
