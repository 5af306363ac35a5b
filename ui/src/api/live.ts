/**
 * A tab's end of the stream: asks the hub for what its panels want, and feeds what comes into the store and the logs.
 */
import { tellSignedOut } from './client';
import { createHub, type FromHub, type ToHub } from './hub';
import { Ring } from './ring';
import type { Store } from './store';
import { type Topic, topicKey } from './topics';
import { parseFrame } from './wire';

/** A hub that took this tab for gone, as after a sleep of the machine, learns anew what it wants. */
const TOLD_EVERY_MS = 20_000;
/** A page that nobody looks at this long asks for nothing, so that its memory and the server's work stay bounded. */
const REST_AFTER_MS = 30_000;

export interface Live {
  readonly store: Store;
  /** Keep a topic coming until the returned function is called. */
  want(topic: Topic): () => void;
  /** The records of a tail that is wanted. */
  ring(topic: Topic): Ring;
  retryNow(): void;
}

export function startLive(store: Store, base: string): Live {
  const send = connect(base, receive);
  const wanted = new Map<string, { topic: Topic; count: number }>();
  const rings = new Map<string, Ring>();
  /** Given back, but the hub does not know it yet. What it does not know it does not send again. */
  const returned = new Set<string>();
  let resting = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function receive(message: FromHub): void {
    if (message.type === 'link') {
      store.dispatch({ type: 'link', link: message.link });
      return;
    }
    if (message.type === 'missing') {
      store.dispatch({ type: 'missing', views: message.views });
      return;
    }
    if (message.type === 'signed out') {
      tellSignedOut();
      return;
    }
    const frame = parseFrame(message.event, message.data);
    if (frame === null) return;
    if (frame.type === 'tail') rings.get(frame.data.topic)?.append(frame.data, message.rejoined);
    store.dispatch({ type: 'frame', frame, now_ms: Date.now() });
  }

  function tell(): void {
    clearTimeout(timer);
    timer = setTimeout(() => {
      forget();
      const topics = resting ? [] : [...wanted.values()].map(({ topic }) => topic);
      send({ type: 'want', topics });
    }, 0);
  }

  /** Let go of data in the same step as the hub is told: whoever wants it back a moment earlier still has it. */
  function forget(): void {
    const gone = [...returned].filter(key => !wanted.has(key));
    returned.clear();
    for (const key of gone) rings.delete(key);
    const views = gone.flatMap(key => (key.startsWith('view:') ? [key.slice('view:'.length)] : []));
    if (views.length > 0) store.dispatch({ type: 'dropped', views });
  }

  function drop(key: string): void {
    const known = wanted.get(key);
    if (known === undefined || known.count > 1) {
      if (known !== undefined) known.count -= 1;
      return;
    }
    wanted.delete(key);
    returned.add(key);
    tell();
  }

  let rest: ReturnType<typeof setTimeout> | undefined;
  document.addEventListener('visibilitychange', () => {
    clearTimeout(rest);
    const change = (next: boolean) => {
      if (resting === next) return;
      resting = next;
      tell();
    };
    if (document.hidden) rest = setTimeout(() => change(true), REST_AFTER_MS);
    else change(false);
  });
  window.addEventListener('pagehide', () => send({ type: 'leave' }));
  window.addEventListener('pageshow', event => {
    if (event.persisted) tell();
  });
  setInterval(tell, TOLD_EVERY_MS);

  return {
    store,
    want(topic) {
      const key = topicKey(topic);
      const known = wanted.get(key);
      if (known !== undefined) known.count += 1;
      else {
        wanted.set(key, { topic, count: 1 });
        tell();
      }
      // Given back a moment later: a panel that is drawn anew would otherwise drop and ask again.
      return () => setTimeout(() => drop(key), 100);
    },
    ring(topic) {
      const key = topicKey(topic);
      const ring = rings.get(key) ?? new Ring();
      rings.set(key, ring);
      return ring;
    },
    retryNow: () => send({ type: 'retry' }),
  };
}

/** Through the shared worker of all tabs, or, where there is none, a hub of this page's own. */
function connect(base: string, receive: (message: FromHub) => void): (message: ToHub) => void {
  if (typeof SharedWorker === 'function') {
    const worker = new SharedWorker(new URL('./hub.worker.ts', import.meta.url), {
      type: 'module',
      name: 'tidelake',
    });
    worker.port.onmessage = ({ data }: MessageEvent<FromHub>) => receive(data);
    worker.port.postMessage({ type: 'hello', base } satisfies ToHub);
    return message => worker.port.postMessage(message);
  }
  const hub = createHub({
    fetch: (input, init) => fetch(input, init),
    random: Math.random,
    now: Date.now,
  });
  const client = { post: receive };
  hub.receive(client, { type: 'hello', base });
  return message => hub.receive(client, message);
}
