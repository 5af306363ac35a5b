/**
 * The ring keeps the newest records, numbered as they came, and counts what it was not given.
 */
import { describe, expect, it } from 'vitest';
import { Ring } from './ring';
import type { LogRow, TailFrame } from './wire';

function record(n: number): LogRow {
  return {
    id: `1-${n}`,
    timestamp: new Date(n * 1000).toISOString(),
    level: n % 2 === 0 ? 'INFO' : null,
    values: { endpoint: '/a', status: n === 3 ? null : 200, took_ms: n === 3 ? null : n },
  };
}

function frame(numbers: number[], more: Partial<TailFrame> = {}): TailFrame {
  const rows = numbers.map(record);
  return { topic: 'tail', epoch: 1, rows, matched: rows.length, shown: rows.length, dropped: 0, ...more };
}

const ids = (ring: Ring) => {
  const all: (string | undefined)[] = [];
  for (let number = ring.oldest; number <= ring.counts.received; number++) all.push(ring.read(number)?.id);
  return all;
};

describe('the ring', () => {
  it('numbers records as they came, in order of time within a frame', () => {
    const ring = new Ring(10);
    ring.append(frame([2, 1]), false);
    ring.append(frame([4, 3]), false);
    expect(ids(ring)).toEqual(['1-1', '1-2', '1-3', '1-4']);
    expect(ring.read(0)).toBeNull();
    expect(ring.read(5)).toBeNull();
  });

  it('gives back what was put in, missing values too', () => {
    const ring = new Ring(10);
    ring.append(frame([2, 3]), false);
    expect([ring.read(1), ring.read(2)]).toEqual([record(2), record(3)]);
  });

  it('keeps whatever columns records have, of any type', () => {
    const ring = new Ring(2);
    const append = (row: object) =>
      ring.append(frame([], { rows: [row as LogRow], matched: 1, shown: 1 }), false);
    const rows = [
      { amount: 2.5, country: 'NL', id: 7, timestamp: true },
      { amount: null, country: 7, tags: ['a', 'b'] },
      { amount: 'a lot', country: 'NL' },
      {},
    ].map((values, at) => ({ id: `0-${at}`, timestamp: null, level: null, values }));
    const seen = rows.map(row => {
      append(row);
      return ring.read(ring.counts.received);
    });
    expect(seen).toEqual(rows);
    // The ring has gone round: nothing of the records that were there before is left.
    expect([ring.read(3), ring.read(4)]).toEqual([rows[2], rows[3]]);
  });

  it('never keeps more than its size, and knows which is the oldest', () => {
    const ring = new Ring(3);
    for (let n = 1; n <= 7; n++) ring.append(frame([n]), false);
    expect(ids(ring)).toEqual(['1-5', '1-6', '1-7']);
    expect([ring.oldest, ring.length, ring.read(4)]).toEqual([5, 3, null]);
  });

  it('knows the place of a record without the rest of it', () => {
    const ring = new Ring(2);
    ring.append(frame([1, 2, 3]), false);
    expect([1, 2, 3, 4].map(number => ring.idAt(number))).toEqual([null, '1-2', '1-3', null]);
  });

  it('counts what was left out', () => {
    const ring = new Ring(10);
    ring.append(frame([1], { matched: 9, dropped: 8, unseen: 2, where: 'x = 1' }), false);
    ring.append(frame([2]), false);
    expect(ring.counts).toEqual({ received: 2, matched: 10, dropped: 8, unseen: 2 });
  });

  it('leaves out repeated records after a reconnection only', () => {
    const ring = new Ring(10);
    ring.append(frame([1, 2]), false);
    ring.append(frame([2, 3]), true);
    expect(ids(ring)).toEqual(['1-1', '1-2', '1-3']);
    expect(ring.counts.matched).toBe(3);
    ring.append(frame([3]), false);
    expect(ring.counts.received).toBe(4);
  });

  it('tells the filter the server applied, and that there was none', () => {
    const ring = new Ring(3);
    expect(ring.where).toBeNull();
    ring.append(frame([], { where: 'status >= 500' }), false);
    expect(ring.where).toBe('status >= 500');
    ring.append(frame([]), false);
    expect(ring.where).toBe('');
  });
});
