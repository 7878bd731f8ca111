/** The engines by the names that people read. */
import type { EngineKind } from '../../electron/host/api.ts';

export const ENGINE_WORDS: Readonly<Record<EngineKind, string>> = { totem: 'bundled engine', corosync: 'Corosync' };

export const otherEngine = (engine: EngineKind): EngineKind => (engine === 'totem' ? 'corosync' : 'totem');
