/** The environment of a rootless node: a directory for a root, a loopback address, no mount. */
import { join } from 'node:path';
import { SYSTEM_PATH } from '../run.ts';

/** Variables of the caller that its programs may need and that say nothing about where they run. */
const INHERITED = ['TERM', 'COLORTERM', 'LANG', 'USER', 'LOGNAME', 'TZ', 'TMPDIR', 'NODE_EXTRA_CA_CERTS'];

/** `root` is the node's directory, absolute. */
export function nodeEnvironment(root: string, name: string): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {
    RINGMASTER_ROOT: root,
    RINGMASTER_HOSTNAME: name,
    HOME: join(root, 'root'),
    PATH: `${join(root, 'usr/local/bin')}:${process.env['PATH'] ?? ''}:${SYSTEM_PATH}`,
    SHELL: '/bin/sh',
  };
  for (const variable of INHERITED) {
    if (process.env[variable] !== undefined) env[variable] = process.env[variable];
  }
  return env;
}
