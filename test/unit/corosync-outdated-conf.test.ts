/** A node that was away comes back with a file of an older config_version. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutOutdatedVersion } from '../../agent/engine/corosync/outdated-conf.ts';

const CONF = 'totem {\n  version: 2\n  config_version: 3\n}\n';
const WORDS = 'error   [CMAP  ] Received config version (5) is different than my config version (3)! Exiting\n';

test('it starts without its number once Corosync has named the difference, and with it otherwise', () => {
  assert.equal(withoutOutdatedVersion(CONF, WORDS), 'totem {\n  version: 2\n}\n');
  assert.equal(withoutOutdatedVersion(CONF, 'error   [TOTEM ] something else'), null);
  assert.equal(withoutOutdatedVersion('totem {\n  version: 2\n}\n', WORDS), null);
});
