/**
 * What the server refused, underlined in the text it was found in.
 *
 * The answer to a query comes when the text may have become another one, even none. So a mark is only set where there is
 * text for it, and it goes with the first change within it.
 */
import { type EditorState, StateEffect, StateField } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView } from '@codemirror/view';

export interface EditorError {
  message: string;
  /** From 1, within the statement that was run. */
  line: number | null;
  column: number | null;
  /** Where that statement begins in the text. */
  from: number;
  /** The statement. A mark belongs to it and to no other text. */
  statement: string;
}

interface Mark {
  from: number;
  to: number;
  message: string;
}

export const setMark = StateEffect.define<Mark | null>();

/** The word the server pointed at; the statement's first line if it did not point; `null` if the text is not there any more. */
export function markOf(state: EditorState, error: EditorError): Mark | null {
  const { line, column, from, statement, message } = error;
  if (statement === '' || state.sliceDoc(from, from + statement.length) !== statement) return null;
  const start = state.doc.lineAt(from);
  if (line === null) return marked(from, Math.min(start.to, from + statement.length), message);
  const number = Math.min(start.number + Math.max(line, 1) - 1, state.doc.lines);
  const place = state.doc.line(number);
  const indent = line === 1 ? from - start.from : 0;
  const at = Math.min(place.from + indent + Math.max(0, (column ?? 1) - 1), place.to);
  const word = /^[\w."]+/.exec(state.sliceDoc(at, place.to))?.[0].length ?? 1;
  return marked(at, Math.min(at + word, place.to), message);
}

function marked(from: number, to: number, message: string): Mark | null {
  return from < to ? { from, to, message } : null;
}

/** Underlined until the text within changes, or another mark or none is set. */
export const MARKS = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, { effects, docChanged, changes, newDoc }) {
    let next = docChanged ? marks.map(changes) : marks;
    if (docChanged)
      changes.iterChangedRanges((from, to) => {
        next = next.update({ filter: (begin, end) => end < from || to < begin });
      });
    for (const effect of effects) {
      if (!effect.is(setMark)) continue;
      const mark = effect.value;
      next =
        mark === null || mark.from >= mark.to || mark.to > newDoc.length
          ? Decoration.none
          : Decoration.set([
              Decoration.mark({ class: 'cm-refused', attributes: { title: mark.message } }).range(
                mark.from,
                mark.to,
              ),
            ]);
    }
    return next;
  },
  provide: field => EditorView.decorations.from(field),
});
