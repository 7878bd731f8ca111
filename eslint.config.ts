import js from '@eslint/js';
import prettier from 'eslint-config-prettier';
import vue from 'eslint-plugin-vue';
import globals from 'globals';
import ts from 'typescript-eslint';
import type { Linter } from 'eslint';

/** Rooms that are plain functions and state machines: the simulator and the browser run them too. */
const pureRooms = ['agent/conf', 'agent/quorum', 'agent/totem', 'agent/tree', 'agent/replica'];

const config: Linter.Config[] = [
  { ignores: ['dist/', 'artefacts/', 'node_modules/', 'test/fixtures/'] },
  js.configs.recommended,
  ...(ts.configs.strict as Linter.Config[]),
  ...(vue.configs['flat/recommended'] as Linter.Config[]),
  {
    languageOptions: { globals: { ...globals.node } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-dynamic-delete': 'off',
      '@typescript-eslint/no-invalid-void-type': 'off',
      'max-lines': ['error', { max: 450, skipBlankLines: true, skipComments: true }],
      eqeqeq: 'error',
    },
  },
  {
    files: pureRooms.map((room) => `${room}/**/*.ts`),
    rules: {
      'no-restricted-globals': [
        'error',
        ...[
          'process',
          'Buffer',
          'setTimeout',
          'setInterval',
          'setImmediate',
          'queueMicrotask',
          'performance',
          'fetch',
        ].map((name) => ({ name, message: 'A pure room gets time, randomness and I/O as arguments.' })),
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Math', property: 'random', message: 'A pure room gets randomness as an argument.' },
        { object: 'Date', property: 'now', message: 'A pure room gets time as an argument.' },
      ],
    },
  },
  {
    files: ['renderer/**/*.{ts,vue}'],
    languageOptions: { globals: { ...globals.browser }, parserOptions: { parser: ts.parser } },
    rules: { 'vue/multi-word-component-names': 'off', 'no-undef': 'off' },
  },
  { files: ['**/*.ts'], rules: { 'no-undef': 'off' } },
  {
    files: ['**/*.cjs'],
    languageOptions: { sourceType: 'commonjs' },
    rules: { '@typescript-eslint/no-require-imports': 'off' },
  },
  prettier as Linter.Config,
];

export default config;
