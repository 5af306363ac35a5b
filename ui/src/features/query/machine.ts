/**
 * What an editor and its answer are, whatever is typed, run and refused, in whatever order: a state and the events that
 * change it.
 *
 * Answers come late, when the text may have become another one. So what was asked is kept with the place it stands at in the
 * text; the place moves with changes before it and is gone with the first change within. A refusal is marked, and its fix
 * offered, only as long as that place is there.
 */
import type { Schemas } from '../../api/wire';

export type Answer = Schemas['SqlAnswer'];

/** From where to where in a text; the end is not in it. */
export interface Range {
  from: number;
  to: number;
}

/** A part of a text that was replaced. */
export interface Change extends Range {
  insert: string;
}

/** Why there is no answer. */
export interface Refusal {
  message: string;
  hint: string;
  /** From 1, within the statement. */
  line: number | null;
  column: number | null;
  /** The name that is not there, and what may be meant. */
  written: string | null;
  candidates: readonly string[];
}

interface Asked {
  /** Tells runs apart: what is heard of another one than the newest changes nothing. */
  id: string;
  statement: string;
  /** Where it stands in the text, or `null` since it was changed there. */
  place: Range | null;
  began_ms: number;
}

export type Run =
  | { status: 'idle' }
  | ({ status: 'running' } & Asked)
  /** Asked to stop, and to give the rows it has. */
  | ({ status: 'stopping' } & Asked)
  /** Whole, up to the limit of rows, or, if it says so itself, partial. */
  | ({ status: 'done'; answer: Answer } & Asked)
  | ({ status: 'failed'; refusal: Refusal } & Asked)
  | ({ status: 'cancelled'; after_ms: number } & Asked);

export interface Editing {
  text: string;
  /** How often the text was replaced from outside the editor: a sample, a saved query, the address, a fix. */
  replaced: number;
  run: Run;
}

export type Event =
  /** Typed: the changes in the order of the text, all of them of the text before, and what it became. */
  | { type: 'edited'; changes: readonly Change[]; text: string }
  | { type: 'replaced'; text: string }
  | { type: 'started'; id: string; statement: string; from: number; at_ms: number }
  | { type: 'stopping'; id: string }
  | { type: 'answered'; id: string; answer: Answer }
  | { type: 'refused'; id: string; refusal: Refusal }
  | { type: 'left'; id: string; at_ms: number }
  /** A candidate takes the place of the name that is not there. */
  | { type: 'fixed'; candidate: string };

export function editing(text: string): Editing {
  return { text, replaced: 0, run: { status: 'idle' } };
}

export function step(state: Editing, event: Event): Editing {
  const { run } = state;
  switch (event.type) {
    case 'edited':
      return typed(state, event);
    case 'replaced':
      if (event.text === state.text) return state;
      return replaced(state, [{ from: 0, to: state.text.length, insert: event.text }]);
    case 'started':
      return {
        ...state,
        run: {
          status: 'running',
          id: event.id,
          statement: event.statement,
          place: placeOf(state.text, event.statement, event.from),
          began_ms: event.at_ms,
        },
      };
    case 'fixed': {
      const mark = markOf(state);
      if (mark === null) return state;
      return replaced(state, [{ from: mark.from, to: mark.to, insert: event.candidate }]);
    }
    default:
      if (run.status === 'idle' || run.id !== event.id) return state;
      if (run.status !== 'running' && run.status !== 'stopping') return state;
      return { ...state, run: heard(run, event) };
  }
}

type Heard = Extract<Event, { type: 'stopping' | 'answered' | 'refused' | 'left' }>;

function heard({ id, statement, place, began_ms }: Asked, event: Heard): Run {
  const asked = { id, statement, place, began_ms };
  switch (event.type) {
    case 'stopping':
      return { status: 'stopping', ...asked };
    case 'answered':
      return { status: 'done', ...asked, answer: event.answer };
    case 'refused':
      return { status: 'failed', ...asked, refusal: event.refusal };
    case 'left':
      return { status: 'cancelled', ...asked, after_ms: event.at_ms - began_ms };
  }
}

function placeOf(text: string, statement: string, from: number): Range | null {
  const to = from + statement.length;
  return statement !== '' && text.slice(from, to) === statement ? { from, to } : null;
}

function replaced(state: Editing, changes: readonly Change[]): Editing {
  return { ...edited(state, changes), replaced: state.replaced + 1 };
}

/** What the editor has is what counts, also if it began with another text than was known. */
function typed(state: Editing, { changes, text }: Extract<Event, { type: 'edited' }>): Editing {
  const next = edited(state, changes);
  if (next.text === text) return next;
  const { run } = state;
  return { ...state, text, run: run.status === 'idle' ? run : { ...run, place: null } };
}

function edited(state: Editing, changes: readonly Change[]): Editing {
  let { text } = state;
  // From the end, so that the places of those before stay what they are.
  for (const { from, to, insert } of [...changes].reverse())
    text = text.slice(0, from) + insert + text.slice(to);
  const { run } = state;
  if (run.status === 'idle' || run.place === null) return { ...state, text };
  return { ...state, text, run: { ...run, place: moved(run.place, changes) } };
}

/** Where a range is after changes; `null` if one is within or touches it. */
function moved(place: Range, changes: readonly Change[]): Range | null {
  let by = 0;
  for (const { from, to, insert } of changes) {
    if (to < place.from) by += insert.length - (to - from);
    else if (from <= place.to) return null;
  }
  return { from: place.from + by, to: place.to + by };
}

/** What is wrong in the text, as long as it is there: the name, the word at the place the server told, or the first line. */
export function markOf({ text, run }: Editing): (Range & { message: string }) | null {
  if (run.status !== 'failed' || run.place === null) return null;
  const { place, statement, refusal } = run;
  const at = offsetOf(statement, refusal);
  const word = wordAt(statement, at, refusal);
  if (word === null || text.slice(place.from, place.to) !== statement) return null;
  return { from: place.from + word.from, to: place.from + word.to, message: refusal.message };
}

function offsetOf(statement: string, { line, column }: Refusal): number | null {
  if (line === null) return null;
  const lines = statement.split('\n');
  const number = Math.min(Math.max(line, 1), lines.length);
  const before = lines.slice(0, number - 1).reduce((sum, it) => sum + it.length + 1, 0);
  // Columns count characters, offsets count UTF-16 units.
  const characters = [...(lines[number - 1] ?? '')].slice(0, Math.max(0, (column ?? 1) - 1));
  return before + characters.join('').length;
}

function wordAt(statement: string, at: number | null, { written }: Refusal): Range | null {
  const named = written === null || written === '' ? null : occurrence(statement, written, at);
  if (named !== null) return named;
  if (at === null) {
    const [first = ''] = statement.split('\n');
    return first === '' ? null : { from: 0, to: first.length };
  }
  const [word = statement[at] ?? ''] = /^[\w."]+/.exec(statement.slice(at)) ?? [];
  return word === '' || word === '\n' ? null : { from: at, to: at + word.length };
}

/** The name as a whole word: at the place, or else wherever it first is. */
function occurrence(statement: string, written: string, at: number | null): Range | null {
  const escaped = written.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const found = [...statement.matchAll(new RegExp(`(?<![\\w"])"?${escaped}"?(?![\\w"])`, 'gi'))];
  const match =
    found.find(({ index }) => index === at) ?? found.find(({ index }) => index >= (at ?? 0)) ?? found[0];
  return match === undefined ? null : { from: match.index, to: match.index + match[0].length };
}

/** What may be put in the place of the name that is not there; none once its text was changed. */
export function fixesOf(state: Editing): readonly string[] {
  const { run } = state;
  if (run.status !== 'failed' || run.refusal.candidates.length === 0) return [];
  const mark = markOf(state);
  const marked = mark === null ? '' : state.text.slice(mark.from, mark.to).replaceAll('"', '');
  return marked.toLowerCase() === run.refusal.written?.toLowerCase() ? run.refusal.candidates : [];
}

/** The statement of the newest run, or what would be run. */
export function statementOf({ run }: Editing): string | null {
  return run.status === 'idle' ? null : run.statement;
}
