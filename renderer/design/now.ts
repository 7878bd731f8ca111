/** The present moment as a ref, for words such as "4 min ago". One clock for the whole page. */
import { onScopeDispose, ref } from 'vue';
import type { Ref } from 'vue';

const now = ref(Date.now());
let users = 0;
let timer: ReturnType<typeof setInterval> | undefined;

/** Milliseconds since 1970, renewed every second while someone looks. */
export function useNow(): Ref<number> {
  if (users === 0) {
    now.value = Date.now();
    timer = setInterval(() => (now.value = Date.now()), 1000);
  }
  users += 1;
  onScopeDispose(() => {
    users -= 1;
    if (users === 0) clearInterval(timer);
  });
  return now;
}
