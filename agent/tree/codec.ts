/** The bytes of operations. Decoding never throws: whatever is not exactly an operation is an error. */
import type { Result } from '../result.ts';
import { ByteWriter, Malformed, type ByteReader } from './bytes.ts';
import { decoded } from './decoded.ts';
import { LIMITS, type Operation, type Target, type Version } from './types.ts';

const KINDS = [
  'create',
  'mkdir',
  'write',
  'patch',
  'append',
  'rename',
  'unlink',
  'rmdir',
  'setTime',
  'expireLock',
  'sync',
] as const satisfies readonly Operation['kind'][];

/** Bytes; pmxcfs takes nested paths of 4032, the kernel's PATH_MAX is 4096. */
const LONGEST_PATH = 65_536;

export function writeVersion(out: ByteWriter, version: Version): void {
  out.integer(version.epoch);
  out.integer(version.index);
}
export const readVersion = (input: ByteReader): Version => ({ epoch: input.count(), index: input.count() });

function writeTarget(out: ByteWriter, target: Target): void {
  out.flag(typeof target === 'number');
  if (typeof target === 'number') out.integer(target);
  else out.text(target);
}
const readTarget = (input: ByteReader): Target => (input.flag() ? input.count() : input.text(LONGEST_PATH));

export function writeOperation(out: ByteWriter, operation: Operation): void {
  out.u8(KINDS.indexOf(operation.kind));
  switch (operation.kind) {
    case 'create':
      out.text(operation.path);
      return out.flag(operation.exclusive);
    case 'mkdir':
    case 'unlink':
    case 'rmdir':
      return out.text(operation.path);
    case 'write':
      writeTarget(out, operation.target);
      out.bytes(operation.data);
      return out.flag(operation.create);
    case 'patch':
      writeTarget(out, operation.target);
      out.integer(operation.offset);
      out.bytes(operation.data);
      out.flag(operation.size !== null);
      return out.integer(operation.size ?? 0);
    case 'append':
      writeTarget(out, operation.target);
      return out.bytes(operation.data);
    case 'rename':
      out.text(operation.from);
      out.text(operation.to);
      return out.flag(operation.noReplace);
    case 'setTime':
      writeTarget(out, operation.target);
      return out.integer(operation.mtimeS);
    case 'expireLock':
      out.text(operation.path);
      return writeVersion(out, operation.version);
    case 'sync':
      return;
  }
}

/** Contents are copied out of the input. Throws Malformed: only for use inside `decoded`. */
export function readOperation(input: ByteReader): Operation {
  const kind = KINDS[input.u8()];
  if (kind === undefined) throw new Malformed('no operation has this number');
  const path = (): string => input.text(LONGEST_PATH);
  const data = (): Uint8Array => input.bytes(LIMITS.file).slice();
  switch (kind) {
    case 'create':
      return { kind, path: path(), exclusive: input.flag() };
    case 'mkdir':
    case 'unlink':
    case 'rmdir':
      return { kind, path: path() };
    case 'write':
      return { kind, target: readTarget(input), data: data(), create: input.flag() };
    case 'patch': {
      const [target, offset, bytes, sized, size] = [
        readTarget(input),
        input.count(),
        data(),
        input.flag(),
        input.count(),
      ];
      return { kind, target, offset, data: bytes, size: sized ? size : null };
    }
    case 'append':
      return { kind, target: readTarget(input), data: data() };
    case 'rename':
      return { kind, from: path(), to: path(), noReplace: input.flag() };
    case 'setTime':
      return { kind, target: readTarget(input), mtimeS: input.integer() };
    case 'expireLock':
      return { kind, path: path(), version: readVersion(input) };
    case 'sync':
      return { kind };
  }
}

export function encodeOperation(operation: Operation): Uint8Array {
  const out = new ByteWriter();
  writeOperation(out, operation);
  return out.done();
}

/** The operation in these bytes, or why they are not one. */
export const decodeOperation = (bytes: Uint8Array): Result<Operation, string> => decoded(bytes, readOperation);
