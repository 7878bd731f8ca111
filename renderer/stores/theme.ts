/** Dark or light: as the system has it, or as the user chose here. */
import { defineStore } from 'pinia';
import { computed, ref, watchEffect } from 'vue';

export type ThemeChoice = 'system' | 'dark' | 'light';

const KEY = 'ringmaster.theme';

export const useTheme = defineStore('theme', () => {
  const choice = ref<ThemeChoice>(asChoice(localStorage.getItem(KEY)));
  const system = window.matchMedia('(prefers-color-scheme: dark)');
  const systemDark = ref(system.matches);
  system.addEventListener('change', (event) => (systemDark.value = event.matches));

  /** What is on the screen now. */
  const dark = computed(() => (choice.value === 'system' ? systemDark.value : choice.value === 'dark'));

  watchEffect(() => {
    if (choice.value === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = choice.value;
  });

  function choose(theme: ThemeChoice): void {
    choice.value = theme;
    if (theme === 'system') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  }

  return { choice, dark, choose };
});

const asChoice = (stored: string | null): ThemeChoice => (stored === 'dark' || stored === 'light' ? stored : 'system');
