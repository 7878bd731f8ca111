/** The agent of one node, called over the standard input and output of `ringmaster-agent rpc`. */
import { createBirpc } from 'birpc';
import { jsonLines } from '../../../agent/json-lines.ts';
import { AGENT_PROTOCOL } from '../../../agent/rpc/api.ts';
import type { AgentApi, AgentEvents, AgentHello } from '../../../agent/rpc/api.ts';
import type { SshConnection } from '../ssh/connection.ts';
import { AGENT_HOME } from './bootstrap.ts';
import { asEvent, asReport, asStep } from './report-shape.ts';

type Remote = {
  readonly [Name in keyof AgentApi]: (
    ...args: Parameters<AgentApi[Name]>
  ) => Promise<Awaited<ReturnType<AgentApi[Name]>>>;
};

/** Calls reject with an Error in words for a person, also when the connection is lost meanwhile. */
export interface AgentClient extends Remote {
  readonly greeting: AgentHello;
  close(): void;
  /** Resolves, with the reason in words, when the agent can no longer be called. */
  readonly closed: Promise<string>;
}

/** Calls that answer at once; the others may take as long as the procedure takes. */
const QUICK_MS = 30_000;
const QUICK = [
  'hello',
  'watch',
  'events',
  'readConf',
  'list',
  'read',
  'preflightJoin',
  'preflightAdd',
  'planConf',
  'planMove',
  'confHistory',
] as const;

const NAMES = {
  hello: true,
  watch: true,
  events: true,
  readConf: true,
  planConf: true,
  applyConf: true,
  confirmConf: true,
  revertConf: true,
  confHistory: true,
  expectVotes: true,
  planMove: true,
  moveEngine: true,
  installLocalConf: true,
  publishLocalConf: true,
  list: true,
  read: true,
  createCluster: true,
  preflightJoin: true,
  preflightAdd: true,
  addNode: true,
  undoAddNode: true,
  installCorosync: true,
  joinCluster: true,
  cancel: true,
} satisfies Record<keyof AgentApi, true>;

/** Starts the agent's rpc on the host and greets it. Rejects with a sentence when that fails. */
export async function openAgent(connection: SshConnection, events: AgentEvents): Promise<AgentClient> {
  const command = await connection.open(`exec ${AGENT_HOME}/current/ringmaster-agent rpc`);
  let lastWords = '';
  command.stderr.setEncoding('utf8');
  command.stderr.on('data', (text: string) => (lastWords = (lastWords + text).slice(-2000)));

  let end: (reason: string) => void = () => undefined;
  const closed = new Promise<string>((resolve) => (end = resolve));
  const broken = (reason: Error | null): void => {
    const said = lastWords.trim().split('\n').at(-1) ?? '';
    end(reason?.message ?? (said === '' ? 'The agent ended the conversation.' : `The agent ended: ${said}`));
    command.close();
  };
  const wire = jsonLines(command.stdout, command.stdin, broken);
  const parse = wire.deserialize ?? JSON.parse;
  const rpc = createBirpc<AgentApi, AgentEvents>(ownMethods(events), {
    ...wire,
    // An agent can be wrong, but a line of it must never take the app down.
    deserialize: (line: string): unknown => {
      try {
        const message = parse(line) as { t?: unknown; a?: unknown } | null;
        if (message !== null && typeof message === 'object' && (message.t !== 'q' || Array.isArray(message.a))) {
          return message;
        }
      } catch {
        // Falls through to the answer of a call nobody made.
      }
      return { t: 's', i: '' };
    },
    timeout: -1,
  });
  void closed.then((reason) => rpc.$close(new Error(reason)));
  void connection.closed.then((reason) => end(reason));

  const call = async (name: keyof AgentApi, args: unknown[]): Promise<unknown> => {
    const answer = rpc.$callRaw({ method: name, args }) as Promise<unknown>;
    try {
      return await ((QUICK as readonly string[]).includes(name) ? within(answer, QUICK_MS) : answer);
    } catch (error) {
      if (rpc.$closed) throw new Error(await closed, { cause: error });
      throw error instanceof Error ? error : new Error(wordsOf(error));
    }
  };
  const calls = Object.fromEntries(
    Object.keys(NAMES).map((name) => [name, (...args: unknown[]) => call(name as keyof AgentApi, args)]),
  ) as unknown as Remote;

  try {
    const greeting = await calls.hello();
    if (greeting.protocol !== AGENT_PROTOCOL) {
      throw new Error(
        `The agent there (${greeting.version}) speaks another protocol than this app. Install the agent again to bring it up to date.`,
      );
    }
    return {
      ...calls,
      watch: async () => asReport(await calls.watch()),
      events: async (limit) => (await calls.events(limit)).map(asEvent),
      greeting,
      close: () => broken(new Error('The app closed the conversation.')),
      closed,
    };
  } catch (error) {
    broken(error as Error);
    throw error;
  }
}

/**
 * Only these four can be called from the other side: nothing inherited, such as `toString`. What an
 * agent of another version says that cannot be read is passed over; it must hear no error for it.
 */
function ownMethods(events: AgentEvents): AgentEvents {
  const own: AgentEvents = {
    report: (report) => readable(() => events.report(asReport(report))),
    event: (entry) => readable(() => events.event(asEvent(entry))),
    step: (operation, step) => readable(() => events.step(String(operation), asStep(step))),
    treeChanged: (path) => readable(() => events.treeChanged(String(path))),
  };
  return Object.assign(Object.create(null) as AgentEvents, own);
}

function readable(work: () => void): void {
  try {
    work();
  } catch {
    // The next report is a whole one again.
  }
}

function wordsOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string') {
    return error.message;
  }
  return typeof error === 'string' ? error : 'The agent failed without saying why.';
}

/** Rejects when the answer takes longer than `ms` milliseconds. */
async function within<T>(answer: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('The agent does not answer.')), ms);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
