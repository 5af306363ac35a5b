/**
 * Keeps the one stream of the page open.
 *
 *   read the list of views → open the stream with the topics that exist → read frames until it ends
 *        ↑                                                                        |
 *        +------------- wait a random, growing time (or "retry now") <------------+
 *
 * The stream is read with `fetch` rather than `EventSource`, which hides error answers and cannot be told
 * when to try again. A page has one stream, since a browser gives plain HTTP only six connections per server.
 */
import { createParser } from 'eventsource-parser';
import { backoff_ms, judgeSilence } from './link';
import type { Store } from './store';
import { parseFrame, type StreamEvent, type ViewInfo, type ViewsResponse } from './wire';

const OPEN_WITHIN_MS = 10_000;
const WATCH_EVERY_MS = 500;
const CATALOG_EVERY_MS = 15_000;
/** A connection that lived this long was a good one, and the next wait is short again. */
const GOOD_AFTER_MS = 5_000;

export interface Live {
  retryNow(): void;
  /** Also carry this view, in place of the one asked for before. */
  show(view: string | null): void;
  /** Close the stream while nobody looks, and open it again. */
  rest(): void;
  wake(): void;
  close(): void;
}

/** What the outside world offers, so that a test can offer something else. */
export interface World {
  fetch: typeof fetch;
  random: () => number;
  now: () => number;
}

const browser: World = {
  fetch: (input, init) => fetch(input, init),
  random: Math.random,
  now: Date.now,
};

/** Open the stream and keep it open. `wanted` are the views to carry whenever they exist. */
export function startLive(store: Store, wanted: readonly string[], world: World = browser): Live {
  let extra: string | null = null;
  let resting = false;
  let closed = false;
  let attempt = 0;
  let carried: string[] = [];
  let lastEventId: { topics: string; id: string } | null = null;
  let connection: AbortController | null = null;
  let endWait: (() => void) | null = null;
  /** Set when the connection is ended on purpose, to open another at once. */
  let again = false;

  async function run(): Promise<void> {
    while (!closed) {
      if (resting) {
        await wait(null);
        continue;
      }
      again = false;
      const cause = await attemptOnce();
      if (closed || again || resting) continue;
      const delay_ms = backoff_ms(attempt, world.random());
      attempt += 1;
      const retryAt_ms = world.now() + delay_ms;
      store.dispatch({ type: 'link', link: { status: 'reconnecting', cause, retryAt_ms } });
      await wait(delay_ms);
      store.dispatch({ type: 'link', link: { status: 'reconnecting', cause, retryAt_ms: null } });
    }
  }

  /** One connection from beginning to end. Resolves to the reason why it ended. */
  async function attemptOnce(): Promise<string> {
    const controller = new AbortController();
    connection = controller;
    const opening = setTimeout(() => controller.abort(new Error(TOO_SLOW)), OPEN_WITHIN_MS);
    let polling: ReturnType<typeof setInterval> | undefined;
    let watching: ReturnType<typeof setInterval> | undefined;
    try {
      const views = await readCatalog(controller.signal);
      carried = [...new Set(extra === null ? wanted : [...wanted, extra])].filter(name =>
        views.some(view => view.name === name),
      );
      const topics = [
        'metrics',
        'health',
        'tail',
        ...carried.map(name => `view:${encodeURIComponent(name)}`),
      ].join();
      const headers: Record<string, string> = { Accept: 'text/event-stream' };
      // An id only resumes the same topics; other topics begin with their snapshots.
      if (lastEventId?.topics === topics) headers['Last-Event-ID'] = lastEventId.id;
      const response = await world.fetch(`api/v1/stream?topics=${topics}`, {
        headers,
        cache: 'no-store',
        signal: controller.signal,
      });
      if (!response.ok || response.body === null) throw new Error(await problemOf(response));
      clearTimeout(opening);
      store.dispatch({ type: 'opened', views: carried });
      const opened_ms = world.now();
      let heard_ms = opened_ms;
      watching = setInterval(() => {
        const silence = judgeSilence(world.now() - heard_ms);
        const { status } = store.get().link;
        if (silence === 'dead') controller.abort(new Error('the server fell silent'));
        else if (silence === 'stale' && status !== 'stale')
          store.dispatch({ type: 'link', link: { status: 'stale', since_ms: heard_ms } });
      }, WATCH_EVERY_MS);
      polling = setInterval(() => void pollCatalog(controller.signal), CATALOG_EVERY_MS);
      return await readFrames(response.body, controller.signal, (frame, id) => {
        heard_ms = world.now();
        if (id !== undefined) lastEventId = { topics, id };
        if (heard_ms - opened_ms >= GOOD_AFTER_MS) attempt = 0;
        store.dispatch({ type: 'frame', frame, now_ms: heard_ms });
        if (store.get().link.status !== 'live') store.dispatch({ type: 'link', link: { status: 'live' } });
      });
    } catch (error) {
      return messageOf(controller.signal.aborted ? controller.signal.reason : error);
    } finally {
      clearTimeout(opening);
      clearInterval(watching);
      clearInterval(polling);
      controller.abort();
    }
  }

  async function readCatalog(signal: AbortSignal): Promise<ViewInfo[]> {
    const response = await world.fetch('api/v1/views', { cache: 'no-store', signal });
    if (!response.ok) throw new Error(await problemOf(response));
    const { views } = (await response.json()) as ViewsResponse;
    store.dispatch({ type: 'catalog', views });
    return views;
  }

  /** Refresh the row counts; when a wanted view came or went, open a stream that fits. */
  async function pollCatalog(signal: AbortSignal): Promise<void> {
    try {
      const views = await readCatalog(signal);
      const exists = (name: string) => views.some(view => view.name === name);
      if (wanted.some(name => exists(name) !== carried.includes(name))) openAgain();
    } catch {
      // The stream itself tells whether the server is well; old row counts do no harm.
    }
  }

  function wait(delay_ms: number | null): Promise<void> {
    return new Promise(resolve => {
      const timer = delay_ms === null ? undefined : setTimeout(resolve, delay_ms);
      endWait = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  function openAgain(): void {
    again = true;
    connection?.abort(new Error('the page asked for other data'));
    endWait?.();
  }

  void run();
  return {
    retryNow() {
      attempt = 0;
      openAgain();
    },
    show(view) {
      if (extra === view) return;
      extra = view;
      const { catalog } = store.get();
      const readable = view !== null && catalog?.some(({ name }) => name === view) === true;
      if (readable && !carried.includes(view)) openAgain();
    },
    rest() {
      resting = true;
      openAgain();
    },
    wake() {
      if (!resting) return;
      resting = false;
      // What is on the page is as old as the rest was long, until the first frame comes.
      const cause = 'the page was hidden';
      store.dispatch({ type: 'link', link: { status: 'reconnecting', cause, retryAt_ms: null } });
      endWait?.();
    },
    close() {
      closed = true;
      openAgain();
    },
  };
}

const TOO_SLOW =
  'the server did not answer within 10 s; a browser allows six open streams per server, so closing other tabs of this page may help';

/** Hand over each frame until the stream ends, and say why it ended. */
async function readFrames(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
  onFrame: (frame: StreamEvent, id: string | undefined) => void,
): Promise<string> {
  let bye: string | null = null;
  const parser = createParser({
    onEvent({ event, data, id }) {
      const frame = parseFrame(event, data);
      if (frame === null) return;
      if (frame.type === 'bye') bye = `the server said goodbye: ${frame.data.reason ?? 'no reason given'}`;
      onFrame(frame, id);
    },
  });
  const reader = body.getReader();
  const stop = () => void reader.cancel().catch(() => {});
  signal.addEventListener('abort', stop);
  const decoder = new TextDecoder();
  try {
    while (bye === null) {
      const { done, value } = await reader.read();
      if (signal.aborted) throw signal.reason;
      if (done) return 'the server closed the stream';
      parser.feed(decoder.decode(value, { stream: true }));
    }
    return bye;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** One sentence for an error answer, from its problem+json if it has one. */
async function problemOf(response: Response): Promise<string> {
  const problem = await response.json().catch(() => null);
  const said = problem?.message ?? problem?.detail ?? problem?.title;
  return said ? `${said} (HTTP ${response.status})` : `the server answered HTTP ${response.status}`;
}

function messageOf(error: unknown): string {
  // A browser says "Failed to fetch", which helps nobody.
  if (error instanceof TypeError) return 'the server cannot be reached';
  return error instanceof Error ? error.message : String(error);
}
