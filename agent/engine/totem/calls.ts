/** What clients ask of the engine's process, and what it tells them. */
import type { EngineStatus, ReloadReport, View } from '../engine.ts';

/** Milliseconds between two signs of life of an engine. */
export const ALIVE_INTERVAL = 1000;

export type EngineCall =
  | { readonly call: 'join'; readonly group: string }
  | { readonly call: 'leave'; readonly group: string }
  | { readonly call: 'expected'; readonly votes: number }
  | { readonly call: 'reload' };

/** To the engine. */
export type EngineRequest = EngineCall & { readonly id: number };

/** From the engine; `status` comes first on every connection. */
export type EngineTold =
  | {
      readonly kind: 'answer';
      readonly id: number;
      readonly error: string | null;
      readonly report: ReloadReport | null;
    }
  | { readonly kind: 'status'; readonly status: EngineStatus }
  /** Every ALIVE_INTERVAL: an engine that hangs keeps its connections, and says nothing. */
  | { readonly kind: 'alive' }
  | { readonly kind: 'view'; readonly group: string; readonly view: View };
