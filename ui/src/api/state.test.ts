/**
 * What each event does to the state of the page, without a network.
 */
import { describe, expect, it } from 'vitest';
import { rowsOf } from './fold';
import { backoff_ms, DEAD_AFTER_MS, judgeSilence, STALE_AFTER_MS } from './link';
import { HISTORY_MAX, initialState, type LiveState, reduce } from './state';
import { append, emptyTail, TAIL_ROWS_MAX } from './tail';
import type { LogRow, Metrics, StreamEvent } from './wire';

const columns = [{ name: 'n', type: 'int64' }];

function stateAfter(...frames: StreamEvent[]): LiveState {
  return frames.reduce((state, frame) => reduce(state, { type: 'frame', frame, now_ms: 0 }), initialState);
}

function snapshot(type: 'snapshot' | 'reset', epoch: number, ns: number[]): StreamEvent {
  return { type, data: { view: 'v', epoch, as_of: `at ${epoch}`, columns, rows: ns.map(n => ({ n })) } };
}

function numbers(state: LiveState): unknown[] {
  const view = state.views.get('v');
  return view === undefined ? [] : rowsOf(view).map(({ n }) => n);
}

function record(id: string, timestamp = id): LogRow {
  const nothing = { level: null, source: null, message: null, ip: null, method: null, status: null };
  return { ...nothing, id, timestamp, responseTime: null, endpoint: null, userId: null, sessionId: null };
}

function frameOf(...ids: string[]) {
  return {
    epoch: 1,
    rows: ids.map(id => record(id)),
    matched: ids.length + 2,
    shown: ids.length,
    dropped: 2,
  };
}

describe('reduce', () => {
  it('replaces the rows on a reset, even one of an older epoch', () => {
    expect(numbers(stateAfter(snapshot('snapshot', 9, [1, 2]), snapshot('reset', 3, [7])))).toEqual([7]);
  });

  it('ignores changes of a view without a snapshot', () => {
    const changes = [{ diff: 1, row: { n: 1 } }];
    const state = stateAfter({ type: 'changes', data: { view: 'v', epoch: 2, as_of: 'x', changes } });
    expect(state).toBe(initialState);
  });

  it('keeps data when the connection is lost, and forgets views that no longer arrive', () => {
    const state = stateAfter(snapshot('snapshot', 1, [1]));
    const link = { status: 'reconnecting', cause: 'gone', retryAt_ms: 5 } as const;
    expect(numbers(reduce(state, { type: 'link', link }))).toEqual([1]);
    expect(reduce(state, { type: 'opened', views: [] }).views.size).toBe(0);
  });

  it('lets a heartbeat set epoch and clock', () => {
    const data = { epoch: 4, as_of: 'at 4', server_time: '1970-01-01T00:00:02Z' };
    const state = stateAfter(snapshot('snapshot', 9, []), { type: 'heartbeat', data });
    expect(state).toMatchObject({ fresh: { epoch: 4, asOf: 'at 4' }, clockOffset_ms: 2000 });
  });

  it('bounds the history of metrics', () => {
    const data = { eventsPerSec: 1, lastUpdate: null } as Metrics;
    const frames = Array.from({ length: HISTORY_MAX + 5 }, (): StreamEvent => ({ type: 'metrics', data }));
    expect(stateAfter(...frames).history).toHaveLength(HISTORY_MAX);
  });
});

describe('append', () => {
  it('puts the newest first, whatever the order within a frame', () => {
    const tail = append(append(emptyTail, frameOf('1', '2'), false), frameOf('4', '3'), false);
    expect(tail.rows.map(({ id, seq }) => [id, seq])).toEqual([
      ['4', 4],
      ['3', 3],
      ['2', 2],
      ['1', 1],
    ]);
    expect(tail).toMatchObject({ received: 4, matched: 8, dropped: 4 });
  });

  it('leaves out repeated records after a reconnection only', () => {
    const tail = append(emptyTail, frameOf('1', '2'), false);
    expect(append(tail, frameOf('2', '3'), true).rows.map(({ id }) => id)).toEqual(['3', '2', '1']);
    expect(append(tail, frameOf('2'), false).rows).toHaveLength(3);
  });

  it('never keeps more than its bound', () => {
    const many = frameOf(...Array.from({ length: TAIL_ROWS_MAX + 10 }, (_, n) => String(n).padStart(6, '0')));
    const tail = append(emptyTail, many, false);
    expect(tail.rows).toHaveLength(TAIL_ROWS_MAX);
    expect(tail.rows[0]?.seq).toBe(TAIL_ROWS_MAX + 10);
  });
});

describe('link', () => {
  it('doubles the bound of the wait up to 15 s', () => {
    expect([0, 1, 2, 4, 5, 50].map(attempt => backoff_ms(attempt, 1))).toEqual([
      500, 1000, 2000, 8000, 15_000, 15_000,
    ]);
    expect(backoff_ms(3, 0)).toBe(0);
  });

  it('judges silence by missed heartbeats', () => {
    expect([0, 4000, STALE_AFTER_MS, 8000, DEAD_AFTER_MS].map(judgeSilence)).toEqual([
      'live',
      'live',
      'stale',
      'stale',
      'dead',
    ]);
  });
});
