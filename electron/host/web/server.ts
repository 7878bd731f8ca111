/**
 * The app in a browser of this machine: the built page, and one WebSocket to the host. The address
 * carries a token that opens the door once and becomes a cookie; nothing is served without it.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import type { RendererChannel } from '../renderers.ts';
import { plainPage } from './plain-page.ts';
import {
  OneTimeTokens,
  SECURITY_HEADERS,
  cookieOf,
  freshToken,
  isOwnHost,
  isOwnOrigin,
  sameToken,
} from './security.ts';
import { staticFile } from './static-files.ts';

export interface ServedApp {
  connectRenderer(channel: RendererChannel): () => void;
}

export interface BrowserServer {
  /** `http://127.0.0.1:<port>/?token=…`, with a new token each time. */
  address(): string;
  readonly port: number;
  close(): Promise<void>;
}

/** The largest message of a page: a file in base64, and room. */
const LARGEST_MESSAGE = 4 * 1024 * 1024;
/** More than this waiting in a socket, in bytes, and the page gets no snapshot until it has caught up. */
const BACKLOG = 4 * 1024 * 1024;

/** Serves on 127.0.0.1 only. `port` 0 or absent takes a free one. Rejects when the port is taken. */
export async function serveBrowser(
  app: ServedApp,
  options: { readonly staticDirectory: string; readonly port?: number | undefined },
): Promise<BrowserServer> {
  const tokens = new OneTimeTokens();
  const sessions: string[] = [];
  const sockets = new WebSocketServer({ noServer: true, maxPayload: LARGEST_MESSAGE });
  let port = 0;
  // Cookies know no ports: two servers on one machine need two names.
  const cookieName = (): string => `ringmaster-${port}`;
  const mayEnter = (request: IncomingMessage): boolean => {
    const given = cookieOf(request.headers.cookie, cookieName());
    return given !== null && sessions.some((session) => sameToken(given, session));
  };

  const server = createServer((request, response) => {
    answer(request, response).catch(() => {
      if (!response.headersSent) response.writeHead(500, SECURITY_HEADERS);
      response.end();
    });
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!isOwnHost(request.headers.host, port)) {
      const words = 'This server answers to 127.0.0.1 and localhost only.';
      return page(response, 421, plainPage('Wrong name', words));
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      return page(response, 405, plainPage('Not possible', 'This server only answers GET.'));
    }
    const [path = '/', query = ''] = (request.url ?? '/').split('?', 2);
    const token = new URLSearchParams(query).get('token');
    if (path === '/' && token !== null) {
      if (tokens.redeem(token)) {
        const session = freshToken();
        sessions.push(session);
        const cookie = `${cookieName()}=${session}; HttpOnly; SameSite=Strict; Path=/`;
        response.writeHead(303, {
          ...SECURITY_HEADERS,
          'Set-Cookie': cookie,
          Location: '/',
          'Cache-Control': 'no-store',
        });
        response.end();
        return;
      }
      // The same link again in the browser that used it, for instance from its history.
      if (mayEnter(request)) {
        response.writeHead(303, { ...SECURITY_HEADERS, Location: '/', 'Cache-Control': 'no-store' });
        response.end();
        return;
      }
      return page(response, 403, USED);
    }
    if (!mayEnter(request)) return page(response, 403, CLOSED);
    const file = await staticFile(options.staticDirectory, path);
    if (file === null) {
      return page(response, 404, plainPage('Not found', 'There is nothing at this address.'));
    }
    response.writeHead(200, {
      ...SECURITY_HEADERS,
      'Content-Type': file.type,
      'Content-Length': file.body.length,
      'Cache-Control': file.immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
    });
    response.end(request.method === 'HEAD' ? undefined : file.body);
  }

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    const allowed =
      request.url === '/rpc' && isOwnOrigin(request.headers.origin, request.headers.host, port) && mayEnter(request);
    if (!allowed) {
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (opened) => serve(app, opened));
  });

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  port = (server.address() as AddressInfo).port;

  return {
    address: () => `http://127.0.0.1:${port}/?token=${tokens.issue()}`,
    port,
    close: async () => {
      for (const socket of sockets.clients) socket.terminate();
      sockets.close();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** One page on one WebSocket: each text message one JSON document. */
function serve(app: ServedApp, socket: WebSocket): void {
  // A page that was put to sleep with its lid closed answers no ping; its socket is given up.
  let alive = true;
  const heartbeat = setInterval(() => {
    if (!alive) return socket.terminate();
    alive = false;
    socket.ping();
  }, 30_000);
  socket.on('pong', () => (alive = true));
  const disconnect = app.connectRenderer({
    post: (line) => {
      if (socket.readyState === socket.OPEN) socket.send(line);
    },
    on: (receive) => {
      socket.on('message', (data, isBinary) => {
        if (!isBinary) receive(String(data));
      });
    },
    busy: () => socket.bufferedAmount > BACKLOG,
  });
  socket.on('error', () => socket.terminate());
  socket.on('close', () => {
    clearInterval(heartbeat);
    disconnect();
  });
}

function page(response: ServerResponse, status: number, html: string): void {
  response.writeHead(status, {
    ...SECURITY_HEADERS,
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-store',
  });
  response.end(html);
}

const HOW = 'Start Ringmaster again (npm start), or open the newest address that it printed.';
const USED = plainPage(
  'This link was used already',
  `Each link opens Ringmaster once, so that nobody who finds it in a history or a log gets in. ${HOW}`,
);
const CLOSED = plainPage('This door is closed', `Ringmaster opens only from the link it prints when it starts. ${HOW}`);
