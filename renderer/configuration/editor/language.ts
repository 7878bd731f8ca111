/** corosync.conf for Monaco: colours, completion, hover and quick fixes, all from agent/conf. */
import type * as Monaco from 'monaco-editor/editor/editor.api.js';
import { completions, format, hover, type Diagnostic } from '../../../agent/conf/index.ts';
import { rangeOf } from './markers.ts';

/** Findings of each open text, so that a quick fix need not look again. */
export const findings = new WeakMap<Monaco.editor.ITextModel, readonly Diagnostic[]>();

export function registerLanguage(monaco: typeof Monaco, id: string): void {
  monaco.languages.register({ id });
  monaco.languages.setLanguageConfiguration(id, {
    comments: { lineComment: '#' },
    brackets: [['{', '}']],
    autoClosingPairs: [],
    indentationRules: { increaseIndentPattern: /\{\s*$/, decreaseIndentPattern: /^\s*\}/ },
    wordPattern: /[A-Za-z0-9_.-]+/,
  });
  monaco.languages.setMonarchTokensProvider(id, {
    tokenizer: {
      root: [
        [/^\s*#.*$/, 'comment'],
        [/^(\s*)([^\s{}:][^{}:]*?)(\s*:?\s*)(\{)/, ['', 'section', '', 'delimiter']],
        [/^(\s*)([^\s:{}][^:{}]*?)(\s*:\s*)(\d+\s*$)/, ['', 'key', 'delimiter', 'number']],
        [/^(\s*)([^\s:{}][^:{}]*?)(\s*:\s*)(.*)$/, ['', 'key', 'delimiter', 'value']],
        [/[{}]/, 'delimiter'],
      ],
    },
  });
  monaco.languages.registerCompletionItemProvider(id, {
    triggerCharacters: [':', ' '],
    provideCompletionItems: (model, { lineNumber, column }) => {
      const word = model.getWordUntilPosition({ lineNumber, column });
      const range = {
        startLineNumber: lineNumber,
        startColumn: word.startColumn,
        endLineNumber: lineNumber,
        endColumn: column,
      };
      const indent = /^[ \t]*/.exec(model.getLineContent(lineNumber))?.[0] ?? '';
      return {
        suggestions: completions(model.getValue(), lineNumber, column).map(({ label, detail, insert }) => ({
          label,
          detail,
          insertText: insert.replaceAll('\n', `\n${indent}`),
          kind: insert.includes('{')
            ? monaco.languages.CompletionItemKind.Module
            : insert.endsWith(': ')
              ? monaco.languages.CompletionItemKind.Property
              : monaco.languages.CompletionItemKind.Value,
          range,
        })),
      };
    },
  });
  monaco.languages.registerDocumentFormattingEditProvider(id, {
    provideDocumentFormattingEdits: (model) => [{ range: model.getFullModelRange(), text: format(model.getValue()) }],
  });
  monaco.languages.registerHoverProvider(id, {
    provideHover: (model, { lineNumber, column }) => {
      const found = hover(model.getValue(), lineNumber, column);
      if (found === null) return null;
      return { contents: [{ value: `**${found.title}**` }, { value: found.body }], range: rangeOf(found.range) };
    },
  });
  monaco.languages.registerCodeActionProvider(id, {
    provideCodeActions: (model, range) => {
      const near = (findings.get(model) ?? []).filter(
        (found) => found.line <= range.endLineNumber && found.endLine >= range.startLineNumber,
      );
      const actions = near.flatMap(({ fix }): Monaco.languages.CodeAction[] => {
        if (fix === null) return [];
        const edits = fix.edits.map((edit) => ({
          resource: model.uri,
          versionId: model.getVersionId(),
          textEdit: { range: rangeOf(edit), text: edit.text },
        }));
        return [{ title: fix.title, kind: 'quickfix', isPreferred: true, edit: { edits } }];
      });
      return { actions, dispose: () => undefined };
    },
  });
}
