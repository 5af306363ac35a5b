/**
 * The SQL editor: completion from the catalog (tables, columns, functions, and the frequent values of a column within
 * quotes), errors underlined where the server found them, Ctrl/Cmd-Enter runs what the cursor is in.
 */
import {
  acceptCompletion,
  autocompletion,
  type CompletionContext,
  type CompletionResult,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { PostgreSQL, sql } from '@codemirror/lang-sql';
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { Annotation, Compartment, EditorState, Prec } from '@codemirror/state';
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  keymap,
  lineNumbers,
  placeholder,
} from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { useEffect, useMemo, useRef } from 'react';
import type { Schemas } from '../../api/wire';
import { statementAt } from '../../shared/result/statement';
import type { Change, Editing } from './machine';
import { markOf } from './machine';
import { MARKS, setMark } from './marks';

/** Of a change that did not come from the editor, so that it is not told of it. */
const replacement = Annotation.define<boolean>();

interface EditorProps {
  state: Editing;
  onEdit: (changes: readonly Change[], text: string) => void;
  onRun: (statement: string, from: number) => void;
  catalog: Schemas['Tables'] | undefined;
  valuesOf: (column: string) => Promise<readonly string[]>;
}

export function Editor(props: EditorProps) {
  const element = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const newest = useRef(props);
  newest.current = props;
  const language = useRef(new Compartment());

  useEffect(() => {
    const parent = element.current;
    if (parent === null) return;
    const run = (editor: EditorView) => {
      const { from, to } = editor.state.selection.main;
      const statement = statementAt(editor.state.doc.toString(), from, to);
      newest.current.onRun(statement.text, statement.from);
      return true;
    };
    const made = new EditorView({
      parent,
      state: EditorState.create({
        doc: newest.current.state.text,
        extensions: [
          Prec.highest(keymap.of([{ key: 'Mod-Enter', run }])),
          lineNumbers(),
          history(),
          drawSelection(),
          highlightActiveLine(),
          closeBrackets(),
          autocompletion({ icons: false }),
          keymap.of([
            { key: 'Tab', run: acceptCompletion },
            ...closeBracketsKeymap,
            ...defaultKeymap,
            ...historyKeymap,
            ...completionKeymap,
            indentWithTab,
          ]),
          placeholder('SELECT … FROM …'),
          language.current.of([]),
          MARKS,
          syntaxHighlighting(COLOURS),
          LOOK,
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ 'aria-label': 'SQL', 'data-focus': 'slash' }),
          EditorView.updateListener.of(update => {
            if (!update.docChanged || update.transactions.some(it => it.annotation(replacement))) return;
            const changes: Change[] = [];
            update.changes.iterChanges((from, to, _, __, inserted) => {
              changes.push({ from, to, insert: inserted.toString() });
            });
            newest.current.onEdit(changes, update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = made;
    return () => {
      made.destroy();
      view.current = null;
    };
  }, []);

  const { state } = props;
  // Text that comes from elsewhere: a sample, a saved query, the address, a fix. Only then is the document touched: while
  // somebody types, what is drawn here may be older than the document.
  const { replaced } = state;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the count says that it was replaced.
  useEffect(() => {
    const editor = view.current;
    const { text } = newest.current.state;
    const before = editor?.state.doc.toString() ?? text;
    if (editor === null || before === text) return;
    const change = between(before, text);
    editor.dispatch({
      changes: change,
      selection: { anchor: change.from + change.insert.length },
      annotations: replacement.of(true),
    });
  }, [replaced]);

  useEffect(() => {
    const support = sql({
      dialect: PostgreSQL,
      upperCaseKeywords: true,
      schema: schemaOf(props.catalog),
    });
    const more = PostgreSQL.language.data.of({
      autocomplete: (context: CompletionContext) =>
        completeValue(context, column => newest.current.valuesOf(column)) ??
        completeName(context, props.catalog),
    });
    view.current?.dispatch({ effects: language.current.reconfigure([support, more]) });
  }, [props.catalog]);

  const mark = useMemo(() => markOf(state), [state]);
  useEffect(() => {
    const editor = view.current;
    if (editor === null) return;
    const isOfText = editor.state.doc.toString() === newest.current.state.text;
    editor.dispatch({ effects: setMark.of(isOfText ? mark : null) });
  }, [mark]);

  return <div ref={element} className="h-full min-h-32 overflow-auto" />;
}

/** The part in which two texts differ. */
function between(before: string, after: string): Change {
  let from = 0;
  const shorter = Math.min(before.length, after.length);
  while (from < shorter && before[from] === after[from]) from++;
  let same = 0;
  while (same < shorter - from && before.at(-1 - same) === after.at(-1 - same)) same++;
  return { from, to: before.length - same, insert: after.slice(from, after.length - same) };
}

function schemaOf(catalog: Schemas['Tables'] | undefined): Record<string, string[]> {
  return Object.fromEntries(
    (catalog?.tables ?? []).map(({ name, columns }) => [name, columns.map(column => column.name)]),
  );
}

/** Columns of the tables that are named in the text, and functions. */
function completeName(
  context: CompletionContext,
  catalog: Schemas['Tables'] | undefined,
): CompletionResult | null {
  const word = context.matchBefore(/\w+/);
  if (word === null || catalog === undefined) return null;
  const text = context.state.doc.toString();
  const named = catalog.tables.filter(({ name }) =>
    new RegExp(`\\b${name.replace('.', '\\.')}\\b`).test(text),
  );
  const columns = new Map(
    named.flatMap(({ name, columns }) => columns.map(column => [column.name, `${column.type} · ${name}`])),
  );
  return {
    from: word.from,
    options: [
      ...[...columns].map(([label, detail]) => ({ label, detail, type: 'property', boost: 10 })),
      ...catalog.functions.map(label => ({
        label,
        detail: 'function',
        type: 'function',
        apply: `${label}(`,
      })),
    ],
    validFor: /^\w*$/,
  };
}

/** After `column = '`, the values that are frequent in the log. */
async function completeValueOf(
  column: string,
  from: number,
  valuesOf: (column: string) => Promise<readonly string[]>,
): Promise<CompletionResult | null> {
  const values = await valuesOf(column);
  if (values.length === 0) return null;
  return {
    from,
    options: values.map((label, at) => ({ label, detail: 'frequent', type: 'text', boost: 50 - at })),
    validFor: /^[^']*$/,
  };
}

function completeValue(
  context: CompletionContext,
  valuesOf: (column: string) => Promise<readonly string[]>,
): Promise<CompletionResult | null> | null {
  const before = context.matchBefore(/(\w+)\s*(?:=|!=|<>|~)\s*'[^']*/);
  const [, column] = /^(\w+)/.exec(before?.text ?? '') ?? [];
  if (before === null || column === undefined) return null;
  return completeValueOf(column, before.from + before.text.indexOf("'") + 1, valuesOf);
}

const COLOURS = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--series-1)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--series-5)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'color-mix(in srgb, var(--series-3) 55%, var(--text))' },
  { tag: tags.comment, color: 'var(--muted)', fontStyle: 'italic' },
  { tag: tags.typeName, color: 'var(--muted)' },
]);

const LOOK = EditorView.theme({
  '&': { height: '100%', fontSize: '13px', backgroundColor: 'transparent' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--font-mono)', lineHeight: '1.5' },
  '.cm-content': { caretColor: 'var(--text)', padding: '8px 0' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-gutters': { backgroundColor: 'transparent', border: 'none', color: 'var(--muted)' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'transparent' },
  '.cm-placeholder': { color: 'var(--muted)' },
  '&.cm-focused .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'color-mix(in srgb, var(--accent) 25%, transparent) !important',
  },
  '.cm-tooltip': { backgroundColor: 'var(--panel)', border: '1px solid var(--line)', color: 'var(--text)' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--hover)', color: 'var(--text)' },
  '.cm-completionDetail': { color: 'var(--muted)', fontStyle: 'normal' },
  '.cm-refused': { textDecoration: 'underline wavy var(--critical)', textUnderlineOffset: '3px' },
});
