/** The one mark of the editor: what the server refused, underlined until the text within changes. `machine` says where it is. */
import { StateEffect, StateField } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView } from '@codemirror/view';

export interface Mark {
  from: number;
  to: number;
  message: string;
}

export const setMark = StateEffect.define<Mark | null>();

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
