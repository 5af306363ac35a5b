/**
 * Whatever is typed, run, answered and refused, in whatever order, the editor's state holds: alone, and with a real CodeMirror.
 */
import { EditorState } from '@codemirror/state';
import { EditorView } from '@codemirror/view';
import { describe, expect, it } from 'vitest';
import {
  type Answer,
  type Change,
  type Editing,
  type Event,
  editing,
  fixesOf,
  markOf,
  type Refusal,
  step,
} from './machine';
import { MARKS, setMark } from './marks';

const refusal = (more: Partial<Refusal> = {}): Refusal => ({
  message: 'there is no such table',
  hint: '',
  line: null,
  column: null,
  written: null,
  candidates: [],
  ...more,
});
const answer = { rows: [], columns: [] } as unknown as Answer;
const all = (state: Editing, ...events: Event[]) => events.reduce(step, state);
const run = (statement: string, from = 0, id = 'a'): Event => ({
  type: 'started',
  id,
  statement,
  from,
  at_ms: 0,
});
const refused = (more: Partial<Refusal> = {}, id = 'a'): Event => ({
  type: 'refused',
  id,
  refusal: refusal(more),
});
const typed = (text: string, ...changes: Change[]): Event => ({ type: 'edited', changes, text });
const marked = (state: Editing) => {
  const mark = markOf(state);
  return mark === null ? null : state.text.slice(mark.from, mark.to);
};

describe('a refusal', () => {
  it('marks the word the server pointed at, also within a later statement', () => {
    const text = 'SELECT 1;\n  SELECT nothing\n  FROM totals';
    const at = (line: number, column: number) =>
      marked(all(editing(text), run(text.slice(12), 12), refused({ line, column })));
    expect(at(1, 8)).toBe('nothing');
    expect(at(2, 8)).toBe('totals');
    expect(at(99, 99)).toBeNull();
  });

  it('counts columns by characters', () => {
    const text = "SELECT '😀', nothing";
    expect(marked(all(editing(text), run(text), refused({ line: 1, column: 13 })))).toBe('nothing');
  });

  it('marks the first line if the server did not point, and a name that it told wherever it is', () => {
    const text = 'SELECT * FROM nope\n-- nope';
    expect(marked(all(editing(text), run(text), refused()))).toBe('SELECT * FROM nope');
    expect(marked(all(editing(text), run(text), refused({ written: 'nope' })))).toBe('nope');
    expect(marked(all(editing('SELECT xa, a'), run('SELECT xa, a'), refused({ written: 'a' })))).toBe('a');
  });

  it('of a text that is gone marks nothing and fixes nothing', () => {
    const text = 'SELECT * FROM nope';
    const more = { written: 'nope', candidates: ['note'] };
    const gone = all(
      editing(text),
      run(text),
      typed('', { from: 0, to: text.length, insert: '' }),
      refused(more),
    );
    expect([marked(gone), fixesOf(gone)]).toEqual([null, []]);
    const back = all(gone, typed(text, { from: 0, to: 0, insert: text }));
    expect(marked(back)).toBeNull();
  });

  it('moves with changes before it and is over with the first one within', () => {
    const before = all(editing('SELECT 1; SELECT x'), run('SELECT x', 10), refused({ line: 1, column: 8 }));
    const shifted = all(before, typed('-- a\nSELECT 1; SELECT x', { from: 0, to: 0, insert: '-- a\n' }));
    expect(marked(shifted)).toBe('x');
    expect(
      marked(all(shifted, typed('-- a\nSELECT 1; SELECT y', { from: 22, to: 23, insert: 'y' }))),
    ).toBeNull();
  });

  it('moves with all of several changes at once', () => {
    const before = all(editing('SELECT 1; SELECT x'), run('SELECT x', 10), refused({ line: 1, column: 8 }));
    const changes = [
      { from: 0, to: 0, insert: '-- a\n' },
      { from: 7, to: 8, insert: '22' },
    ];
    expect(marked(all(before, typed('-- a\nSELECT 22; SELECT x', ...changes)))).toBe('x');
  });

  it('is fixed by a candidate, which the editor is told of', () => {
    const text = 'SELECT * FROM totlas';
    const wrong = all(editing(text), run(text), refused({ written: 'totlas', candidates: ['totals'] }));
    expect(fixesOf(wrong)).toEqual(['totals']);
    const fixed = all(wrong, { type: 'fixed', candidate: 'totals' });
    expect([fixed.text, fixed.replaced]).toEqual(['SELECT * FROM totals', 1]);
    expect(fixesOf(fixed)).toEqual([]);
    // Once more is nothing.
    expect(all(fixed, { type: 'fixed', candidate: 'totals' })).toBe(fixed);
  });
});

describe('a run', () => {
  it('is changed by nothing that is heard of another one', () => {
    const running = all(editing('SELECT 2'), run('SELECT 1', 0, 'a'), run('SELECT 2', 0, 'b'));
    for (const late of [
      refused({}, 'a'),
      { type: 'answered', id: 'a', answer } as const,
      { type: 'left', id: 'a', at_ms: 9 } as const,
    ])
      expect(step(running, late)).toBe(running);
    expect(step(running, { type: 'answered', id: 'b', answer }).run.status).toBe('done');
  });

  it('has one end', () => {
    const done = all(editing('SELECT 1'), run('SELECT 1'), { type: 'answered', id: 'a', answer });
    expect(step(done, refused())).toBe(done);
    expect(step(done, { type: 'stopping', id: 'a' })).toBe(done);
  });
});

it('takes the text the editor has where it began with another one', () => {
  const state = all(editing('SELECT 1'), run('SELECT 1'), refused());
  const odd = all(state, typed('entirely else', { from: 3, to: 4, insert: 'x' }));
  expect([odd.text, marked(odd)]).toEqual(['entirely else', null]);
});

/** Numbers that are the same in every run. */
function random(seed: number): (end: number) => number {
  let state = seed;
  return end => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  };
}

const TEXTS = [
  '',
  'SELECT',
  ' * FROM nope',
  ';\n',
  "'é",
  'SHOW TABLES',
  '\n\n',
  'x',
  '😀',
  '"',
  '-- ',
  '\\d',
];

/** A thousand steps of a walk; what each does to the text is done by `edit`, who tells the machine of it. */
function walk(
  seed: number,
  {
    state: first,
    edit,
    seen,
  }: { state: Editing; edit: (state: Editing, changes: Change[]) => Event; seen: (state: Editing) => void },
): void {
  const below = random(seed);
  let state = first;
  const known: string[] = [];
  for (let at = 0; at < 1_000; at++) {
    const { text } = state;
    const kind = below(20);
    if (kind < 5) {
      const from = below(text.length + 1);
      const to = Math.min(text.length, from + below(6));
      state = step(state, edit(state, [{ from, to, insert: TEXTS[below(TEXTS.length)] ?? '' }]));
    } else if (kind === 5) {
      // Two cursors.
      const middle = below(text.length + 1);
      const [a, b] = [below(middle + 1), middle];
      if (a < b)
        state = step(
          state,
          edit(state, [
            { from: a, to: a, insert: 'x' },
            { from: b, to: Math.min(b + 1, text.length), insert: '' },
          ]),
        );
    } else if (kind === 6) {
      // Ctrl-A, Delete.
      state = step(state, edit(state, [{ from: 0, to: text.length, insert: '' }]));
    } else if (kind === 7) {
      state = step(state, { type: 'replaced', text: TEXTS[below(TEXTS.length)] ?? '' });
    } else if (kind < 13) {
      const from = below(2) === 0 ? 0 : below(text.length + 1);
      const id = String(at);
      known.push(id);
      state = step(state, {
        type: 'started',
        id,
        statement: text.slice(from, from + below(40)),
        from,
        at_ms: at,
      });
    } else {
      const id = known[Math.max(0, known.length - 1 - (below(4) === 0 ? 1 : 0))] ?? '';
      const words = text.match(/\w+/g) ?? [];
      const events: Event[] = [
        { type: 'answered', id, answer },
        { type: 'stopping', id },
        { type: 'left', id, at_ms: at },
        { type: 'fixed', candidate: 'totals' },
        refused(
          {
            line: below(3) || null,
            column: below(60),
            written: words[below(Math.max(1, words.length))] ?? null,
            candidates: ['totals'],
          },
          id,
        ),
        refused({ line: below(3) || null, column: below(60) }, id),
      ];
      state = step(state, events[below(events.length)] as Event);
    }
    const mark = markOf(state);
    if (mark !== null) {
      expect(mark.from).toBeGreaterThanOrEqual(0);
      expect(mark.from).toBeLessThan(mark.to);
      expect(mark.to).toBeLessThanOrEqual(state.text.length);
      expect(state.run.status).toBe('failed');
    }
    if (fixesOf(state).length > 0) expect(mark).not.toBeNull();
    if (state.run.status !== 'idle' && state.run.place !== null)
      expect(state.text.slice(state.run.place.from, state.run.place.to)).toBe(state.run.statement);
    seen(state);
  }
}

describe('a thousand random edits, runs and refusals', () => {
  it.each([1, 2, 3, 4])('keep the state whole (%i)', { timeout: 60_000 }, seed => {
    const spliced = (text: string, changes: readonly Change[]) =>
      [...changes]
        .reverse()
        .reduce((text, { from, to, insert }) => text.slice(0, from) + insert + text.slice(to), text);
    const statuses = new Set<string>();
    let marks = 0;
    walk(seed, {
      state: editing('SELECT * FROM web_logs'),
      edit: ({ text }, changes) => typed(spliced(text, changes), ...changes),
      seen: state => {
        statuses.add(state.run.status);
        if (markOf(state) !== null) marks++;
      },
    });
    // The walk went everywhere.
    expect([...statuses].sort()).toEqual(['cancelled', 'done', 'failed', 'idle', 'running', 'stopping']);
    expect(marks).toBeGreaterThan(8);
  });

  it.each([5, 6])('and a CodeMirror that shows it (%i)', { timeout: 60_000 }, seed => {
    let told: Event | null = null;
    const view = new EditorView({
      parent: document.body,
      state: EditorState.create({
        doc: 'SELECT * FROM web_logs',
        extensions: [
          MARKS,
          EditorState.allowMultipleSelections.of(true),
          EditorView.updateListener.of(update => {
            if (!update.docChanged) return;
            const changes: Change[] = [];
            update.changes.iterChanges((from, to, _, __, inserted) => {
              changes.push({ from, to, insert: inserted.toString() });
            });
            told = { type: 'edited', changes, text: update.state.doc.toString() };
          }),
        ],
      }),
    });
    const shown = () => {
      const found: { from: number; to: number }[] = [];
      view.state.field(MARKS).between(0, view.state.doc.length, (from, to) => {
        found.push({ from, to });
      });
      return found;
    };
    walk(seed, {
      state: editing('SELECT * FROM web_logs'),
      edit: ({ text }, changes) => {
        told = null;
        view.dispatch({ changes });
        // A change of nothing is told of by nobody.
        return told ?? typed(text);
      },
      seen: state => {
        // As the component does when it is drawn.
        if (view.state.doc.toString() !== state.text)
          view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: state.text } });
        const mark = markOf(state);
        view.dispatch({ effects: setMark.of(mark) });
        expect(view.state.doc.toString()).toBe(state.text);
        expect(shown()).toEqual(mark === null ? [] : [{ from: mark.from, to: mark.to }]);
      },
    });
    view.destroy();
  });
});
