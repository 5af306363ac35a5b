/**
 * What the live list shows, as a function of the tail and of what a person asked for.
 *
 * Pausing keeps a reference to the tail of that moment; the tail itself goes on, so "N new" is a
 * subtraction. Clearing remembers the counts of that moment and hides what came before.
 */
import type { Tail, TailRow } from '../../api/tail';
import type { Tone } from '../../shared/mark';

/** Why the list stands still, and what it stood at. */
export interface Hold {
  reason: 'button' | 'scroll';
  tail: Tail;
}

export interface Filter {
  /** One of `LEVELS`, or '' for all. */
  level: string;
  text: string;
}

export const LEVELS = ['error', 'warn', 'info', 'debug'] as const;

/** The rows to list, newest first: those after the last clearing that pass the filter. */
export function listed(tail: Tail, clearedAt: number, filter: Filter): readonly TailRow[] {
  const text = filter.text.trim().toLowerCase();
  if (clearedAt === 0 && filter.level === '' && text === '') return tail.rows;
  return tail.rows.filter(
    row =>
      row.seq > clearedAt &&
      (filter.level === '' || levelOf(row.level) === filter.level) &&
      (text === '' || searchable(row).includes(text)),
  );
}

/** How many records came since the list was held. */
export function arrivedSince(hold: Hold, tail: Tail): number {
  return tail.received - hold.tail.received;
}

/** The many spellings of levels, as one of `LEVELS`. */
export function levelOf(level: string | null): (typeof LEVELS)[number] {
  switch (level?.toLowerCase()) {
    case 'error':
    case 'err':
    case 'fatal':
    case 'critical':
      return 'error';
    case 'warn':
    case 'warning':
      return 'warn';
    case 'debug':
    case 'trace':
      return 'debug';
    default:
      return 'info';
  }
}

export function toneOf(level: string | null): Tone {
  return ({ error: 'critical', warn: 'warn', info: 'ok', debug: 'quiet' } as const)[levelOf(level)];
}

function searchable({ message, endpoint, ip, method, status, source }: TailRow): string {
  return `${method} ${endpoint} ${status} ${ip} ${source} ${message}`.toLowerCase();
}
