/** Builds the page into dist/renderer. Paths are relative: Electron serves it under its own scheme. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));

export default defineConfig({
  root: here,
  base: './',
  plugins: [vue()],
  // Browsers since 2024: they know light-dark() and nested rules, which need no translation then.
  build: {
    outDir: join(here, '../dist/renderer'),
    emptyOutDir: true,
    target: ['chrome123', 'firefox120', 'safari17.5'],
    // A picture inside the script would need data: addresses where the policy forbids them.
    assetsInlineLimit: 0,
    // The editor is one large chunk by its nature; it is loaded with its screen only.
    chunkSizeWarningLimit: 5000,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [{ name: 'monaco', test: /node_modules[\\/]monaco-editor/ }],
        },
      },
    },
  },
  worker: { format: 'es' },
});
