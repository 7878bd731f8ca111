/** A call with its waiting and its failure, for a form or a screen that shows both. */
import { ref, shallowRef } from 'vue';
import type { Ref, ShallowRef } from 'vue';
import { asError } from './host.ts';

export interface Call {
  readonly busy: Ref<boolean>;
  /** Why the last run failed; null while none has. */
  readonly error: ShallowRef<string | null>;
  /** Runs the work; true when it went well. Never rejects. A second run while busy does nothing. */
  run(work: () => Promise<void>): Promise<boolean>;
}

export function useCall(): Call {
  const busy = ref(false);
  const error = shallowRef<string | null>(null);
  return {
    busy,
    error,
    run: async (work) => {
      if (busy.value) return false;
      busy.value = true;
      error.value = null;
      try {
        await work();
        return true;
      } catch (thrown) {
        error.value = asError(thrown).message;
        return false;
      } finally {
        busy.value = false;
      }
    },
  };
}
