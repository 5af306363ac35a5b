/**
 * Everything a page knows from the stream but the log, and how each event changes it.
 *
 * One state, one `reduce`, no I/O: a test feeds it any order of events. Losing the connection never removes data; it only
 * changes `link`, and the panels date what they show.
 */
import { fold, type Snapshot, snapshotOf } from './fold';
import type { Link } from './link';
import type { Metrics, Pipeline, StreamEvent } from './wire';

/** Two minutes of one-second values for the small curves in the tiles. */
export const HISTORY_MAX = 120;

export interface LiveState {
  link: Link;
  /** The newest epoch seen on any frame. */
  fresh: { epoch: number; asOf: string } | null;
  /** Add this to the local clock to get the server's. */
  clockOffset_ms: number;
  views: ReadonlyMap<string, Snapshot>;
  /** Rows added and removed by the newest frame of a view, and how many frames there were. */
  changed: ReadonlyMap<string, { added: number; removed: number; frames: number }>;
  /** Views that are asked for and that the dataflow does not have. */
  missing: ReadonlySet<string>;
  metrics: Metrics | null;
  history: readonly Metrics[];
  pipeline: Pipeline | null;
  /** Counts the frames of logs, so that their readers know when to look. */
  tailed: number;
}

export type LiveEvent =
  | { type: 'link'; link: Link }
  | { type: 'frame'; frame: StreamEvent; now_ms: number }
  | { type: 'missing'; views: readonly string[] }
  /** Views this page no longer asks for. */
  | { type: 'dropped'; views: readonly string[] };

export const initialState: LiveState = {
  link: { status: 'connecting' },
  fresh: null,
  clockOffset_ms: 0,
  views: new Map(),
  changed: new Map(),
  missing: new Set(),
  metrics: null,
  history: [],
  pipeline: null,
  tailed: 0,
};

export function reduce(state: LiveState, event: LiveEvent): LiveState {
  switch (event.type) {
    case 'link':
      return { ...state, link: event.link };
    case 'missing':
      return { ...state, missing: new Set(event.views) };
    case 'dropped': {
      const keep = ([name]: [string, unknown]) => !event.views.includes(name);
      const views = new Map([...state.views].filter(keep));
      return { ...state, views, changed: new Map([...state.changed].filter(keep)) };
    }
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
      const { view, epoch, as_of, changes } = frame.data;
      const before = state.views.get(view);
      // Changes mean nothing without the snapshot they start from.
      if (before === undefined || epoch <= before.epoch) return state;
      const views = new Map(state.views).set(view, fold(before, frame.data));
      const added = changes.filter(({ diff }) => diff > 0).length;
      const frames = (state.changed.get(view)?.frames ?? 0) + 1;
      const changed = new Map(state.changed).set(view, { added, removed: changes.length - added, frames });
      return refreshed({ ...state, views, changed }, epoch, as_of);
    }
    case 'metrics': {
      const history = [...state.history, frame.data].slice(-HISTORY_MAX);
      return refreshed({ ...state, metrics: frame.data, history }, frame.data.epoch, frame.data.as_of);
    }
    case 'pipeline':
      return { ...state, pipeline: frame.data };
    case 'tail':
      return { ...state, tailed: state.tailed + 1 };
    case 'heartbeat': {
      const server_ms = Date.parse(frame.data.server_time);
      const clockOffset_ms = Number.isNaN(server_ms) ? state.clockOffset_ms : server_ms - now_ms;
      return refreshed({ ...state, clockOffset_ms }, frame.data.epoch, frame.data.as_of);
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
