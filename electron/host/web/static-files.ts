/** Files of the built page, by the path of a URL. Nothing outside their directory can be named. */
import { readFile } from 'node:fs/promises';
import { extname, join, normalize, sep } from 'node:path';

export interface StaticFile {
  readonly body: Buffer;
  readonly type: string;
  /** Its name holds a hash of its contents, so it never changes. */
  readonly immutable: boolean;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.ttf': 'font/ttf',
  '.woff': 'font/woff',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
};

/** As Vite names what it builds: assets/<name>-<hash>.<ext>. */
const HASHED = /^assets[\\/][^\\/]*-[A-Za-z0-9_-]{8,}\.[A-Za-z0-9]+$/;

/** The path below the directory that a URL's path names, or null when it names none. Pure. */
export function relativePath(urlPath: string): string | null {
  let path: string;
  try {
    path = decodeURIComponent(urlPath);
  } catch {
    return null;
  }
  if (path.includes('\0') || path.includes('\\')) return null;
  const wanted = path.endsWith('/') ? `${path}index.html` : path;
  const parts = wanted.split('/').filter((part) => part !== '');
  // Hidden files are never part of the page; `.` and `..` are among them.
  if (parts.length === 0 || parts.some((part) => part.startsWith('.') || part.includes(':'))) return null;
  return parts.join(sep);
}

/** Reads the file of a URL's path; null when there is none. */
export async function staticFile(directory: string, urlPath: string): Promise<StaticFile | null> {
  const path = relativePath(urlPath);
  if (path === null) return null;
  const file = normalize(join(directory, path));
  if (!file.startsWith(normalize(directory + sep))) return null;
  const type = TYPES[extname(file).toLowerCase()];
  if (type === undefined) return null;
  try {
    return { body: await readFile(file), type, immutable: HASHED.test(path) };
  } catch {
    return null;
  }
}
