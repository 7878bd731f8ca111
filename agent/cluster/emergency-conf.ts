/**
 * corosync.conf without quorum, as the chapter has it ("Write Configuration When Not Quorate"): the node's own
 * copy is replaced and its engine restarted; once there is quorum again, the tree gets the same file.
 */
import { readTreeConf, replaceTreeConf, versionOf } from './conf-write.ts';
import { refuseErrors } from './add-node.ts';
import type { NodePorts } from './ports.ts';
import { Procedure, sentence, type Watcher } from './procedure.ts';
import { engineStatus, waitFor, whyNotWritable } from './waiting.ts';

/** A ring of Corosync with nine nodes forms in 8 s (measured). */
const RING_MS = 30_000;

/** Replaces the local file and restarts the engine. Resolves to the digest of what is on disk then. */
export async function installLocalConf(
  ports: NodePorts,
  request: { readonly text: string; readonly author: string },
  watcher: Watcher,
): Promise<{ readonly digest: string }> {
  const { conf } = ports.paths;
  const procedure = new Procedure(
    [
      { id: 'look', title: 'Check that it is needed', command: 'pvecm status' },
      { id: 'local', title: `Replace ${conf}`, command: `cp ${conf} ${conf}.bak && editor ${conf}` },
      { id: 'engine', title: 'Restart the cluster engine', command: ports.services.command('restart', 'engine') },
    ],
    watcher,
  );
  try {
    await procedure.step('look', async (say) => {
      refuseErrors(ports, request.text);
      const status = await engineStatus(ports);
      if (status?.quorum.quorate === true && status.state.kind !== 'down') {
        throw new Error('this node has quorum: apply the file the usual way, which goes back by itself');
      }
      const own = versionOf(ports.files.readConf()) ?? 0;
      const next = versionOf(request.text) ?? 0;
      if (next < own)
        throw new Error(`config_version ${next} is lower than this node's ${own}: its engine would not join`);
      say(status === null ? 'there is no corosync.conf here' : 'no quorum');
    });
    const digest = await procedure.step('local', (say) => {
      ports.files.backUpConf();
      ports.files.writeConf(request.text);
      const found = ports.digest(ports.files.readConf() ?? '');
      say(`version ${versionOf(request.text) ?? 'none'}, ${found.slice(0, 12)}; the old file is ${conf}.bak`);
      return found;
    });
    await procedure.step('engine', () => ports.services.restart('engine'));
    ports.log('warning', `${request.author} replaced ${conf} by hand while there was no quorum`);
    return { digest };
  } catch (error) {
    procedure.end();
    ports.log('error', `replacing ${conf} for ${request.author} failed: ${sentence(error)}`);
    throw error;
  }
}

/** Waits until the tree takes writes, and puts this node's file there where the tree's is another. */
export async function publishLocalConf(ports: NodePorts, watcher: Watcher): Promise<void> {
  const procedure = new Procedure(
    [
      { id: 'quorum', title: 'Wait for quorum', command: 'pvecm status' },
      { id: 'tree', title: 'Put the same file into the tree', command: `cp ${ports.paths.conf} ${ports.paths.mount}/` },
    ],
    watcher,
  );
  try {
    await procedure.step('quorum', () =>
      waitFor(ports, watcher.signal, RING_MS, 'the tree did not become writable', async () => {
        const reason = await whyNotWritable(ports);
        return reason === null ? { found: null } : { missing: reason };
      }),
    );
    await procedure.step('tree', async (say) => {
      const [local, tree] = [ports.files.readConf(), await readTreeConf(ports)];
      if (local === null) throw new Error(`there is no ${ports.paths.conf}`);
      if (local === tree) return say('it is there already');
      return replaceTreeConf(ports, tree, local, say);
    });
  } catch (error) {
    procedure.end();
    throw error;
  }
}
