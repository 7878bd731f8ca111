/** The line to the host: Electron's bridge where there is one, otherwise a WebSocket of this page's server. */

declare global {
  interface Window {
    /** Given by the preload script of the desktop shell; absent in a browser. */
    readonly ringmaster?: {
      post(line: string): void;
      on(receive: (line: string) => void): void;
    };
  }
}

/** One open line. Each message is one JSON document. */
export interface Line {
  post(message: string): void;
  on(receive: (message: string) => void): void;
  close(): void;
}

export interface LineEvents {
  opened(line: Line): void;
  /** It could not be opened, or was lost. Called once for each attempt. */
  lost(): void;
}

/** How long opening may take before it counts as failed, in milliseconds. */
const OPEN_WITHIN_MS = 8000;

/** The bridge forgets no listener, so it gets one, which passes on to the line that is open. */
let bridged = false;
let receiveBridged: (message: string) => void = () => undefined;

/** Opens a line and reports by `events` what becomes of it. */
export function openLine(events: LineEvents): void {
  const bridge = window.ringmaster;
  if (bridge !== undefined) {
    if (!bridged) bridge.on((message) => receiveBridged(message));
    bridged = true;
    events.opened({
      post: (message) => bridge.post(message),
      on: (receive) => (receiveBridged = receive),
      close: () => {
        receiveBridged = () => undefined;
        events.lost();
      },
    });
    return;
  }
  const address = new URL('/rpc', window.location.href);
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = new WebSocket(address);
  let ended = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    socket.close();
    events.lost();
  };
  const timer = setTimeout(end, OPEN_WITHIN_MS);
  socket.addEventListener('open', () => {
    clearTimeout(timer);
    events.opened({
      post: (message) => socket.send(message),
      on: (receive) =>
        socket.addEventListener('message', ({ data }) => {
          if (typeof data === 'string') receive(data);
        }),
      close: end,
    });
  });
  socket.addEventListener('close', end);
  socket.addEventListener('error', end);
}
