/** Short messages at the edge of the screen, for what has no place of its own. */
import { defineStore } from 'pinia';
import { ref } from 'vue';
import { asError } from '../connection/host.ts';

export interface ToastMessage {
  readonly id: number;
  readonly tone: 'good' | 'bad';
  readonly title: string;
  readonly detail: string | null;
}

export const useToasts = defineStore('toasts', () => {
  const messages = ref<ToastMessage[]>([]);
  let next = 1;

  function show(tone: ToastMessage['tone'], title: string, detail: string | null = null): void {
    messages.value = [...messages.value.slice(-3), { id: next++, tone, title, detail }];
  }

  function remove(id: number): void {
    messages.value = messages.value.filter((message) => message.id !== id);
  }

  /** Runs a call that has no place of its own to show its failure. Never rejects. */
  async function attempt(title: string, work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      show('bad', title, asError(error).message);
      return false;
    }
  }

  return { messages, show, remove, attempt };
});
