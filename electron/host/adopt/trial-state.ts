/** The trial that a host's watchdog keeps, as the host tells it. Pure. */
import { z } from 'zod';

const meta = z.object({
  id: z.string().regex(/^[0-9a-f-]{8,64}$/),
  author: z.string().max(200),
  leader: z.string().max(200),
  startedMs: z.number(),
  fromVersion: z.number(),
  version: z.number(),
  method: z.enum(['reload', 'rolling-restart', 'whole-restart']),
  changes: z.array(z.string()),
  confirmWithinMs: z.number(),
});

export type TrialMeta = z.infer<typeof meta>;

export interface TrialState {
  readonly meta: TrialMeta;
  /** Seconds of the host's uptime at which it goes back. */
  readonly deadline: number;
  /** `effect`: it is being brought into effect, or a procedure will confirm it. `confirm`: a person is waited for. */
  readonly phase: 'effect' | 'confirm';
  readonly decided: 'open' | 'confirmed' | 'reverted';
  /** What the watchdog did when it went back, in its words; '' until then. */
  readonly outcome: string;
}

/** Lines: meta.json, the deadline, the phase, what was decided, the outcome. Null when it is no trial. */
export function readTrialState(output: string): TrialState | null {
  const [json = '', deadline = '', phase = '', decided = '', ...outcome] = output
    .split('\n')
    .filter((line) => line !== '');
  let parsed;
  try {
    parsed = meta.safeParse(JSON.parse(json));
  } catch {
    return null;
  }
  if (!parsed.success || !/^\d+$/.test(deadline)) return null;
  if (phase !== 'effect' && phase !== 'confirm') return null;
  if (decided !== 'open' && decided !== 'confirmed' && decided !== 'reverted') return null;
  return { meta: parsed.data, deadline: Number(deadline), phase, decided, outcome: outcome.join(' ').trim() };
}
