import { describe, expect, it } from 'vitest';
import { Ring } from '../../api/ring';
import type { LogRow } from '../../api/wire';
import { Older } from './older';

const row = (n: number): LogRow => ({
  id: `0-${n}`,
  timestamp: new Date(n * 1000).toISOString(),
  level: null,
  values: {},
});
const frame = (numbers: number[]) => ({
  topic: 'tail',
  epoch: 1,
  rows: numbers.map(row),
  matched: numbers.length,
  shown: numbers.length,
  dropped: 0,
});
const ids = (older: Older, ring: Ring, top = ring.counts.received) =>
  older.below(ring, top).map(({ id }) => id);

describe('records below a live list', () => {
  it('are all of them while nothing is live', () => {
    expect(ids(new Older([3, 2, 1].map(row)), new Ring(10))).toEqual(['0-3', '0-2', '0-1']);
  });

  it('are none that the live list has, whichever came first', () => {
    const ring = new Ring(10);
    ring.append(frame([3, 4]), false);
    const older = new Older([4, 3, 2, 1].map(row));
    expect(ids(older, ring)).toEqual(['0-2', '0-1']);
    // One that was stored before it came on the stream.
    ring.append(frame([2]), false);
    expect(ids(older, ring)).toEqual(['0-1']);
  });

  it('are none that lie between those of the live list', () => {
    const ring = new Ring(10);
    ring.append(frame([2, 5]), false);
    expect(ids(new Older([5, 4, 3, 2, 1].map(row)), ring)).toEqual(['0-1']);
  });

  it('stay as they are below a list that was held before its first live record', () => {
    const ring = new Ring(2);
    const older = new Older([3, 2, 1].map(row));
    expect(ids(older, ring, 0)).toEqual(['0-3', '0-2', '0-1']);
    ring.append(frame([2, 3, 4]), false);
    expect(ids(older, ring, 0)).toEqual(['0-3', '0-2', '0-1']);
    expect(ids(older, ring)).toEqual([]);
  });

  it('go once the live list has let go of its first', () => {
    const ring = new Ring(2);
    ring.append(frame([2, 3]), false);
    const older = new Older([1].map(row));
    expect(ids(older, ring)).toEqual(['0-1']);
    ring.append(frame([4]), false);
    expect(ids(older, ring)).toEqual([]);
  });
});
