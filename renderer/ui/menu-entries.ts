import type { Component } from 'vue';

/** One line of a menu. */
export type MenuEntry =
  | { readonly kind: 'line' }
  | { readonly kind: 'label'; readonly text: string }
  | {
      readonly kind: 'item';
      readonly text: string;
      readonly icon?: Component;
      /** A word at the right edge. */
      readonly note?: string;
      readonly danger?: boolean;
      readonly disabled?: boolean;
      readonly chosen?: boolean;
      readonly testId?: string;
      run(): void;
    };
