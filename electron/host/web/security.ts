/** What keeps strangers out of the browser mode: another page, another user's browser, another machine. */
import { randomBytes, timingSafeEqual } from 'node:crypto';

/** The page may load and reach only what this server serves. Electron's window has the same policy. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  // Monaco measures text and themes itself with style elements it writes.
  "style-src 'self' 'unsafe-inline'",
  "worker-src 'self'",
  "font-src 'self' data:",
  "img-src 'self' data:",
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** Sent with every answer. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': CONTENT_SECURITY_POLICY,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Frame-Options': 'DENY',
};

export const freshToken = (): string => randomBytes(32).toString('base64url');

/** Compares without telling by its time how much was right. */
export function sameToken(given: string, right: string): boolean {
  const a = Buffer.from(given);
  const b = Buffer.from(right);
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Tokens that each open the door once. */
export class OneTimeTokens {
  #open: string[] = [];

  /** A new one. Of those never used, the newest few stay good. */
  issue(): string {
    const token = freshToken();
    this.#open = [...this.#open, token].slice(-8);
    return token;
  }

  /** True, once, for a token that was issued. */
  redeem(given: string): boolean {
    const rest = this.#open.filter((token) => !sameToken(given, token));
    const good = rest.length < this.#open.length;
    this.#open = rest;
    return good;
  }
}

/**
 * Is the request addressed to this server by a name of this machine? A page of another name that
 * resolves to 127.0.0.1 (DNS rebinding) carries its own name here.
 */
export function isOwnHost(host: string | undefined, port: number): boolean {
  return host === `127.0.0.1:${port}` || host === `localhost:${port}`;
}

/** A WebSocket is open to every page of the world: only our own may use it. */
export function isOwnOrigin(origin: string | undefined, host: string | undefined, port: number): boolean {
  return isOwnHost(host, port) && origin === `http://${host}`;
}

/** One cookie of a Cookie header. */
export function cookieOf(header: string | undefined, name: string): string | null {
  for (const pair of (header ?? '').split(';')) {
    const at = pair.indexOf('=');
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return null;
}
