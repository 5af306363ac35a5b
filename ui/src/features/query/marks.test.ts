/**
 * Whatever is typed, run and refused, in whatever order, the editor's state holds.
 */
import { EditorState } from '@codemirror/state';
import { describe, expect, it } from 'vitest';
import { type EditorError, MARKS, markOf, setMark } from './marks';

const stateOf = (doc: string) => EditorState.create({ doc, extensions: [MARKS] });
const errorOf = (statement: string, more: Partial<EditorError> = {}): EditorError => ({
  message: 'no such table',
  line: null,
  column: null,
  from: 0,
  statement,
  ...more,
});
const marksOf = (state: EditorState) => {
  const found: string[] = [];
  state.field(MARKS).between(0, state.doc.length, (from, to) => {
    found.push(state.sliceDoc(from, to));
  });
  return found;
};
const refuse = (state: EditorState, error: EditorError) =>
  state.update({ effects: setMark.of(markOf(state, error)) }).state;

describe('a refusal', () => {
  it('underlines the word the server pointed at, also within a later statement', () => {
    const text = 'SELECT 1;\n  SELECT nothing\n  FROM totals';
    const statement = 'SELECT nothing\n  FROM totals';
    const at = (line: number, column: number) =>
      marksOf(refuse(stateOf(text), errorOf(statement, { line, column, from: 12 })));
    expect(at(1, 8)).toEqual(['nothing']);
    expect(at(2, 8)).toEqual(['totals']);
    expect(at(99, 99)).toEqual([]);
  });

  it('underlines the first line if the server did not point', () => {
    expect(marksOf(refuse(stateOf('SHOW TABLES\n-- x'), errorOf('SHOW TABLES\n-- x')))).toEqual([
      'SHOW TABLES',
    ]);
  });

  it('marks nothing in a text that is not the one it is about', () => {
    expect(marksOf(refuse(stateOf(''), errorOf('SHOW TABLES')))).toEqual([]);
    expect(marksOf(refuse(stateOf('SELECT 2'), errorOf('SHOW TABLES')))).toEqual([]);
  });

  it('is over when its text is changed, and stays when another is', () => {
    const refused = refuse(stateOf('SELECT x; SELECT 2'), errorOf('SELECT x', { line: 1, column: 8 }));
    const elsewhere = refused.update({ changes: { from: 17, insert: '9' } }).state;
    expect(marksOf(elsewhere)).toEqual(['x']);
    expect(marksOf(elsewhere.update({ changes: { from: 7, to: 8 } }).state)).toEqual([]);
  });
});

it('holds over a thousand random edits, runs and refusals', () => {
  let seed = 7;
  const below = (end: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % end;
  };
  const texts = ['', 'SELECT', ' * FROM nope', ';\n', "'é", 'SHOW TABLES', '\n\n', 'x'];
  let state = stateOf('SELECT * FROM web_logs');
  let text = state.doc.toString();
  const asked: EditorError[] = [];
  for (let step = 0; step < 1_000; step++) {
    const kind = below(6);
    if (kind < 3) {
      const from = below(text.length + 1);
      const to = from + below(text.length - from + 1);
      const insert = texts[below(texts.length)] ?? '';
      state = state.update({ changes: { from, to, insert } }).state;
      text = text.slice(0, from) + insert + text.slice(to);
    } else if (kind === 3) {
      // Ctrl-A, Delete.
      state = state.update({ changes: { from: 0, to: text.length } }).state;
      text = '';
    } else if (kind === 4) {
      const from = below(text.length + 1);
      asked.push(errorOf(text.slice(from), { from, line: below(3) || null, column: below(40) }));
    } else {
      const error = asked[below(Math.max(1, asked.length))];
      if (error !== undefined) state = refuse(state, error);
    }
    expect(state.doc.toString()).toBe(text);
    for (const mark of marksOf(state)) expect(mark).not.toBe('');
  }
});
