/**
 * Holds the one state of a page and tells its readers, a few times a second and never more than once per drawn frame.
 *
 * Events may come in hundreds; readers see them folded together, because nobody reads digits faster. While it is frozen,
 * readers keep the state of that moment, all of the same epoch, and the newest goes on behind it.
 */
import { initialState, type LiveEvent, type LiveState, reduce } from './state';

const PUBLISH_EVERY_MS = 250;

export interface Store {
  dispatch(event: LiveEvent): void;
  /** The state as last told to the readers. */
  get(): LiveState;
  /** The state as it is now, frozen or not. */
  newest(): LiveState;
  /** Call `reader` after each publication, until the returned function is called. */
  subscribe(reader: () => void): () => void;
  freeze(frozen: boolean): void;
  isFrozen(): boolean;
}

export function createStore(
  nextFrame: (call: () => void) => void = call => requestAnimationFrame(call),
): Store {
  let current: LiveState = initialState;
  let published: LiveState = initialState;
  let timer: ReturnType<typeof setTimeout> | null = null;
  let frozen = false;
  const readers = new Set<() => void>();

  const publish = () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    const next = frozen
      ? { ...published, link: current.link, clockOffset_ms: current.clockOffset_ms }
      : current;
    if (published === next) return;
    published = next;
    for (const reader of readers) reader();
  };

  return {
    dispatch(event) {
      current = reduce(current, event);
      if (event.type === 'link') publish();
      else timer ??= setTimeout(() => nextFrame(publish), PUBLISH_EVERY_MS);
    },
    get: () => published,
    newest: () => current,
    subscribe(reader) {
      readers.add(reader);
      return () => readers.delete(reader);
    },
    freeze(next) {
      frozen = next;
      published = { ...published };
      publish();
      for (const reader of readers) reader();
    },
    isFrozen: () => frozen,
  };
}
