/**
 * What each event does to the state of the page, without a network.
 */
import { describe, expect, it } from 'vitest';
import { rowsOf } from './fold';
import { backoff_ms, DEAD_AFTER_MS, judgeSilence, STALE_AFTER_MS } from './link';
import { HISTORY_MAX, initialState, type LiveState, reduce } from './state';
import { createStore } from './store';
import type { Metrics, StreamEvent } from './wire';

const columns = [{ name: 'n', type: 'bigint' }];

function stateAfter(...frames: StreamEvent[]): LiveState {
  return frames.reduce((state, frame) => reduce(state, { type: 'frame', frame, now_ms: 0 }), initialState);
}

function snapshot(type: 'snapshot' | 'reset', epoch: number, ns: number[]): StreamEvent {
  const rows = ns.map(n => ({ n }));
  return { type, data: { view: 'v', epoch, as_of: `at ${epoch}`, generation: 1, columns, rows } };
}

function changes(epoch: number, ...all: [number, number][]): StreamEvent {
  const list = all.map(([n, diff]) => ({ diff, row: { n } }));
  return { type: 'changes', data: { view: 'v', epoch, as_of: `at ${epoch}`, generation: 1, changes: list } };
}

function numbers(state: LiveState): unknown[] {
  const view = state.views.get('v');
  return view === undefined ? [] : rowsOf(view).map(({ n }) => n);
}

describe('reduce', () => {
  it('replaces the rows on a reset, even one of an older epoch', () => {
    expect(numbers(stateAfter(snapshot('snapshot', 9, [1, 2]), snapshot('reset', 3, [7])))).toEqual([7]);
  });

  it('ignores changes of a view without a snapshot', () => {
    expect(stateAfter(changes(2, [1, 1]))).toBe(initialState);
  });

  it('counts what a frame adds and removes, and a repeated frame not at all', () => {
    const state = stateAfter(
      snapshot('snapshot', 1, [1]),
      changes(2, [1, -1], [2, 1], [3, 1]),
      changes(2, [9, 1]),
    );
    expect(numbers(state)).toEqual([2, 3]);
    expect(state.changed.get('v')).toEqual({ added: 2, removed: 1, frames: 1 });
  });

  it('keeps data when the connection is lost, and forgets views that are not asked for', () => {
    const state = stateAfter(snapshot('snapshot', 1, [1]));
    const link = { status: 'reconnecting', cause: 'gone', retryAt_ms: 5 } as const;
    expect(numbers(reduce(state, { type: 'link', link }))).toEqual([1]);
    expect(reduce(state, { type: 'dropped', views: ['v'] }).views.size).toBe(0);
  });

  it('lets a heartbeat set the clock, and the epoch only forward', () => {
    const data = { epoch: 4, as_of: 'at 4', server_time: '1970-01-01T00:00:02Z' };
    const heartbeat: StreamEvent = { type: 'heartbeat', data };
    expect(stateAfter(heartbeat)).toMatchObject({ fresh: { epoch: 4 }, clockOffset_ms: 2000 });
    expect(stateAfter(snapshot('snapshot', 9, []), heartbeat).fresh).toEqual({ epoch: 9, asOf: 'at 9' });
  });

  it('bounds the history of metrics', () => {
    const data = { eventsPerSec: 1, lastUpdate: null } as Metrics;
    const frames = Array.from({ length: HISTORY_MAX + 5 }, (): StreamEvent => ({ type: 'metrics', data }));
    expect(stateAfter(...frames).history).toHaveLength(HISTORY_MAX);
  });
});

describe('the store', () => {
  it('holds every panel at one epoch while it is frozen, and goes on with the newest', () => {
    const store = createStore(call => call());
    const show = (frame: StreamEvent) => store.dispatch({ type: 'frame', frame, now_ms: 0 });
    show(snapshot('snapshot', 1, [1]));
    store.dispatch({ type: 'link', link: { status: 'live' } });
    store.freeze(true);
    show(changes(2, [1, -1], [2, 1]));
    store.dispatch({ type: 'link', link: { status: 'reconnecting', cause: 'gone', retryAt_ms: null } });
    expect([numbers(store.get()), store.get().fresh?.epoch]).toEqual([[1], 1]);
    expect(store.get().link.status).toBe('reconnecting');
    expect(numbers(store.newest())).toEqual([2]);
    store.freeze(false);
    expect([numbers(store.get()), store.get().fresh?.epoch]).toEqual([[2], 2]);
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
    expect(
      [0, STALE_AFTER_MS - 1, STALE_AFTER_MS, DEAD_AFTER_MS - 1, DEAD_AFTER_MS].map(judgeSilence),
    ).toEqual(['live', 'live', 'stale', 'stale', 'dead']);
  });
});
