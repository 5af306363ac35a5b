/**
 * Holds the one state and tells its readers, a few times a second.
 *
 * Events may come in hundreds; readers see them folded together, at most every `PUBLISH_EVERY_MS`, because
 * nobody reads digits faster. A change of the connection is told at once.
 */
import { initialState, type LiveEvent, type LiveState, reduce } from './state';

const PUBLISH_EVERY_MS = 100;

export interface Store {
  dispatch(event: LiveEvent): void;
  /** The state as last told to the readers. */
  get(): LiveState;
  /** Call `reader` after each publication, until the returned function is called. */
  subscribe(reader: () => void): () => void;
}

export function createStore(): Store {
  let current: LiveState = initialState;
  let published: LiveState = initialState;
  let timer: ReturnType<typeof setTimeout> | null = null;
  const readers = new Set<() => void>();

  const publish = () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (published === current) return;
    published = current;
    for (const reader of readers) reader();
  };

  return {
    dispatch(event) {
      current = reduce(current, event);
      if (event.type === 'link') publish();
      else timer ??= setTimeout(publish, PUBLISH_EVERY_MS);
    },
    get: () => published,
    subscribe(reader) {
      readers.add(reader);
      return () => readers.delete(reader);
    },
  };
}
