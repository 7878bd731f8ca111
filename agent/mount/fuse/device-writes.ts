/** Writes to /dev/fuse. */
import { writeSync } from 'node:fs';

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/**
 * The error's code, or null. An inode that the kernel does not know is an error each time, and one whose stack is
 * recorded costs more than all the rest of an operation of another node.
 */
function write(fd: number, bytes: Uint8Array): string | null {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    writeSync(fd, bytes);
    return null;
  } catch (error) {
    const code = codeOf(error);
    if (code === '') throw error;
    return code;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The caller may have been answered, or be gone (ENOENT): then nobody wants this answer. */
export function reply(fd: number, bytes: Uint8Array): void {
  const code = write(fd, bytes);
  if (code !== null && code !== 'ENOENT' && code !== 'ENODEV') throw new Error(`the kernel takes no answer: ${code}`);
}

/** Tells the kernel at once. What it does not know it need not forget (ENOENT). Gives false where it knows no such word. */
export function notifyNow(fd: number, bytes: Uint8Array): boolean {
  return write(fd, bytes) !== 'EINVAL';
}
