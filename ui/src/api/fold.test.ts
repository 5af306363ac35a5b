/**
 * The law of the fold: whatever way changes arrive, the rows are those the view holds at its epoch.
 */
import { describe, expect, it } from 'vitest';
import { fold, rowsOf, type Snapshot, snapshotOf } from './fold';
import type { Change, Row } from './wire';

const columns = [
  { name: 'endpoint', type: 'utf8' },
  { name: 'requests', type: 'int64' },
];

function snapshotWith(epoch: number, rows: Row[]): Snapshot {
  return snapshotOf({ view: 'v', epoch, as_of: `at ${epoch}`, generation: 1, columns, rows });
}

function changed(snapshot: Snapshot, epoch: number, changes: Change[]): Snapshot {
  return fold(snapshot, { view: 'v', epoch, as_of: `at ${epoch}`, generation: 1, changes });
}

const cart = { endpoint: '/cart', requests: 1 };
const cartAgain = { endpoint: '/cart', requests: 2 };
const login = { endpoint: '/login', requests: 1 };

describe('fold', () => {
  it('inserts and retracts rows', () => {
    const after = changed(snapshotWith(1, [cart, login]), 2, [
      { diff: -1, row: cart },
      { diff: 1, row: cartAgain },
    ]);
    expect(rowsOf(after)).toEqual([login, cartAgain]);
    expect(after).toMatchObject({ epoch: 2, asOf: 'at 2' });
  });

  it('changes nothing for an epoch already seen', () => {
    const before = changed(snapshotWith(1, [cart]), 2, [{ diff: 1, row: login }]);
    expect(changed(before, 2, [{ diff: 1, row: login }])).toBe(before);
    expect(changed(before, 1, [{ diff: -1, row: cart }])).toBe(before);
  });

  it('takes the retraction of a row before its insertion', () => {
    const after = changed(snapshotWith(1, []), 2, [
      { diff: -1, row: cart },
      { diff: 1, row: cart },
    ]);
    expect(rowsOf(after)).toEqual([]);
  });

  it('counts equal rows', () => {
    const twice = changed(snapshotWith(1, [cart, cart]), 2, [{ diff: 1, row: cart }]);
    expect(rowsOf(twice)).toEqual([cart, cart, cart]);
    expect(rowsOf(changed(twice, 3, [{ diff: -2, row: cart }]))).toEqual([cart]);
  });

  it('knows a row again whose fields come in another order', () => {
    const swapped = { requests: 1, endpoint: '/cart' };
    expect(rowsOf(changed(snapshotWith(1, [cart]), 2, [{ diff: -1, row: swapped }]))).toEqual([]);
  });

  it('leaves the snapshot it started from alone', () => {
    const before = snapshotWith(1, [cart]);
    changed(before, 2, [{ diff: -1, row: cart }]);
    expect(rowsOf(before)).toEqual([cart]);
  });
});
