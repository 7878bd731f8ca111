/**
 * `npm run build:agent [-- x64 arm64]`: writes dist/agent, what the desktop uploads to a node.
 *
 *   program.tar.gz            agent.mjs (everything in one file, the threads as a text in it), ringmaster-agent (sh), units/, manifest.json;
 *                             the same bytes for every architecture. Unpacks into agents/<version>/.
 *   runtime-linux-<arch>.tar.gz  node, node_modules/koffi and its native part. Unpacks into runtimes/<id>/.
 *   manifest.json             names, sizes and SHA-256 of the above.
 *
 * The runtimes come from the npm packages node-linux-<arch> and @koromix/koffi-linux-<arch>: from
 * node_modules where they are installed, otherwise by `npm pack`, checked against package-lock.json.
 * `ringmaster-agent install` links agents/<version>/node_modules to the runtime's.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createGzip } from 'node:zlib';
import { build, type BuildOptions } from 'esbuild';
import { tarOf } from './tar.ts';
import type { TarEntry } from './tar.ts';

const run = promisify(execFile);
const project = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(project, 'node_modules');
const output = join(project, 'dist', 'agent');
const cache = join(project, 'dist', 'cache');

export type Arch = 'x64' | 'arm64';

interface Part {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** dist/agent/manifest.json. */
export interface AgentManifest {
  /** Package version, then 8 hexadecimal digits of the hash of the program's contents. */
  readonly version: string;
  readonly program: Part;
  readonly runtimes: Partial<Record<Arch, Part & { readonly id: string }>>;
}

/** What was built from what; kept beside the manifest and never uploaded. */
interface Stamp {
  readonly program: string;
  /** Hash of the files that say how archives are made. */
  readonly recipe: string;
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version: string; readonly integrity?: string }>>;
}

/** One build at a time in this process; another process waits for nothing, it renames over the same bytes. */
let queue: Promise<unknown> = Promise.resolve();

/**
 * Builds what is missing or out of date for the given architectures and resolves to the directory
 * (dist/agent). Parts that are up to date are left alone, so that a second call takes well under a second.
 */
export function buildAgentBundle(arches: readonly Arch[]): Promise<string> {
  const result = queue.then(() => bundle(arches));
  queue = result.catch(() => undefined);
  return result;
}

async function bundle(arches: readonly Arch[]): Promise<string> {
  await mkdir(output, { recursive: true });
  const lock = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8')) as Lock;
  const old = await readJson<AgentManifest>(join(output, 'manifest.json'));
  const oldStamp = await readJson<Stamp>(join(output, 'built-from.json'));

  const ids = { x64: runtimeId(lock, 'x64'), arm64: runtimeId(lock, 'arm64') };
  const recipe = await hashOfRecipe();
  const source = await hashOfSources([recipe, ...Object.values(ids)]);
  const programIsFresh = old !== null && oldStamp?.program === source && (await intact(old.program));
  const program = programIsFresh
    ? { version: old.version, part: old.program }
    : await buildProgram(ids, await packageVersion());

  const runtimes: Partial<Record<Arch, Part & { id: string }>> = {};
  for (const arch of ['x64', 'arm64'] as const) {
    const had = old?.runtimes[arch];
    if (had?.id === ids[arch] && oldStamp?.recipe === recipe && (await intact(had))) runtimes[arch] = had;
    else if (arches.includes(arch)) runtimes[arch] = { id: ids[arch], ...(await buildRuntime(lock, arch)) };
  }

  const manifest: AgentManifest = { version: program.version, program: program.part, runtimes };
  if (JSON.stringify(manifest) !== JSON.stringify(old)) await writeWhole(join(output, 'manifest.json'), json(manifest));
  if (!programIsFresh)
    await writeWhole(join(output, 'built-from.json'), json({ program: source, recipe } satisfies Stamp));
  return output;
}

const runtimeId = (lock: Lock, arch: Arch): string =>
  `node-${locked(lock, `node-linux-${arch}`).version}-koffi-${locked(lock, 'koffi').version}-linux-${arch}`;

function locked(lock: Lock, name: string): { version: string; integrity?: string } {
  const found = lock.packages[`node_modules/${name}`];
  if (found === undefined) throw new Error(`package-lock.json does not name ${name}`);
  return found;
}

async function packageVersion(): Promise<string> {
  return (JSON.parse(await readFile(join(project, 'package.json'), 'utf8')) as { version: string }).version;
}

async function hashOfRecipe(): Promise<string> {
  const hash = createHash('sha256');
  for (const name of ['agent-bundle.ts', 'tar.ts']) hash.update(await readFile(join(project, 'build', name)));
  return hash.digest('hex');
}

/** Everything that decides the bytes of program.tar.gz. */
async function hashOfSources(others: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(others.join());
  const folders = [join(project, 'agent'), join(project, 'build', 'units')];
  const files = [join(project, 'package.json'), join(project, 'package-lock.json')];
  for (const folder of folders) {
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) files.push(join(entry.parentPath, entry.name));
    }
  }
  for (const file of files.sort()) hash.update(`\0${file.slice(project.length)}\0`).update(await readFile(file));
  return hash.digest('hex');
}

async function buildProgram(
  ids: Readonly<Record<Arch, string>>,
  packageVersion: string,
): Promise<{ version: string; part: Part }> {
  const threads = await bundled(join('mount', 'threads.ts'), {
    format: 'cjs',
    // Worker's name for a text says nothing; a line number of a stack trace is one of this text.
    footer: { js: '//# sourceURL=agent-threads.cjs' },
    // Only threads.ts itself is unbundled.
    define: { 'import.meta.url': '""' },
  });
  const agent = await bundled(join('cli', 'main.ts'), {
    format: 'esm',
    define: { RINGMASTER_THREADS: JSON.stringify(threads) },
    // Bundled CommonJS packages (commander) call require for Node's own modules.
    banner: {
      js: `import { createRequire as ringmasterRequire } from 'node:module'; const require = ringmasterRequire(import.meta.url);`,
    },
  });
  const entries: TarEntry[] = [
    { name: 'agent.mjs', mode: 0o644, data: Buffer.from(agent) },
    { name: 'ringmaster-agent', mode: 0o755, data: Buffer.from(wrapper(ids)) },
  ];
  const units = join(project, 'build', 'units');
  for (const name of (await readdir(units)).sort()) {
    entries.push({ name: `units/${name}`, mode: 0o644, data: await readFile(join(units, name)) });
  }
  const hash = createHash('sha256');
  for (const { name, data } of entries) hash.update(`${name}\0${data.length}\0`).update(data);
  const version = `${packageVersion}-${hash.digest('hex').slice(0, 8)}`;
  entries.push({ name: 'manifest.json', mode: 0o644, data: Buffer.from(json({ version, runtimes: ids })) });
  return { version, part: await pack('program.tar.gz', entries) };
}

/** `entry` of agent/ with everything it needs, as one text. */
async function bundled(entry: string, options: BuildOptions): Promise<string> {
  const { outputFiles } = await build({
    ...options,
    entryPoints: [join(project, 'agent', entry)],
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node24',
    external: ['koffi'],
    legalComments: 'inline',
    logLevel: 'warning',
  });
  const [file] = outputFiles;
  if (file === undefined) throw new Error('esbuild gave no output');
  return file.text;
}

/** The one executable of a version. It finds the runtime by the machine's architecture, relative to itself. */
const wrapper = (ids: Readonly<Record<Arch, string>>): string => `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
case $(uname -m) in
  x86_64 | amd64) runtime=${ids.x64} ;;
  aarch64 | arm64) runtime=${ids.arm64} ;;
  *) echo "ringmaster-agent: no runtime for $(uname -m)" >&2; exit 1 ;;
esac
# Compiled once per version: a start then takes a quarter less of a processor (measured: 0.27 s instead of 0.37 s).
NODE_COMPILE_CACHE="$here/compile-cache"
export NODE_COMPILE_CACHE
# Memory that is free goes back: large buffers have pages of their own, and the youngest objects 2 MiB and not 16.
MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072 MALLOC_TRIM_THRESHOLD_=131072
export MALLOC_ARENA_MAX MALLOC_MMAP_THRESHOLD_ MALLOC_TRIM_THRESHOLD_
exec "$here/../../runtimes/$runtime/node" --max-semi-space-size=2 "$here/agent.mjs" "$@"
`;

async function buildRuntime(lock: Lock, arch: Arch): Promise<Part> {
  const node = await packageFolder(lock, `node-linux-${arch}`);
  const native = `@koromix/koffi-linux-${arch}`;
  const entries: TarEntry[] = [{ name: 'node', mode: 0o755, data: await readFile(join(node, 'bin', 'node')) }];
  for (const [name, folder] of [
    ['koffi', join(modules, 'koffi')],
    [native, await packageFolder(lock, native)],
  ] as const) {
    for (const file of await shippedFiles(folder)) {
      const data = await readFile(join(folder, file));
      entries.push({ name: `node_modules/${name}/${file.replaceAll('\\', '/')}`, mode: 0o644, data });
    }
  }
  return pack(`runtime-linux-${arch}.tar.gz`, entries);
}

/** Of koffi and its native package only what runs: sources, documents and the musl build stay here. */
async function shippedFiles(folder: string): Promise<string[]> {
  const runs = /^(package\.json|LICENSE\.txt|index\.c?js|src[\\/]koffi[\\/].*\.c?js|linux_[a-z0-9]+[\\/]koffi\.node)$/;
  const all = (await readdir(folder, { recursive: true })).filter((file) => runs.test(file));
  return all.sort();
}

/** Where an npm package lies: in node_modules, or unpacked from `npm pack` below dist/cache. */
async function packageFolder(lock: Lock, name: string): Promise<string> {
  const installed = join(modules, name);
  if (existsSync(join(installed, 'package.json'))) return installed;
  const { version, integrity } = locked(lock, name);
  const unpacked = join(cache, `${name.replaceAll('/', '-')}-${version}`);
  if (existsSync(join(unpacked, 'package', 'package.json'))) return join(unpacked, 'package');
  if (integrity === undefined) throw new Error(`package-lock.json has no checksum for ${name}`);
  const incoming = `${unpacked}.${process.pid}`;
  await rm(incoming, { recursive: true, force: true });
  await mkdir(incoming, { recursive: true });
  try {
    // npm is a .cmd file on Windows, which only a shell starts; no argument holds anything a shell reads.
    const packed = await run('npm', ['pack', `${name}@${version}`, '--json', '--silent'], {
      cwd: incoming,
      shell: process.platform === 'win32',
      maxBuffer: 16 * 1024 * 1024,
    });
    const archive = (await readdir(incoming)).find((file) => file.endsWith('.tgz'));
    if (archive === undefined) throw new Error(`npm pack ${name}@${version} left no archive: ${packed.stderr}`);
    const found = `sha512-${await hashOf(join(incoming, archive), 'sha512', 'base64')}`;
    if (found !== integrity) throw new Error(`${name}@${version} has checksum ${found}, not ${integrity}: not used`);
    await run('tar', ['-xzf', archive], { cwd: incoming });
    await rm(join(incoming, archive));
    await rm(unpacked, { recursive: true, force: true });
    await rename(incoming, unpacked);
  } catch (error) {
    await rm(incoming, { recursive: true, force: true });
    throw new Error(`the package ${name}@${version} could not be had: ${(error as Error).message}`, { cause: error });
  }
  return join(unpacked, 'package');
}

async function pack(name: string, entries: readonly TarEntry[]): Promise<Part> {
  const file = join(output, name);
  const partial = `${file}.${process.pid}`;
  await pipeline(Readable.from(tarOf(entries)), createGzip({ level: 6 }), createWriteStream(partial));
  await rename(partial, file);
  return { file: name, sha256: await hashOf(file, 'sha256', 'hex'), bytes: (await stat(file)).size };
}

async function intact(part: Part): Promise<boolean> {
  const file = join(output, basename(part.file));
  const found = await stat(file).catch(() => null);
  return found?.size === part.bytes && (await hashOf(file, 'sha256', 'hex')) === part.sha256;
}

async function hashOf(file: string, algorithm: string, encoding: 'hex' | 'base64'): Promise<string> {
  const hash = createHash(algorithm);
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest(encoding);
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

async function readJson<T>(file: string): Promise<T | null> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as T;
  } catch {
    return null;
  }
}

async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(`${file}.${process.pid}`, text);
  await rename(`${file}.${process.pid}`, file);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const asked = process.argv.slice(2);
  const arches = (['x64', 'arm64'] as const).filter((arch) => asked.length === 0 || asked.includes(arch));
  const begun = Date.now();
  const directory = await buildAgentBundle(arches);
  const manifest = JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8')) as AgentManifest;
  console.log(`agent ${manifest.version} for ${arches.join(', ')} in ${directory} (${Date.now() - begun} ms)`);
}
