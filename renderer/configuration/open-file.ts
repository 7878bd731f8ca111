/** A file from this computer as text, or why it is none. */

/** Far more than a corosync.conf ever is. */
const LARGEST = 1_000_000;

export async function readConf(file: File): Promise<string> {
  if (file.size > LARGEST) throw new Error(`${file.name} is larger than a corosync.conf can be.`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new Error(`${file.name} is no text file.`);
  }
}
