/**
 * The agent's runtime (100 MB) for the nodes of a lab: they share this machine's disk, so it is unpacked once and each
 * node has links to the same files. All else comes over SSH as on any host, and so does the runtime wherever this does
 * not succeed; uploaded and unpacked for each node it was a third of what bringing up a lab takes (measured).
 */
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { readManifest } from '../host/agent/manifest.ts';
import { must } from './run.ts';
import type { LabPaths } from './state.ts';

/** Unpacks the runtime of this machine's architecture, once for a lab. Gives its directory; null where it cannot be had. */
export async function unpackRuntime(paths: LabPaths, bundleDirectory: string): Promise<string | null> {
  try {
    const runtime = (await readManifest(bundleDirectory)).runtimes[process.arch];
    if (runtime === undefined) return null;
    const whole = join(paths.runtimes, runtime.id);
    if (existsSync(whole)) return whole;
    const incoming = await emptied(`${whole}.incoming`);
    await mkdir(incoming, { recursive: true });
    await must('tar', ['-xzf', join(bundleDirectory, runtime.file), '-C', incoming, '--no-same-owner']);
    await rename(incoming, whole);
    return whole;
  } catch {
    // The agent's installation says what is wrong with the bundle.
    return null;
  }
}

/** Links that runtime into the node, unless it has one. Never rejects: without, it is uploaded. */
export async function linkRuntime(runtime: string, nodeDirectory: string): Promise<void> {
  const home = join(nodeDirectory, 'var/lib/ringmaster/runtimes', basename(runtime));
  if (existsSync(home)) return;
  try {
    await mkdir(dirname(home), { recursive: true });
    const incoming = await emptied(`${home}.incoming`);
    await must('cp', ['-al', runtime, incoming]);
    await rename(incoming, home);
  } catch {
    await rm(`${home}.incoming`, { recursive: true, force: true });
  }
}

/** What one that was broken off has left is removed. */
async function emptied(path: string): Promise<string> {
  await rm(path, { recursive: true, force: true });
  return path;
}
