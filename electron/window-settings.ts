/** The security settings of the Electron window, as plain values, so that a test can read them. */
import type { WebPreferences } from 'electron';

export { CONTENT_SECURITY_POLICY } from './host/web/security.ts';

/** The page is served under this scheme; nothing else may be shown. */
export const SCHEME = 'app';
export const PAGE = `${SCHEME}://ringmaster/`;

export const webPreferences = {
  contextIsolation: true,
  sandbox: true,
  nodeIntegration: false,
  nodeIntegrationInWorker: false,
  nodeIntegrationInSubFrames: false,
  webSecurity: true,
  allowRunningInsecureContent: false,
  experimentalFeatures: false,
  webviewTag: false,
  navigateOnDragDrop: false,
  spellcheck: false,
} as const satisfies WebPreferences;

export const schemePrivileges = {
  standard: true,
  secure: true,
  supportFetchAPI: true,
  allowServiceWorkers: false,
  bypassCSP: false,
  corsEnabled: false,
} as const;

/** The one channel between page and host; each message one JSON line. */
export const CHANNEL = 'ringmaster';

/** May a message of this frame be listened to? Only the top frame of our own page. */
export function isOwnFrame(frame: { readonly url: string; readonly parent: unknown } | null): boolean {
  return frame !== null && frame.parent === null && isOwnPage(frame.url);
}

/** Does the URL name our page (or a file of it)? */
export function isOwnPage(url: string): boolean {
  try {
    const { protocol, host } = new URL(url);
    return protocol === `${SCHEME}:` && host === 'ringmaster';
  } catch {
    return false;
  }
}
