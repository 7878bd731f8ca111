/** Writes to /dev/fuse. */
import { writeSync } from 'node:fs';

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** The caller may have been answered, or be gone (ENOENT): then nobody wants this answer. */
export function reply(fd: number, bytes: Uint8Array): void {
  try {
    writeSync(fd, bytes);
  } catch (error) {
    const code = codeOf(error);
    if (code !== 'ENOENT' && code !== 'ENODEV') throw error;
  }
}

/** Tells the kernel at once. What it does not know it need not forget (ENOENT). Gives false where it knows no such word. */
export function notifyNow(fd: number, bytes: Uint8Array): boolean {
  try {
    writeSync(fd, bytes);
    return true;
  } catch (error) {
    return codeOf(error) !== 'EINVAL';
  }
}
