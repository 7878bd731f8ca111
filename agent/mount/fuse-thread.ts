/**
 * The thread that serves the kernel: it reads one request after the other, blocking, and answers reads
 * from its own copy of the tree. Changes go to the replicating thread, which answers them itself
 * (measured: passing every request to another thread costs half the speed).
 */
import { readSync, writeSync } from 'node:fs';
import { parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { treeOf } from '../tree/snapshot.ts';
import { Tree } from '../tree/tree.ts';
import { Handles } from './fuse/handles.ts';
import type { FromServing, ServingData, ToServing } from './fuse/messages.ts';
import { decodeRequest, READ_BUFFER } from './fuse/protocol.ts';
import { Serving } from './fuse/serving.ts';
import { TreeView } from './fuse/view.ts';

/** Runs until the mount is taken away. `data` is the Worker's workerData. */
export function runFuseThread(data: unknown): void {
  const { fd, hostname } = data as ServingData; // set by fuse-mount.ts, nobody else
  const port = parentPort;
  if (port === null) throw new Error('this runs in a worker thread only');
  const tell = (message: FromServing): void => port.postMessage(message);
  const view = new TreeView(new Tree(), hostname);
  const handles = new Handles();
  const serving = new Serving(view, handles, {
    reply: (bytes) => reply(fd, bytes),
    submit: (unique, operation, answer) => tell({ kind: 'operation', unique, operation, answer }),
  });
  const learn = (): void => {
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port))
      take(next.message as ToServing, view, handles);
  };
  const buffer = Buffer.alloc(READ_BUFFER);
  for (;;) {
    let length: number;
    try {
      length = readSync(fd, buffer);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : '';
      // ENOENT: the request was interrupted before it was read. EINTR, EAGAIN: try again.
      if (code === 'ENOENT' || code === 'EINTR' || code === 'EAGAIN') continue;
      tell({ kind: 'ended', error: code === 'ENODEV' ? null : String(error) });
      return;
    }
    learn();
    if (!serving.take(decodeRequest(buffer.subarray(0, length)))) {
      tell({ kind: 'ended', error: null });
      return;
    }
  }
}

/** The caller may have been killed meanwhile (ENOENT): then nobody wants the answer. */
export function reply(fd: number, bytes: Uint8Array): void {
  try {
    writeSync(fd, bytes);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (code !== 'ENOENT' && code !== 'ENODEV') throw error;
  }
}

function take(message: ToServing, view: TreeView, handles: Handles): void {
  switch (message.kind) {
    case 'all': {
      const tree = treeOf(message.nodes, message.nextInode);
      if (!tree.ok) throw new Error(`the replica sent no tree: ${tree.error}`);
      view.tree = tree.value;
      return;
    }
    case 'change':
      for (const inode of message.removed) view.tree.remove(inode);
      for (const node of message.put) view.tree.put(node);
      return;
    case 'writable':
      view.writable = message.writable;
      return;
    case 'virtual':
      view.setVirtual(message.name, message.contents);
      return;
    case 'opened': {
      const handle = handles.get(message.handle);
      if (message.inode === null) handles.close(message.handle);
      else if (handle !== undefined) handle.inode = message.inode;
    }
  }
}
