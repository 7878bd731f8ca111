import { err, ok, type Result } from '../result.ts';
import { ByteReader, Malformed } from './bytes.ts';

/** Runs `read` over the whole of `bytes`: its value, or in words why these bytes are not one. */
export function decoded<T>(bytes: Uint8Array, read: (reader: ByteReader) => T): Result<T, string> {
  try {
    const reader = new ByteReader(bytes);
    const value = read(reader);
    reader.end();
    return ok(value);
  } catch (error) {
    if (error instanceof Malformed) return err(error.message);
    throw error;
  }
}
