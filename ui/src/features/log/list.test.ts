/**
 * What the list shows while it is followed, held, cleared and filtered.
 */
import { describe, expect, it } from 'vitest';
import { append, emptyTail, type Tail } from '../../api/tail';
import { arrivedSince, levelOf, listed } from './list';

function tailOf(...lines: [level: string, message: string][]): Tail {
  const rows = lines.map(([level, message], index) => ({
    ...{ id: index, timestamp: String(index), level, message, source: null, ip: '10.0.0.1', method: 'GET' },
    ...{ status: 200, responseTime: 3, endpoint: '/cart', userId: null, sessionId: null },
  }));
  return append(emptyTail, { epoch: 1, rows, matched: rows.length, shown: rows.length, dropped: 0 }, false);
}

const all = { level: '', text: '' };
const tail = tailOf(['INFO', 'one'], ['ERROR', 'two'], ['WARNING', 'three']);
const messages = (rows: readonly { message: string | null }[]) => rows.map(({ message }) => message);

describe('the live list', () => {
  it('shows everything, newest first', () => {
    expect(messages(listed(tail, 0, all))).toEqual(['three', 'two', 'one']);
  });

  it('filters by level and by text in any field', () => {
    expect(messages(listed(tail, 0, { level: 'warn', text: '' }))).toEqual(['three']);
    expect(messages(listed(tail, 0, { level: '', text: ' TWO ' }))).toEqual(['two']);
    expect(listed(tail, 0, { level: '', text: 'get /cart 200' })).toHaveLength(3);
    expect(listed(tail, 0, { level: 'error', text: 'three' })).toEqual([]);
  });

  it('hides what came before a clearing', () => {
    expect(messages(listed(tail, 2, all))).toEqual(['three']);
  });

  it('counts what came while it was held', () => {
    const more = append(
      tail,
      { epoch: 2, rows: tail.rows.slice(0, 2), matched: 2, shown: 2, dropped: 0 },
      false,
    );
    expect(arrivedSince({ reason: 'button', tail }, more)).toBe(2);
  });

  it('knows levels by their many names', () => {
    const names = ['FATAL', 'err', 'Warn', 'trace', 'notice', null];
    expect(names.map(levelOf)).toEqual(['error', 'error', 'warn', 'debug', 'info', 'info']);
  });
});
