/**
 * Monaco with the parts that this screen uses, and nothing of its languages: 0.57 has its modules below
 * `editor/`, and all of it would be four times as large.
 */
import 'monaco-editor/editor/browser/coreCommands.js';
import 'monaco-editor/editor/browser/widget/diffEditor/diffEditor.contribution.js';
import 'monaco-editor/editor/contrib/bracketMatching/browser/bracketMatching.js';
import 'monaco-editor/editor/contrib/caretOperations/browser/caretOperations.js';
import 'monaco-editor/editor/contrib/clipboard/browser/clipboard.js';
import 'monaco-editor/editor/contrib/codeAction/browser/codeActionContributions.js';
import 'monaco-editor/editor/contrib/comment/browser/comment.js';
import 'monaco-editor/editor/contrib/contextmenu/browser/contextmenu.js';
import 'monaco-editor/editor/contrib/cursorUndo/browser/cursorUndo.js';
import 'monaco-editor/editor/contrib/find/browser/findController.js';
import 'monaco-editor/editor/contrib/folding/browser/folding.js';
import 'monaco-editor/editor/contrib/format/browser/formatActions.js';
import 'monaco-editor/editor/contrib/gotoError/browser/gotoError.js';
import 'monaco-editor/editor/contrib/hover/browser/hoverContribution.js';
import 'monaco-editor/editor/contrib/linesOperations/browser/linesOperations.js';
import 'monaco-editor/editor/contrib/multicursor/browser/multicursor.js';
import 'monaco-editor/editor/contrib/readOnlyMessage/browser/contribution.js';
import 'monaco-editor/editor/contrib/rename/browser/rename.js';
import 'monaco-editor/editor/contrib/snippet/browser/snippetController2.js';
import 'monaco-editor/editor/contrib/suggest/browser/suggestController.js';
import 'monaco-editor/editor/contrib/toggleTabFocusMode/browser/toggleTabFocusMode.js';
import 'monaco-editor/editor/contrib/wordOperations/browser/wordOperations.js';
import * as monaco from 'monaco-editor/editor/editor.api.js';
import EditorWorker from 'monaco-editor/editor/editor.worker.js?worker';
import { registerLanguage } from './language.ts';

/** The language's name in Monaco. */
export const LANGUAGE = 'corosync';

self.MonacoEnvironment = { getWorker: () => new EditorWorker() };
registerLanguage(monaco, LANGUAGE);
defineThemes();

/** What the edit and the review have in common. */
export const COMMON: monaco.editor.IEditorConstructionOptions = {
  automaticLayout: true,
  fontFamily:
    'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace',
  fontSize: 13,
  lineHeight: 20,
  minimap: { enabled: false },
  padding: { top: 12, bottom: 12 },
  renderLineHighlight: 'line',
  scrollBeyondLastLine: false,
  smoothScrolling: true,
  overviewRulerBorder: false,
  scrollbar: { verticalScrollbarSize: 10, horizontalScrollbarSize: 10 },
};

/** A text in the editor. */
export function newModel(text: string): monaco.editor.ITextModel {
  const model = monaco.editor.createModel(text, LANGUAGE);
  model.updateOptions({ tabSize: 2, insertSpaces: true });
  return model;
}

/** One colour for the brackets of every depth: the indentation shows it already. */
function brackets(colour: string): Record<string, string> {
  return Object.fromEntries([1, 2, 3, 4, 5, 6].map((level) => [`editorBracketHighlight.foreground${level}`, colour]));
}

export const themeName = (dark: boolean): string => (dark ? 'ringmaster-dark' : 'ringmaster-light');

/** The page's own colours (design/tokens.css): Monaco wants them as numbers. */
function defineThemes(): void {
  const theme = (
    base: 'vs' | 'vs-dark',
    colour: Record<'key' | 'section' | 'value' | 'comment' | 'number', string>,
  ) => ({
    base,
    inherit: true,
    rules: [
      { token: 'key', foreground: colour.key },
      { token: 'section', foreground: colour.section, fontStyle: 'bold' },
      { token: 'value', foreground: colour.value },
      { token: 'number', foreground: colour.number },
      { token: 'comment', foreground: colour.comment, fontStyle: 'italic' },
    ],
  });
  monaco.editor.defineTheme('ringmaster-dark', {
    ...theme('vs-dark', { key: 'a6aebb', section: '8ea6ff', value: 'e7eaef', number: '62d3a4', comment: '8a93a1' }),
    colors: {
      ...brackets('#8a93a1'),
      'editor.background': '#0f1115',
      'editor.foreground': '#e7eaef',
      'editor.lineHighlightBackground': '#15181e',
      'editorLineNumber.foreground': '#626c7b',
      'editorLineNumber.activeForeground': '#a6aebb',
      'editorGutter.background': '#0f1115',
      'editorWidget.background': '#1b1f26',
      'editorWidget.border': '#363d49',
      'editorHoverWidget.background': '#1b1f26',
      'editorSuggestWidget.background': '#1b1f26',
      'diffEditor.insertedTextBackground': '#62d3a430',
      'diffEditor.insertedLineBackground': '#62d3a418',
      'diffEditor.removedTextBackground': '#ff938d30',
      'diffEditor.removedLineBackground': '#ff938d16',
      focusBorder: '#8ea6ff',
    },
  });
  monaco.editor.defineTheme('ringmaster-light', {
    ...theme('vs', { key: '4d5765', section: '3451d1', value: '161a21', number: '0b6e47', comment: '626c7a' }),
    colors: {
      ...brackets('#626c7a'),
      'editor.background': '#ffffff',
      'editor.foreground': '#161a21',
      'editor.lineHighlightBackground': '#f6f7f9',
      'editorLineNumber.foreground': '#858f9e',
      'editorLineNumber.activeForeground': '#4d5765',
      'editorWidget.background': '#ffffff',
      'editorWidget.border': '#c9cfd9',
      'diffEditor.insertedTextBackground': '#0b6e4730',
      'diffEditor.insertedLineBackground': '#0b6e4714',
      'diffEditor.removedTextBackground': '#b3261c2a',
      'diffEditor.removedLineBackground': '#b3261c12',
      focusBorder: '#3451d1',
    },
  });
}

export { monaco };
