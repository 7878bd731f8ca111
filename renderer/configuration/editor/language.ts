/** corosync.conf for Monaco: colours, completion, hover and quick fixes, all from agent/conf. */
import type * as Monaco from 'monaco-editor/editor/editor.api.js';
import {
  completions,
  foldings,
  format,
  hover,
  nameAt,
  outline,
  renameNode,
  type Diagnostic,
  type OutlineItem,
} from '../../../agent/conf/index.ts';
import { valueRange } from '../../../agent/conf/syntax.ts';
import { useToasts } from '../../stores/toasts.ts';
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
  monaco.languages.registerFoldingRangeProvider(id, {
    provideFoldingRanges: (model) =>
      foldings(model.getValue()).map(({ line, endLine, comment }) => ({
        start: line,
        end: endLine,
        ...(comment ? { kind: monaco.languages.FoldingRangeKind.Comment } : {}),
      })),
  });
  monaco.languages.registerDocumentSymbolProvider(id, {
    provideDocumentSymbols: (model) => outline(model.getValue()).map((item) => symbolOf(monaco, model, item)),
  });
  monaco.languages.registerRenameProvider(id, {
    resolveRenameLocation: (model, { lineNumber, column }) => {
      const found = nameAt(model.getValue(), lineNumber, column);
      const nowhere = {
        startLineNumber: lineNumber,
        startColumn: column,
        endLineNumber: lineNumber,
        endColumn: column,
      };
      if (found === null)
        return { range: nowhere, text: '', rejectReason: 'Only a node can be renamed: go to its name.' };
      return { range: rangeOf(valueRange(found.entry)), text: found.name };
    },
    provideRenameEdits: (model, { lineNumber, column }, to) => {
      const found = nameAt(model.getValue(), lineNumber, column);
      if (found === null) return { edits: [], rejectReason: 'Only a node can be renamed: go to its name.' };
      const renamed = renameNode(model.getValue(), found.name, to);
      if (!renamed.ok) {
        // Monaco alone tells such a reason to the console only.
        useToasts().show('bad', `${found.name} was not renamed`, renamed.error);
        return { edits: [], rejectReason: renamed.error };
      }
      const edits = renamed.value.map((edit) => ({
        resource: model.uri,
        versionId: model.getVersionId(),
        textEdit: { range: rangeOf(edit), text: edit.text },
      }));
      return { edits };
    },
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

function symbolOf(
  monaco: typeof Monaco,
  model: Monaco.editor.ITextModel,
  { name, detail, kind, line, endLine, children }: OutlineItem,
): Monaco.languages.DocumentSymbol {
  const end = Math.min(endLine, model.getLineCount());
  const range = new monaco.Range(line, 1, end, model.getLineMaxColumn(end));
  const kinds = {
    section: monaco.languages.SymbolKind.Module,
    node: monaco.languages.SymbolKind.Object,
    link: monaco.languages.SymbolKind.Interface,
  };
  return {
    ...{ name, detail, kind: kinds[kind], tags: [], range },
    selectionRange: new monaco.Range(line, 1, line, model.getLineMaxColumn(line)),
    children: children.map((child) => symbolOf(monaco, model, child)),
  };
}
