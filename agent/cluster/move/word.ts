/**
 * How a node that was away while its cluster moved learns of it: its old engine hears nobody, so it asks the others over
 * TCP, where those that have quorum answer as long as a node is missing. Both sides prove with the cluster's key who
 * they are (TLS with a pre-shared key, RFC 5489), so a cluster without a key has no such way.
 */
import { hkdfSync } from 'node:crypto';
import { connect, createServer, type Server } from 'node:tls';
import * as z from 'zod/mini';
import type { EngineKind, EngineStatus } from '../../engine/engine.ts';
import { listedNodes } from '../../engine/settings.ts';
import { sentence } from '../procedure.ts';

/** The engines use the same number with UDP: a firewall that knows Corosync is likely to let it through, or to be told. */
const PORT = 5405;
/** How often a node looks whether there is something to answer or to ask. Milliseconds. */
const LOOK_MS = 2_000;
/** So long without quorum, and the others are asked. A usual start has its quorum by then. Milliseconds. */
const ALONE_MS = 8_000;
const ANSWER_MS = 3_000;
/** Bytes of an answer: a corosync.conf of hundreds of nodes, and not more. */
const LARGEST = 1024 * 1024;

const CIPHERS = { ciphers: 'ECDHE-PSK-CHACHA20-POLY1305', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;

const word = z.object({ engine: z.enum(['totem', 'corosync']), conf: z.string(), from: z.string() });

/** What a node with quorum says: the engine that the cluster runs on, and its corosync.conf. */
export type Word = z.infer<typeof word>;

export interface WordPorts {
  readonly hostname: string;
  status(): EngineStatus;
  engine(): EngineKind;
  readConf(): string | null;
  /** The cluster's key, or null. */
  readKey(): Uint8Array | null;
  /** Is a file on trial on this node? Then nothing is certain yet. */
  onTrial(): boolean;
  /** The cluster runs on another engine than this node. */
  heard(word: Word): void;
  monotonic(): number;
  log(severity: 'info' | 'notice' | 'warning' | 'error', message: string): void;
}

/** Is this word news for a node with that engine and that file? Pure. */
export function isNews(said: Word, engine: EngineKind, conf: string): boolean {
  const [theirs, ours] = [listedNodes(said.conf), listedNodes(conf)];
  return said.engine !== engine && theirs.clusterName === ours.clusterName && theirs.configVersion > ours.configVersion;
}

/** Answers and asks until it is closed. */
export function openWord(ports: WordPorts): { close(): Promise<void> } {
  let server: Server | null = null;
  let aloneSince: number | null = null;
  let asking = false;
  let said = '';

  const answering = (status: EngineStatus): boolean =>
    status.quorum.quorate && status.members.some(({ state }) => state === 'absent') && !ports.onTrial();

  const listen = (key: Uint8Array, address: string): void => {
    const opened = createServer({ ...CIPHERS, pskCallback: () => secretOf(key) }, (socket) => {
      socket.on('error', () => undefined);
      const conf = ports.readConf();
      if (conf === null || !answering(ports.status())) return void socket.destroy();
      socket.end(JSON.stringify({ engine: ports.engine(), conf, from: ports.hostname } satisfies Word));
    });
    opened.on('tlsClientError', () => undefined);
    opened.once('error', (error) => {
      const words = `nodes that were away cannot ask this one which engine runs: ${sentence(error)}`;
      if (words !== said) ports.log('warning', words);
      said = words;
      server = null;
    });
    opened.listen(PORT, address);
    server = opened;
  };

  const ask = async (key: Uint8Array, status: EngineStatus): Promise<void> => {
    const conf = ports.readConf();
    if (conf === null) return;
    const others = status.members.filter(({ local }) => !local).flatMap(({ addresses }) => addresses.slice(0, 1));
    const answers = await Promise.all(others.map(({ address }) => askOne(address, key)));
    const news = answers.find((one) => one !== null && isNews(one, ports.engine(), conf)) ?? null;
    if (news !== null && !ports.onTrial()) ports.heard(news);
  };

  const look = (): void => {
    const status = ports.status();
    const key = ports.readKey();
    const own = status.members.find(({ local }) => local)?.addresses[0]?.address;
    const due = key !== null && own !== undefined && answering(status);
    if (due && server === null) listen(key, own);
    if (!due && server !== null) {
      server.close();
      server = null;
    }
    if (status.quorum.quorate) aloneSince = null;
    else aloneSince ??= ports.monotonic();
    if (key === null || asking || aloneSince === null || ports.monotonic() - aloneSince < ALONE_MS) return;
    asking = true;
    void ask(key, status).finally(() => (asking = false));
  };

  const timer = setInterval(look, LOOK_MS);
  return {
    close: () => {
      clearInterval(timer);
      server?.close();
      server = null;
      return Promise.resolve();
    },
  };
}

/** Null where nobody answers, or something that is no word. */
function askOne(host: string, key: Uint8Array): Promise<Word | null> {
  return new Promise((resolve) => {
    const socket = connect({
      ...{ host, port: PORT, timeout: ANSWER_MS, ...CIPHERS },
      pskCallback: () => ({ psk: secretOf(key), identity: 'node' }),
      // The key says who it is; there is no certificate.
      checkServerIdentity: () => undefined,
    });
    let text = '';
    const late = setTimeout(() => socket.destroy(), ANSWER_MS);
    socket.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (text.length > LARGEST) socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(late);
      try {
        resolve(word.parse(JSON.parse(text)));
      } catch {
        resolve(null);
      }
    });
  });
}

/** Not the key itself: what it is used for here must not help against the ring. */
const secretOf = (key: Uint8Array): Buffer =>
  Buffer.from(hkdfSync('sha256', key, 'ringmaster', 'the word of which engine runs', 32));
