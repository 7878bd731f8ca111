/** The check that holds the arrows between rooms must itself be able to fail. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, cpSync, writeFileSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';

const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Runs the arrows check on a small house of the given files; returns its report. */
function arrows(files: Record<string, string>): { code: number | null; report: string } {
  const house = mkdtempSync(join(tmpdir(), 'ringmaster-arrows-'));
  try {
    for (const name of ['build/arrows.cjs', 'tsconfig.json', 'tsconfig.base.json']) {
      mkdirSync(dirname(join(house, name)), { recursive: true });
      cpSync(join(project, name), join(house, name));
    }
    symlinkSync(join(project, 'node_modules'), join(house, 'node_modules'));
    writeFileSync(join(house, 'package.json'), '{"type":"module"}');
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(house, name)), { recursive: true });
      writeFileSync(join(house, name), text);
    }
    const depcruise = join(project, 'node_modules', '.bin', 'depcruise');
    const rooms = [...new Set(Object.keys(files).map((name) => name.split('/')[0] ?? name))];
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [depcruise, '--config', 'build/arrows.cjs', ...rooms],
      { cwd: house, encoding: 'utf8' },
    );
    return { code: status, report: stdout + stderr };
  } finally {
    rmSync(house, { recursive: true, force: true });
  }
}

const fails = (name: string, rule: string, files: Record<string, string>): void => {
  test(name, () => {
    const { code, report } = arrows(files);
    assert.notEqual(code, 0, report);
    assert.match(report, new RegExp(rule));
  });
};

test('imports along the arrows pass', () => {
  const { code, report } = arrows({
    'agent/totem/ring.ts': 'export const ring = 1;\n',
    'agent/engine/daemon.ts':
      "import { ring } from '../totem/ring.ts';\nimport 'node:dgram';\nexport const daemon = ring;\n",
    'agent/cluster/join.ts': "import { daemon } from '../engine/daemon.ts';\nexport const join = daemon;\n",
    'agent/cli/pvecm.ts': "import { join } from '../cluster/join.ts';\nexport const pvecm = join;\n",
  });
  assert.equal(code, 0, report);
});

fails('a pure room may not import a node: module', 'pure-rooms-have-no-edges', {
  'agent/totem/ring.ts': "import 'node:fs';\n",
});
fails('the engine may not know the procedures above it', 'engine-and-mount-rest-on-pure-rooms', {
  'agent/cluster/join.ts': 'export const join = 1;\n',
  'agent/engine/daemon.ts': "import { join } from '../cluster/join.ts';\nexport const daemon = join;\n",
});
fails('the agent may not import the desktop', 'agent-stands-alone', {
  'electron/host/app.ts': 'export const app = 1;\n',
  'agent/cli/main.ts': "import { app } from '../../electron/host/app.ts';\nexport const main = app;\n",
});
fails('the renderer may not import code of the host', 'renderer-takes-only-types-of-host', {
  'electron/host/api.ts': 'export const api = 1;\n',
  'renderer/main.ts': "import { api } from '../electron/host/api.ts';\nexport const main = api;\n",
});
fails('the host may not import an engine', 'host-speaks-to-agents-by-rpc', {
  'agent/engine/daemon.ts': 'export const daemon = 1;\n',
  'electron/host/app.ts': "import { daemon } from '../../agent/engine/daemon.ts';\nexport const app = daemon;\n",
});
fails('a package imported by a pure room is an edge too', 'pure-rooms-have-no-edges', {
  'agent/tree/tree.ts': "import { z } from 'zod';\nexport const tree = z;\n",
});
