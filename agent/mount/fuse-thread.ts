/**
 * The thread that serves the kernel: it reads one request after the other, blocking, and answers reads
 * from its own copy of the tree. Changes go to the replicating thread, which answers them itself
 * (measured: passing every request to another thread costs half the speed).
 */
import { readSync } from 'node:fs';
import { parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { modeOf } from '../tree/presentation.ts';
import { splitPath } from '../tree/names.ts';
import { treeOf } from '../tree/snapshot.ts';
import { Tree } from '../tree/tree.ts';
import type { TreeNode } from '../tree/types.ts';
import { reply } from './fuse/device-writes.ts';
import { Handles } from './fuse/handles.ts';
import { READ_BUFFER } from './fuse/init.ts';
import type { FromServing, ServingData, ToServing } from './fuse/messages.ts';
import { Moved } from './fuse/moved.ts';
import { decodeRequest, failure } from './fuse/protocol.ts';
import { differences, eventsOf, WatchedInodes, type RemoteEvent } from './fuse/remote-events.ts';
import { mayRename } from './fuse/rename-callers.ts';
import { Serving } from './fuse/serving.ts';
import { TreeView } from './fuse/view.ts';
import { sharedNow, Waiting } from './fuse/waiting.ts';
import { VirtualFiles } from './virtual/virtual-files.ts';

/** Runs until the mount is taken away. `data` is the Worker's workerData. */
export function runFuseThread(data: unknown): void {
  const { fd, hostname, startTimeS, waiting } = data as ServingData; // set by fuse-mount.ts, nobody else
  const port = parentPort;
  if (port === null) throw new Error('this runs in a worker thread only');
  const tell = (message: FromServing): void => port.postMessage(message);
  const table = new Waiting(waiting);
  const handles = new Handles();
  const virtual = new VirtualFiles(startTimeS);
  const view: TreeView = new TreeView(new Tree(), {
    hostname,
    virtual: (name): Uint8Array | null => virtual.contents(name, view.tree),
    orphan: (inode) => handles.orphan(inode),
  });
  const moved = new Moved(sharedNow, mayRename);
  const serving = new Serving(
    view,
    handles,
    moved,
    {
      reply: (bytes) => reply(fd, bytes),
      submit: (unique, operation, answer) => {
        if (unique === 0n) return tell({ kind: 'operation', waiting: null, operation, answer });
        const place = table.begin(unique, sharedNow());
        if (place === null) return reply(fd, failure(unique, 'EAGAIN'));
        tell({ kind: 'operation', waiting: { unique, place }, operation, answer });
      },
      interrupt: (unique) => table.interrupt(unique, sharedNow()),
      debug: (on) => {
        virtual.take({ kind: 'debug', on });
        tell({ kind: 'debug', on });
      },
    },
    (features) => tell({ kind: 'initialized', features }),
  );
  const watched = new WatchedInodes();
  const happened = (events: readonly RemoteEvent[]): void => {
    const concerned = watched.concerned(events, sharedNow());
    if (concerned.length === 0) return;
    serving.expect(concerned, sharedNow());
    tell({ kind: 'happened', events: concerned });
  };
  const copy: Copy = { view, handles, virtual, serving, moved, watched, happened };
  const learn = (): void => {
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      take(next.message as ToServing, copy);
      table.noteTaken();
    }
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
      // ECONNABORTED: the connection was broken off, by umount -f or by the kernel's own timeout.
      const unmounted = code === 'ENODEV' || code === 'ECONNABORTED';
      tell({ kind: 'ended', error: unmounted ? null : String(error) });
      return;
    }
    moved.requested();
    learn();
    if (!serving.take(decodeRequest(buffer.subarray(0, length)))) {
      tell({ kind: 'ended', error: null });
      return;
    }
  }
}

interface Copy {
  readonly view: TreeView;
  readonly handles: Handles;
  readonly virtual: VirtualFiles;
  readonly serving: Serving;
  readonly moved: Moved;
  readonly watched: WatchedInodes;
  happened(events: readonly RemoteEvent[]): void;
}

function take(message: ToServing, copy: Copy): void {
  const { view, handles, virtual, serving } = copy;
  switch (message.kind) {
    case 'all': {
      const tree = treeOf(message.nodes, message.nextInode);
      if (!tree.ok) throw new Error(`the replica sent no tree: ${tree.error}`);
      if (!copy.watched.isEmpty) copy.happened(differences(view.tree, tree.value, copy.watched.all));
      for (const before of view.tree.all()) {
        const now = tree.value.get(before.inode);
        if (now !== undefined && isMoved(before, now)) copy.moved.note(now.inode);
      }
      view.tree = tree.value;
      virtual.noteAll(view.tree);
      return serving.allChanged();
    }
    case 'change':
      return change(message, copy);
    case 'writable':
      view.writable = message.writable;
      return;
    case 'virtual':
      virtual.take(message.part);
      return serving.folderChanged(1);
    case 'watched':
      return copy.watched.set(message.watched);
    case 'replay':
      return serving.replay(message.pid, message.event);
    case 'opened': {
      const handle = handles.get(message.handle);
      if (message.inode === null) return handles.close(message.handle);
      handles.created(message.handle, message.inode);
      if (handle === undefined || !message.hasContents) return;
      // It was there before after all: cut off where that was asked for, else written to as it is.
      if (handle.truncates) handle.dirty = true;
      else handle.buffer = null;
    }
  }
}

function change(message: Extract<ToServing, { kind: 'change' }>, copy: Copy): void {
  const { view, handles, virtual, serving } = copy;
  const { tree } = view;
  // Of what is done through the mount the kernel tells by itself.
  if (!message.own && !copy.watched.isEmpty) copy.happened(eventsOf(tree, message.put, message.removed));
  for (const inode of message.removed) {
    const node = tree.get(inode);
    if (node === undefined) continue;
    if (message.own && node.kind === 'file' && handles.isOpen(inode)) handles.addOrphan(node, modeAt(tree, node));
    serving.folderChanged(node.parent);
    tree.remove(inode);
    serving.forget(inode);
  }
  for (const { node, contents } of message.put) {
    const before = tree.get(node.inode);
    tree.put(contents || before === undefined ? node : { ...node, data: before.data });
    if (before === undefined) serving.folderChanged(node.parent);
    else if (isMoved(before, node)) {
      // Of what is done through the mount the kernel knows the new name.
      if (!message.own) copy.moved.note(node.inode);
      serving.folderChanged(before.parent);
      serving.folderChanged(node.parent);
    }
  }
  virtual.noteChange(tree, message.paths);
}

const isMoved = (before: TreeNode, now: TreeNode): boolean => before.parent !== now.parent || before.name !== now.name;

function modeAt(tree: Tree, node: TreeNode): number {
  const names = splitPath(tree.pathOf(node.inode) ?? '');
  return modeOf(names.ok ? names.value : [], node.kind, true);
}
