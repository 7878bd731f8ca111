/** What clients ask of the engine's process, and what it tells them. Types only. */
import type { EngineStatus, ReloadReport, View } from '../engine.ts';

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
  | { readonly kind: 'view'; readonly group: string; readonly view: View };
