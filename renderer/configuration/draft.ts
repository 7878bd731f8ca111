/** The file being edited: what it was when it was opened, what it is now, and what it would be. */
import { computed, ref, shallowRef } from 'vue';
import type { ComputedRef, Ref, ShallowRef } from 'vue';
import {
  diagnose,
  mergeConf,
  raiseConfigVersion,
  plannedChanges,
  reloadFindings,
  type Diagnostic,
  type Dialect,
  type PlannedChange,
} from '../../agent/conf/index.ts';
import type { EngineKind, OpenedConf } from '../../electron/host/api.ts';

export interface Draft {
  /** Null until a file is open. */
  readonly opened: ShallowRef<OpenedConf | null>;
  readonly text: Ref<string>;
  /** Changes with every file that is opened. */
  readonly edition: Ref<number>;
  readonly changed: ComputedRef<boolean>;
  readonly problems: ComputedRef<readonly Diagnostic[]>;
  readonly errors: ComputedRef<number>;
  /** The text with config_version raised above that of the opened file. */
  readonly raised: ComputedRef<{ readonly text: string; readonly version: number }>;
  readonly differences: ComputedRef<readonly PlannedChange[]>;
  open(fresh: OpenedConf): void;
  discard(): void;
  /** Takes the file as somebody else has left it, with this edit merged in. Gives the number of conflicts. */
  merge(theirs: OpenedConf): number;
}

export function useDraft(engine: () => EngineKind, read: () => Dialect | null = () => null): Draft {
  const opened = shallowRef<OpenedConf | null>(null);
  const text = ref('');
  const edition = ref(0);
  const original = computed(() => opened.value?.file.text ?? '');
  const version = computed(() => opened.value?.file.configVersion ?? 0);
  /** An adopted cluster tells by its versions which rules its file is read by. */
  const dialect = computed((): Dialect => read() ?? (engine() === 'corosync' ? 'corosync3' : 'ringmaster'));
  // What is wrong in the file, and what of it a reload would not bring into effect.
  const problems = computed(() =>
    [
      ...diagnose(text.value, { dialect: dialect.value }),
      ...(text.value === original.value ? [] : reloadFindings(original.value, text.value, dialect.value)),
    ].sort((a, b) => a.line - b.line),
  );
  const raised = computed(() => raiseConfigVersion(text.value, version.value));
  return {
    opened,
    text,
    edition,
    changed: computed(() => text.value !== original.value),
    problems,
    errors: computed(() => problems.value.filter(({ severity }) => severity === 'error').length),
    raised,
    differences: computed(() =>
      plannedChanges(original.value, text.value, dialect.value).filter(
        ({ sentence }) => !sentence.includes('config_version'),
      ),
    ),
    open: (fresh) => {
      opened.value = fresh;
      text.value = fresh.file.text;
      edition.value += 1;
    },
    discard: () => {
      text.value = original.value;
    },
    merge: (theirs) => {
      const merged = mergeConf(original.value, text.value, theirs.file.text);
      if (!merged.ok) return merged.error.length;
      opened.value = theirs;
      text.value = merged.value;
      return 0;
    },
  };
}
