/** What a node says about itself, put together from its daemons and its system. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { openApply } from '../cluster/apply/apply-view.ts';
import { modelOf, versionOf } from '../cluster/conf-write.ts';
import { agentVersion } from '../cluster/installation.ts';
import type { NodePorts } from '../cluster/ports.ts';
import type { FileSystemStatus } from '../mount/control.ts';
import type { ConfFile, NetworkAddress, NodeReport, ServiceState } from './api.ts';

/** `PRETTY_NAME` of os-release(5). */
export function osName(): string {
  for (const file of ['/etc/os-release', '/usr/lib/os-release']) {
    try {
      const line = /^PRETTY_NAME=(.*)$/m.exec(readFileSync(file, 'utf8'))?.[1];
      if (line !== undefined) return line.replace(/^(["'])(.*)\1$/, '$2');
    } catch {
      continue;
    }
  }
  return 'Linux';
}

/** Every address other nodes could use; a rootless lab node's loopback addresses are those of its nodelist. */
export function networkAddresses(): NetworkAddress[] {
  const found: NetworkAddress[] = [];
  for (const [name, list] of Object.entries(networkInterfaces())) {
    for (const { address, cidr, family, internal } of list ?? []) {
      const linkLocal = address.startsWith('fe80:');
      if (internal || linkLocal) continue;
      const prefix = Number(cidr?.split('/')[1] ?? 0);
      found.push({ interface: name, address, prefix, family: family === 'IPv6' ? 6 : 4 });
    }
  }
  return found;
}

/** `fileSystem` is passed in, because its changes are pushed by pmxcfs and need no question. */
export async function composeReport(ports: NodePorts, fileSystem: FileSystemStatus | null): Promise<NodeReport> {
  return {
    hostname: ports.hostname,
    agentVersion: agentVersion(),
    os: osName(),
    supervision: ports.services.supervision,
    clockMs: Date.now(),
    addresses: networkAddresses(),
    services: await ports.services.list().catch((error: unknown) => notSupervised(error)),
    engine: ports.engine.status(),
    fileSystem,
    localConfigVersion: versionOf(readConfOrNull(ports)),
    apply: fileSystem?.mode === 'cluster' ? await openApply(ports) : null,
  };
}

function readConfOrNull(ports: NodePorts): string | null {
  try {
    return ports.files.readConf();
  } catch {
    return null;
  }
}

function notSupervised(error: unknown): ServiceState[] {
  const reason = error instanceof Error ? error.message : String(error);
  return (['engine', 'pmxcfs'] as const).map((name) => ({ name, state: 'failed', pid: null, restarts: 0, reason }));
}

/** Text with its digest and version, as the editor opens it. */
export function confFile(bytes: Buffer): ConfFile {
  const text = bytes.toString('utf8');
  return {
    text,
    digest: createHash('sha256').update(bytes).digest('hex'),
    configVersion: modelOf(text).totem.configVersion,
  };
}
