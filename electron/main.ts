/**
 * The Electron shell: one window on the built page, and a line to the host. Everything else is in
 * host/, which the browser mode proves too.
 */
import { join } from 'node:path';
import { BrowserWindow, app, ipcMain, protocol, session } from 'electron';
import { HostApp } from './host/app.ts';
import { SECURITY_HEADERS } from './host/web/security.ts';
import { staticFile } from './host/web/static-files.ts';
import { openLab } from './lab/open.ts';
import { CHANNEL, PAGE, SCHEME, isOwnFrame, isOwnPage, schemePrivileges, webPreferences } from './window-settings.ts';

/** dist/, where this file is bundled to dist/electron/main.cjs. */
const dist = join(import.meta.dirname, '..');
/** A message of the page larger than this many characters is dropped. */
const LARGEST_MESSAGE = 4 * 1024 * 1024;

protocol.registerSchemesAsPrivileged([{ scheme: SCHEME, privileges: schemePrivileges }]);
app.enableSandbox();

app.on('web-contents-created', (_event, contents) => {
  contents.setWindowOpenHandler(() => ({ action: 'deny' }));
  contents.on('will-navigate', (event) => {
    if (!isOwnPage(event.url)) event.preventDefault();
  });
  contents.on('will-redirect', (event) => event.preventDefault());
  contents.on('will-attach-webview', (event) => event.preventDefault());
});

if (app.requestSingleInstanceLock()) void app.whenReady().then(start);
else app.quit();

async function start(): Promise<void> {
  session.defaultSession.setPermissionRequestHandler((_contents, _permission, decide) => decide(false));
  session.defaultSession.setPermissionCheckHandler(() => false);
  session.defaultSession.setDevicePermissionHandler(() => false);
  protocol.handle(SCHEME, async ({ url }) => {
    const file = isOwnPage(url) ? await staticFile(join(dist, 'renderer'), new URL(url).pathname) : null;
    return file === null
      ? new Response('Not found', { status: 404, headers: SECURITY_HEADERS })
      : new Response(new Uint8Array(file.body), { headers: { ...SECURITY_HEADERS, 'Content-Type': file.type } });
  });

  // `npm start` names the lab it brought up.
  const labDirectory = app.commandLine.getSwitchValue('lab');
  const settingsDirectory = app.getPath('userData');
  const host = new HostApp({
    settingsDirectory,
    knownHostsFile: join(settingsDirectory, 'known_hosts'),
    lab: labDirectory === '' ? null : await openLab(labDirectory),
    bundleDirectory: app.isPackaged ? join(process.resourcesPath, 'agent') : join(dist, 'agent'),
    shell: 'electron',
  });
  const window = new BrowserWindow({
    width: 1360,
    height: 860,
    minWidth: 900,
    minHeight: 600,
    title: 'Ringmaster',
    autoHideMenuBar: true,
    webPreferences: { ...webPreferences, preload: join(import.meta.dirname, 'preload.cjs') },
  });
  connect(window, host);
  app.on('second-instance', () => window.focus());
  app.on('window-all-closed', () => {
    host.close();
    app.quit();
  });
  await window.loadURL(PAGE);
}

/** The host's line to the page in the window; a reload begins a new conversation. */
function connect(window: BrowserWindow, host: HostApp): void {
  const { webContents } = window;
  let receive: (line: string) => void = () => undefined;
  let disconnect: () => void = () => undefined;
  ipcMain.on(CHANNEL, (event, line: unknown) => {
    if (event.sender !== webContents || !isOwnFrame(event.senderFrame)) return;
    if (typeof line === 'string' && line.length <= LARGEST_MESSAGE) receive(line);
  });
  webContents.on('did-start-navigation', ({ isMainFrame, isSameDocument }) => {
    if (!isMainFrame || isSameDocument) return;
    disconnect();
    disconnect = host.connectRenderer({
      post: (line) => {
        if (!webContents.isDestroyed()) webContents.send(CHANNEL, line);
      },
      on: (handler) => (receive = handler),
    });
  });
  webContents.on('destroyed', () => disconnect());
}
