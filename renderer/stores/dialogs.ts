/** Which dialog is open over the screen. One at a time. */
import { defineStore } from 'pinia';
import { shallowRef } from 'vue';
import type { EngineKind } from '../../electron/host/api.ts';

export type OpenDialog =
  | { readonly kind: 'add-host'; readonly name?: string; readonly address?: string }
  | { readonly kind: 'remove-node'; readonly clusterId: string; readonly nodeId: number }
  | { readonly kind: 'move-engine'; readonly clusterId: string; readonly to: EngineKind }
  | { readonly kind: 'join'; readonly clusterId: string; readonly hostId: string }
  | { readonly kind: 'create'; readonly hostId: string }
  | { readonly kind: 'operation'; readonly operationId: string }
  | { readonly kind: 'remove-host'; readonly hostId: string }
  | { readonly kind: 'uninstall-agent'; readonly hostId: string };

export const useDialogs = defineStore('dialogs', () => {
  const current = shallowRef<OpenDialog | null>(null);

  function open(dialog: OpenDialog): void {
    current.value = dialog;
  }

  function close(): void {
    current.value = null;
  }

  return { current, open, close };
});
