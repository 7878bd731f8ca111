/** zlib, for states on their way (agent/replica/packed.ts). The fastest level: what it leaves is carried in milliseconds. */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Compression } from '../replica/packed.ts';

export const DEFLATE: Compression = {
  pack: (bytes) => deflateRawSync(bytes, { level: 1 }),
  unpack: (bytes, most) => {
    try {
      return inflateRawSync(bytes, { maxOutputLength: most });
    } catch {
      return null;
    }
  },
};
