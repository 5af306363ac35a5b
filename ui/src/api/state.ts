/**
 * Everything the page knows, and how each event changes it.
 *
 * One state, one `reduce`, no I/O: a test feeds it any order of events. Losing the connection never removes
 * data; it only changes `link`, and the panels date what they show.
 */
import { fold, type Snapshot, snapshotOf } from './fold';
import type { Link } from './link';
import { append, emptyTail, type Tail } from './tail';
import type { Health, Metrics, StreamEvent, ViewInfo } from './wire';

/** Two minutes of one-second values for the small curves in the tiles. */
export const HISTORY_MAX = 120;

export interface LiveState {
  link: Link;
  /** The newest epoch seen on any frame. */
  fresh: { epoch: number; asOf: string } | null;
  /** Add this to the local clock to get the server's. */
  clockOffset_ms: number;
  /** `null` until the list of views was read once. */
  catalog: readonly ViewInfo[] | null;
  views: ReadonlyMap<string, Snapshot>;
  metrics: Metrics | null;
  history: readonly Metrics[];
  health: Health | null;
  tail: Tail;
  /** Whether the next tail frame is the first of a connection, and may repeat records. */
  rejoined: boolean;
}

export type LiveEvent =
  | { type: 'link'; link: Link }
  | { type: 'catalog'; views: ViewInfo[] }
  /** A stream was opened that carries these views. */
  | { type: 'opened'; views: readonly string[] }
  | { type: 'frame'; frame: StreamEvent; now_ms: number };

export const initialState: LiveState = {
  link: { status: 'connecting' },
  fresh: null,
  clockOffset_ms: 0,
  catalog: null,
  views: new Map(),
  metrics: null,
  history: [],
  health: null,
  tail: emptyTail,
  rejoined: false,
};

export function reduce(state: LiveState, event: LiveEvent): LiveState {
  switch (event.type) {
    case 'link':
      return { ...state, link: event.link };
    case 'catalog':
      return { ...state, catalog: event.views };
    case 'opened':
      return { ...state, rejoined: true, views: keepOnly(state.views, event.views) };
    case 'frame':
      return reduceFrame(state, event.frame, event.now_ms);
  }
}

function reduceFrame(state: LiveState, frame: StreamEvent, now_ms: number): LiveState {
  switch (frame.type) {
    case 'snapshot':
    case 'reset': {
      const views = new Map(state.views).set(frame.data.view, snapshotOf(frame.data));
      return refreshed({ ...state, views }, frame.data.epoch, frame.data.as_of);
    }
    case 'changes': {
      const before = state.views.get(frame.data.view);
      // Changes mean nothing without the snapshot they start from.
      if (before === undefined) return state;
      const views = new Map(state.views).set(frame.data.view, fold(before, frame.data));
      return refreshed({ ...state, views }, frame.data.epoch, frame.data.as_of);
    }
    case 'metrics': {
      const history = [...state.history, frame.data].slice(-HISTORY_MAX);
      return refreshed({ ...state, metrics: frame.data, history }, frame.data.epoch, frame.data.as_of);
    }
    case 'health':
      return { ...state, health: frame.data };
    case 'tail':
      return { ...state, tail: append(state.tail, frame.data, state.rejoined), rejoined: false };
    case 'heartbeat': {
      const server_ms = Date.parse(frame.data.server_time);
      const clockOffset_ms = Number.isNaN(server_ms) ? state.clockOffset_ms : server_ms - now_ms;
      // A heartbeat is the server's own word, so it may also move the epoch back, after a restart.
      return { ...state, clockOffset_ms, fresh: { epoch: frame.data.epoch, asOf: frame.data.as_of } };
    }
    case 'bye':
      return state;
  }
}

/** Note a newer epoch. Frames without a time of their own cannot date it. */
function refreshed(state: LiveState, epoch: number | undefined, asOf: string | undefined): LiveState {
  if (epoch === undefined || asOf === undefined) return state;
  if (state.fresh !== null && epoch <= state.fresh.epoch) return state;
  return { ...state, fresh: { epoch, asOf } };
}

/** Forget views that no longer arrive, or they would look live and be old. */
function keepOnly(views: LiveState['views'], names: readonly string[]): LiveState['views'] {
  return new Map([...views].filter(([name]) => names.includes(name)));
}
