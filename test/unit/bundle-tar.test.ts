import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { buildAgentBundle } from '../../build/agent-bundle.ts';
import type { AgentManifest } from '../../build/agent-bundle.ts';
import { tarOf } from '../../build/tar.ts';

const arch = process.arch === 'arm64' ? 'arm64' : 'x64';

describe('archives of the agent bundle', () => {
  test('tar unpacks what was packed, with modes and long paths', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ringmaster-tar-'));
    try {
      const deep = `${'folder/'.repeat(20)}file.txt`;
      const entries = [
        { name: 'run', mode: 0o755, data: Buffer.from('#!/bin/sh\n') },
        { name: deep, mode: 0o644, data: Buffer.alloc(513, 'x') },
        { name: 'empty', mode: 0o600, data: Buffer.alloc(0) },
      ];
      writeFileSync(join(folder, 'a.tar'), Buffer.concat([...tarOf(entries)]));
      const words = execFileSync('tar', ['-xf', 'a.tar'], { cwd: folder, encoding: 'utf8', stdio: 'pipe' });
      assert.equal(words, '');
      for (const { name, mode, data } of entries) {
        assert.deepEqual(readFileSync(join(folder, name)), data);
        assert.equal(statSync(join(folder, name)).mode & 0o777, mode);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('a path that no tar header holds is refused', () => {
    assert.throws(() => [...tarOf([{ name: 'x'.repeat(101), mode: 0o644, data: Buffer.alloc(0) }])], RangeError);
  });
});

describe('the agent bundle', () => {
  test('runs from where it is unpacked, and is not built twice', async () => {
    const output = await buildAgentBundle([arch]);
    const begun = Date.now();
    await buildAgentBundle([arch]);
    assert.ok(Date.now() - begun < 1000, 'a second call takes less than a second');

    const manifest = JSON.parse(readFileSync(join(output, 'manifest.json'), 'utf8')) as AgentManifest;
    const runtime = manifest.runtimes[arch];
    assert.ok(runtime !== undefined);
    const home = mkdtempSync(join(tmpdir(), 'ringmaster-bundle-'));
    try {
      const at = { agent: join(home, 'agents', manifest.version), runtime: join(home, 'runtimes', runtime.id) };
      execFileSync('mkdir', ['-p', at.agent, at.runtime]);
      execFileSync('tar', ['-xzf', join(output, manifest.program.file), '-C', at.agent]);
      execFileSync('tar', ['-xzf', join(output, runtime.file), '-C', at.runtime]);
      const version = execFileSync(join(at.agent, 'ringmaster-agent'), ['version'], { encoding: 'utf8' });
      assert.equal(version, `${manifest.version}\n`);
      const load = `import('koffi').then((koffi) => console.log(koffi.default.version))`;
      const koffi = execFileSync(join(at.runtime, 'node'), ['-e', load], { cwd: at.runtime, encoding: 'utf8' });
      assert.match(koffi, /^\d+\.\d+\.\d+\n$/);
    } finally {
      rmSync(home, { recursive: true });
    }
  });
});
