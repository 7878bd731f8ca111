/** The agent bundle that this app ships: what is in it, and its hashes. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

const part = z.object({
  file: z.string().regex(/^[A-Za-z0-9._-]+$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z.number().int().positive(),
});

const manifest = z.object({
  version: z.string().regex(/^[A-Za-z0-9._-]+$/),
  program: part,
  runtimes: z.record(z.string(), part.extend({ id: z.string().regex(/^[A-Za-z0-9._-]+$/) })),
});

export type BundlePart = z.infer<typeof part>;
export type BundleManifest = z.infer<typeof manifest>;

/** Reads a bundle's manifest. Rejects with a sentence when there is none or it is damaged. */
export async function readManifest(bundleDirectory: string): Promise<BundleManifest> {
  let text: string;
  try {
    text = await readFile(join(bundleDirectory, 'manifest.json'), 'utf8');
  } catch {
    throw new Error(`There is no agent bundle in ${bundleDirectory}. Build it with "npm run build:agent".`);
  }
  const parsed = manifest.safeParse(safeJson(text));
  if (!parsed.success) throw new Error(`The agent bundle's manifest in ${bundleDirectory} is damaged. Build it anew.`);
  return parsed.data;
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
