/** `.members`, byte for byte as pmxcfs writes it (measured). Pure. */
import type { EngineStatus } from '../../engine/engine.ts';

/** `version` counts the changes of the contents; local mode has 0. */
export function membersFile(hostname: string, status: EngineStatus | null, version: number): string {
  if (status === null) return `{\n"nodename": ${JSON.stringify(hostname)},\n"version": 0\n}\n`;
  const { clusterName, configVersion, members, quorum } = status;
  const nodes = members.map((member) => {
    const name = JSON.stringify(member.name ?? String(member.nodeId));
    const online = member.state === 'member' ? 1 : 0;
    const ip = JSON.stringify(member.addresses[0]?.address ?? '');
    return `  ${name}: { "id": ${member.nodeId}, "online": ${online}, "ip": ${ip}}`;
  });
  const cluster =
    `"cluster": { "name": ${JSON.stringify(clusterName)}, "version": ${configVersion}, ` +
    `"nodes": ${members.length}, "quorate": ${quorum.quorate ? 1 : 0} },`;
  const head = `{\n"nodename": ${JSON.stringify(hostname)},\n"version": ${version},\n${cluster}\n"nodelist": {\n`;
  return `${head}${nodes.join(',\n')}\n  }\n}\n`;
}
