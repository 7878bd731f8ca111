/** A changed corosync.conf is brought into effect: validated, compared, written through the tree, waited for. */
import { semanticDiff } from '../conf/index.ts';
import type { ApplyOutcome, ApplyRequest } from '../rpc/api.ts';
import { refuseErrors, writableConf } from './add-node.ts';
import { CHANGED, modelOf, replaceTreeConf, waitForRunningVersion } from './conf-write.ts';
import type { NodePorts } from './ports.ts';
import { Procedure, sentence } from './procedure.ts';
import type { Watcher } from './procedure.ts';

/** Applies the text. Rejects with a sentence for a person; up to the rename nothing has changed then. */
export async function applyConf(ports: NodePorts, request: ApplyRequest, watcher: Watcher): Promise<ApplyOutcome> {
  const { mount } = ports.paths;
  const procedure = new Procedure(
    [
      { id: 'validate', title: 'Check the new corosync.conf', command: null },
      { id: 'compare', title: 'Check that nobody changed it meanwhile', command: `sha256sum ${mount}/corosync.conf` },
      {
        id: 'write',
        title: 'Write corosync.conf.new, keep corosync.conf.bak, rename',
        command:
          `editor ${mount}/corosync.conf.new && cp ${mount}/corosync.conf ${mount}/corosync.conf.bak && ` +
          `mv ${mount}/corosync.conf.new ${mount}/corosync.conf`,
      },
      { id: 'reload', title: 'Wait until this node runs the new version', command: 'corosync-cfgtool -R' },
    ],
    watcher,
  );
  try {
    const version = await procedure.step('validate', (say) => {
      refuseErrors(ports, request.text);
      const found = modelOf(request.text).totem.configVersion;
      if (found === null) throw new Error('config_version is missing');
      say(`no errors; config_version ${found}`);
      return found;
    });
    const base = await procedure.step('compare', async (say) => {
      const text = await writableConf(ports);
      if (ports.digest(text) !== request.baseDigest) throw new Error(CHANGED);
      const present = modelOf(text).totem.configVersion ?? 0;
      if (version <= present) {
        throw new Error(`config_version must be higher than ${present}, which the cluster runs; it is ${version}`);
      }
      for (const change of semanticDiff(text, request.text)) say(change.sentence);
      return text;
    });
    await procedure.step('write', (say) => replaceTreeConf(ports, base, request.text, say));
    await procedure.step('reload', (say) => waitForRunningVersion(ports, watcher.signal, version, say));
    const changes = semanticDiff(base, request.text);
    ports.log('notice', `${request.author} applied corosync.conf version ${version}`);
    return {
      configVersion: version,
      live: changes.filter((change) => change.effect === 'live').map((change) => change.sentence),
      needsRestart: changes.filter((change) => change.effect === 'restart').map((change) => change.sentence),
    };
  } catch (error) {
    procedure.end();
    ports.log('error', `applying corosync.conf for ${request.author} failed: ${sentence(error)}`);
    throw error;
  }
}
