/**
 * How those behind come to the leader's state: each says which entries it has, by inode and hash; the leader
 * sends what any of them lacks, and which of theirs are not its own. Both in paced pieces (paced.ts), beside
 * the operations of a view that does not wait for it. What is sent is the state that the plan was made of;
 * the operations since then the receiver has heard itself.
 */
import { err, type Result } from '../result.ts';
import type { NodeId } from '../totem/ids.ts';
import { ByteWriter, type ByteReader } from '../tree/bytes.ts';
import { decoded } from '../tree/decoded.ts';
import { hashOf, readNode, SMALLEST_NODE, treeOf, writeNode, type Hash } from '../tree/snapshot.ts';
import type { Tree } from '../tree/tree.ts';
import type { TreeNode } from '../tree/types.ts';
import { Database, readRest, writeRest, type DatabaseRest } from './database.ts';
import type { ReplicaConfig } from './types.ts';
import type { DifferenceMessage, InventoryMessage, OperationMessage } from './messages.ts';
import { BLOCKS_A_PIECE, packed, unpacked, type Compression } from './packed.ts';
import { PacedReceiver, PacedSender, type Piece } from './paced.ts';

/** Bytes of an entry's hash in an inventory. A chance match shows in the digest of the whole. */
const SHORT_HASH = 8;
const INVENTORY_ENTRY = 8 + SHORT_HASH;
/** Entries of an inventory that are made at once. */
const AT_ONCE = 1024;

type TransferConfig = Pick<ReplicaConfig, 'hash' | 'pieceBytes' | 'compression'>;

/** The whole state at one place of the history; its entries never change in place. */
interface Frozen {
  readonly nodes: readonly TreeNode[];
  readonly rest: DatabaseRest;
}

const shortHash = (node: TreeNode, hash: Hash): bigint => {
  const value = hashOf(node, hash);
  return new DataView(value.buffer, value.byteOffset, value.byteLength).getBigUint64(0);
};

function* inventoryOf(nodes: readonly TreeNode[], hash: Hash): Generator<Uint8Array> {
  for (let from = 0; from < nodes.length; from += AT_ONCE) {
    const out = new ByteWriter(AT_ONCE * INVENTORY_ENTRY);
    for (const node of nodes.slice(from, from + AT_ONCE)) {
      out.integer(node.inode);
      out.raw(hashOf(node, hash).subarray(0, SHORT_HASH));
    }
    yield out.done();
  }
}

/** Inode and hash of each entry; what is no inventory counts as an empty one, and everything is sent. */
function readInventory(bytes: Uint8Array): Map<number, bigint> {
  const read = (input: ByteReader): Map<number, bigint> => {
    const entries = new Map<number, bigint>();
    for (let count = bytes.length / INVENTORY_ENTRY; count > 0; count -= 1) {
      const inode = input.count();
      const hash = input.raw(SHORT_HASH);
      entries.set(inode, new DataView(hash.buffer, hash.byteOffset, SHORT_HASH).getBigUint64(0));
    }
    return entries;
  };
  const entries = decoded(bytes, read);
  return entries.ok ? entries.value : new Map<number, bigint>();
}

function* differenceOf(
  { nodes, rest }: Frozen,
  inventories: readonly ReadonlyMap<number, bigint>[],
  hash: Hash,
): Generator<Uint8Array> {
  const lacks = (node: TreeNode): boolean =>
    inventories.some((inventory) => inventory.get(node.inode) !== shortHash(node, hash));
  const missing = nodes.filter(lacks);
  const ours = new Set(nodes.map((node) => node.inode));
  const foreign = new Set<number>();
  for (const inventory of inventories) for (const inode of inventory.keys()) if (!ours.has(inode)) foreign.add(inode);
  const head = new ByteWriter();
  writeRest(head, rest);
  head.u32(foreign.size);
  for (const inode of foreign) head.integer(inode);
  head.u32(missing.length);
  yield head.done();
  for (const node of missing) {
    const out = new ByteWriter(node.data.length + 128);
    writeNode(out, node);
    yield out.done();
  }
}

/** The leader's side, for all who are behind. */
export class Sending {
  private readonly frozen: Frozen;
  private readonly config: TransferConfig;
  private readonly incoming: Map<NodeId, PacedReceiver>;
  private readonly inventories: ReadonlyMap<number, bigint>[] = [];
  private sender: PacedSender | null = null;

  constructor(database: Database, behind: ReadonlySet<NodeId>, config: TransferConfig) {
    this.frozen = { nodes: [...database.tree.all()], rest: database.rest() };
    this.config = config;
    this.incoming = new Map([...behind].map((node) => [node, new PacedReceiver()]));
  }

  /** What is to be sent once the last inventory is there. */
  inventory(sender: NodeId, message: InventoryMessage): Piece[] {
    const whole = this.incoming.get(sender)?.add(message) ?? null;
    if (whole === null || this.sender !== null) return [];
    this.incoming.delete(sender);
    this.inventories.push(readInventory(whole));
    if (this.incoming.size > 0) return [];
    const { hash, pieceBytes, compression } = this.config;
    const difference = differenceOf(this.frozen, this.inventories, hash);
    this.sender =
      compression === undefined
        ? new PacedSender(difference, pieceBytes)
        : new PacedSender(packed(difference, compression), pieceBytes, BLOCKS_A_PIECE);
    return this.sender.due();
  }

  delivered(): Piece[] {
    return this.sender?.delivered() ?? [];
  }
}

/** Most bytes of operations kept for a state that is still on its way. */
const MOST_HEARD = 256 * 1024 * 1024;

/** An operation that was delivered while the state it belongs on was on its way. */
export interface Heard {
  readonly sender: NodeId;
  readonly message: OperationMessage;
}

/** The side of one that is behind. */
export class CatchingUp {
  /** The leader's state, complete and checked, as it was before the epoch began. */
  state: Database | null = null;
  readonly heard: Heard[] = [];
  private readonly before: Tree;
  private readonly digest: Uint8Array;
  private readonly hash: Hash;
  private readonly compression: Compression | undefined;
  private readonly inventory: PacedSender;
  private readonly incoming = new PacedReceiver();
  private heardBytes = 0;

  /** `before`: what this node has; `digest`: the leader's. */
  constructor(before: Tree, digest: Uint8Array, { hash, pieceBytes, compression }: TransferConfig) {
    this.before = before;
    this.compression = compression;
    this.digest = digest;
    this.hash = hash;
    this.inventory = new PacedSender(inventoryOf([...before.all()], hash), pieceBytes);
  }

  begin(): Piece[] {
    return this.inventory.due();
  }
  inventoryDelivered(): Piece[] {
    return this.inventory.delivered();
  }

  /** Keeps it for later. False when there is no room for more. */
  hear(sender: NodeId, message: OperationMessage): boolean {
    this.heardBytes += message.bytes.length + 256;
    this.heard.push({ sender, message: { ...message, bytes: message.bytes.slice() } });
    return this.heardBytes <= MOST_HEARD;
  }

  /** Null while pieces are missing; else whether `state` is there, or in words what is wrong with what came. */
  difference(message: DifferenceMessage): Result<null, string> | null {
    const received = this.incoming.add(message);
    if (received === null) return null;
    const whole = this.compression === undefined ? received : unpacked(received, this.compression);
    if (whole === null) return err('it cannot be unpacked');
    const database = decoded(whole, (input) => this.read(input));
    if (!database.ok) return database;
    if (!database.value.ok) return database.value;
    const state = database.value.value;
    const digest = state.digest(this.hash);
    if (digest.length !== this.digest.length || digest.some((byte, at) => byte !== this.digest[at]))
      return err('its digest is another one');
    this.state = state;
    return { ok: true, value: null };
  }

  private read(input: ByteReader): Result<Database, string> {
    const rest = readRest(input);
    const nodes = new Map<number, TreeNode>([...this.before.all()].map((node) => [node.inode, node]));
    for (let count = input.items(8); count > 0; count -= 1) nodes.delete(input.count());
    for (let count = input.items(SMALLEST_NODE); count > 0; count -= 1) {
      const node = readNode(input);
      nodes.set(node.inode, node);
    }
    const tree = treeOf(nodes.values(), rest.nextInode);
    return tree.ok ? { ok: true, value: new Database(tree.value, rest) } : tree;
  }
}
