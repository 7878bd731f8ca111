/** Media queries as refs that follow them. */
import { ref } from 'vue';
import type { Ref } from 'vue';

function follow(query: string): Ref<boolean> {
  const list = window.matchMedia(query);
  const matches = ref(list.matches);
  list.addEventListener('change', (event) => (matches.value = event.matches));
  return matches;
}

/** The user asked the system for less motion. */
export const reducedMotion = follow('(prefers-reduced-motion: reduce)');
/** Too narrow for words beside the symbols of the side bar. Same width as in Sidebar.vue. */
export const narrow = follow('(max-width: 1150px)');
