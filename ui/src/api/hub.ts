/**
 * Keeps the one stream of the browser open, for all its tabs.
 *
 *   tabs say what they want → one request with all topics → frames go to the tabs that want them
 *        ↑                                                     |
 *        +--------- wait a random, growing time (or "retry now") <----+
 *                 (nobody is signed in: tell the tabs, which ask who one is, and stop)
 *
 * It runs in a shared worker, since a browser gives plain HTTP only six connections per server and a seventh tab would
 * hang in silence. Where there are no shared workers it runs in the page, the same code with one client. It folds views,
 * so that a tab that comes later begins with all rows, and a new request goes on where the last one was.
 */
import { createParser } from 'eventsource-parser';
import { fold, rowsOf, type Snapshot, snapshotOf } from './fold';
import { backoff_ms, judgeSilence, type Link } from './link';
import { streamQuery, type Topic, topicKey } from './topics';
import { parseFrame, topicOf } from './wire';

const VIEW = 'view:';
const OPEN_WITHIN_MS = 10_000;
const WATCH_EVERY_MS = 500;
/** A connection that lived this long was a good one, and the next wait is short again. */
const GOOD_AFTER_MS = 5_000;
/** Changes of what is wanted come in bursts, as a page is left and another drawn. */
const SETTLE_MS = 60;
/** A tab says again and again what it wants; browsers slow hidden tabs down to one word a minute. */
const GONE_AFTER_MS = 150_000;
/** Frames of a tail kept for a tab that comes later. */
const TAIL_FRAMES_KEPT = 5;
/** After a refusal for want of a session this long nothing is asked, unless a tab says that one is signed in. */
const REFUSED_FOR_MS = 10_000;

export type ToHub =
  | { type: 'hello'; base: string }
  /** Said at every change and, as a sign of life, again and again. */
  | { type: 'want'; topics: Topic[] }
  | { type: 'retry' }
  | { type: 'leave' };

export type FromHub =
  | { type: 'link'; link: Link }
  /** Views that are wanted and that the dataflow does not have. */
  | { type: 'missing'; views: string[] }
  /** The server has users, and nobody is signed in any more. */
  | { type: 'signed out' }
  | { type: 'frame'; event: string; data: string; topic: string | null; rejoined: boolean };

export interface Client {
  post(message: FromHub): void;
}

/** What the outside world offers, so that a test can offer something else. */
export interface World {
  fetch: typeof fetch;
  random: () => number;
  now: () => number;
}

interface Known {
  client: Client;
  wanted: Map<string, Topic>;
  heard_ms: number;
}

export function createHub(world: World) {
  const clients = new Map<Client, Known>();
  const snapshots = new Map<string, Snapshot>();
  const tails = new Map<string, string[]>();
  const last = new Map<string, string>();
  /** Views the server does not have. It refuses a stream that asks for one, so they are not asked for again. */
  const missing = new Set<string>();
  let base = '';
  let link: Link = { status: 'connecting' };
  let running = false;
  let attempt = 0;
  let carried = '';
  /** Tail topics whose first frame on this connection may repeat what was there. */
  let rejoining = new Set<string>();
  let connection: AbortController | null = null;
  let endWait: (() => void) | null = null;
  /** Set when the connection is ended on purpose, to open another at once. */
  let again = false;
  /** Until when nothing is asked, since nobody is signed in. */
  let refusedUntil_ms = 0;
  let settling: ReturnType<typeof setTimeout> | undefined;

  function receive(client: Client, message: ToHub): void {
    const known = clients.get(client) ?? { client, wanted: new Map(), heard_ms: 0 };
    known.heard_ms = world.now();
    switch (message.type) {
      case 'hello':
        base = message.base;
        // A page is drawn only once one is signed in, and so is what asks for a retry.
        refusedUntil_ms = 0;
        clients.set(client, known);
        client.post({ type: 'link', link });
        if (missing.size > 0) client.post({ type: 'missing', views: [...missing] });
        break;
      case 'want': {
        const before = known.wanted;
        known.wanted = new Map(message.topics.map(topic => [topicKey(topic), topic]));
        clients.set(client, known);
        for (const key of known.wanted.keys()) if (!before.has(key)) catchUp(client, key);
        settle();
        break;
      }
      case 'leave':
        clients.delete(client);
        settle();
        break;
      case 'retry':
        attempt = 0;
        refusedUntil_ms = 0;
        openAgain();
        break;
    }
    if (!running && all().size > 0 && world.now() >= refusedUntil_ms) void run();
  }

  /** What a newcomer would otherwise have missed. */
  function catchUp(client: Client, key: string): void {
    const [kind, view = ''] = key.split(/:(.*)/);
    const snapshot = kind === 'view' ? snapshots.get(view) : undefined;
    const send = (event: string, data: string) =>
      client.post({ type: 'frame', event, data, topic: key, rejoined: false });
    if (snapshot !== undefined) {
      const { epoch, asOf, generation, columns, where } = snapshot;
      const rows = rowsOf(snapshot);
      send('snapshot', JSON.stringify({ view, epoch, as_of: asOf, generation, where, columns, rows }));
    }
    for (const data of tails.get(key) ?? []) send('tail', data);
    const newest = last.get(key);
    if (newest !== undefined) send(key, newest);
  }

  function all(): Map<string, Topic> {
    const topics = new Map<string, Topic>();
    for (const { wanted } of clients.values())
      for (const [key, topic] of wanted)
        if (!missing.has(key.slice(VIEW.length)) || !key.startsWith(VIEW)) topics.set(key, topic);
    return new Map([...topics].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  function settle(): void {
    clearTimeout(settling);
    settling = setTimeout(() => {
      for (const [client, { heard_ms }] of clients)
        if (world.now() - heard_ms > GONE_AFTER_MS) clients.delete(client);
      if (wishes() !== carried) openAgain();
    }, SETTLE_MS);
  }

  function wishes(): string {
    return JSON.stringify([...all()]);
  }

  async function run(): Promise<void> {
    running = true;
    while (all().size > 0) {
      again = false;
      const cause = await attemptOnce();
      if (cause === SIGNED_OUT) {
        tellSignedOut();
        break;
      }
      if (again) continue;
      // What comes back may be another dataflow.
      tellMissing([]);
      const delay_ms = backoff_ms(attempt, world.random());
      attempt += 1;
      tell({ status: 'reconnecting', cause, retryAt_ms: world.now() + delay_ms });
      await wait(delay_ms);
      tell({ status: 'reconnecting', cause, retryAt_ms: null });
    }
    carried = '';
    running = false;
  }

  /** Whether somebody is signed in is known to the tabs; one that still is says again what it wants. */
  function tellSignedOut(): void {
    attempt = 0;
    refusedUntil_ms = world.now() + REFUSED_FOR_MS;
    tell({ status: 'connecting' });
    for (const client of clients.keys()) client.post({ type: 'signed out' });
  }

  /** One connection from beginning to end. Resolves to the reason why it ended. */
  async function attemptOnce(): Promise<string | typeof SIGNED_OUT> {
    const controller = new AbortController();
    connection = controller;
    const opening = setTimeout(() => controller.abort(new Error(TOO_SLOW)), OPEN_WITHIN_MS);
    let watching: ReturnType<typeof setInterval> | undefined;
    try {
      const topics = all();
      carried = JSON.stringify([...topics]);
      forget(topics);
      const since = new Map(
        [...snapshots].map(([view, { generation, epoch }]) => [view, `${generation}.${epoch}`]),
      );
      const response = await world.fetch(`${base}api/v1/stream?${streamQuery(topics, since)}`, {
        headers: { Accept: 'text/event-stream' },
        cache: 'no-store',
        signal: controller.signal,
      });
      if (response.status === 404 && (await leaveOutMissing(topics, controller.signal))) {
        again = true;
        return '';
      }
      if (response.status === 401) return SIGNED_OUT;
      if (!response.ok || response.body === null) throw new Error(await problemOf(response));
      clearTimeout(opening);
      rejoining = new Set(tails.keys());
      const opened_ms = world.now();
      let heard_ms = opened_ms;
      watching = setInterval(() => {
        const silence = judgeSilence(world.now() - heard_ms);
        if (silence === 'dead') controller.abort(new Error('the server stopped sending data'));
        else if (silence === 'stale' && link.status !== 'stale')
          tell({ status: 'stale', since_ms: heard_ms });
      }, WATCH_EVERY_MS);
      return await readFrames(response.body, controller.signal, (event, data) => {
        heard_ms = world.now();
        if (heard_ms - opened_ms >= GOOD_AFTER_MS) attempt = 0;
        take(event, data);
        if (link.status !== 'live') tell({ status: 'live' });
      });
    } catch (error) {
      return messageOf(controller.signal.aborted ? controller.signal.reason : error);
    } finally {
      clearTimeout(opening);
      clearInterval(watching);
      controller.abort();
    }
  }

  /** After a refusal: leave out the views that are not there. Tells whether that changes what is asked for. */
  async function leaveOutMissing(topics: ReadonlyMap<string, Topic>, signal: AbortSignal): Promise<boolean> {
    const response = await world.fetch(`${base}api/v1/views`, { cache: 'no-store', signal });
    if (!response.ok) return false;
    const { views } = (await response.json()) as { views: { name: string }[] };
    const there = new Set(views.map(({ name }) => name));
    const names = [...topics.keys()].flatMap(key => (key.startsWith(VIEW) ? [key.slice(VIEW.length)] : []));
    const gone = names.filter(name => !there.has(name));
    if (gone.length === 0) return false;
    tellMissing([...missing, ...gone]);
    return true;
  }

  function tellMissing(views: readonly string[]): void {
    if (views.length === 0 && missing.size === 0) return;
    missing.clear();
    for (const view of views) missing.add(view);
    for (const client of clients.keys()) client.post({ type: 'missing', views: [...missing] });
  }

  /** What no tab wants any more is not kept. */
  function forget(topics: ReadonlyMap<string, Topic>): void {
    for (const view of snapshots.keys()) if (!topics.has(`view:${view}`)) snapshots.delete(view);
    for (const key of tails.keys()) if (!topics.has(key)) tails.delete(key);
    for (const key of last.keys()) if (!topics.has(key)) last.delete(key);
  }

  function take(event: string, data: string): void {
    const topic = topicOf(event, data);
    const rejoined = topic !== null && rejoining.delete(topic);
    if (topic !== null) remember(event, data, topic);
    for (const { client, wanted } of clients.values())
      if (topic === null || wanted.has(topic)) client.post({ type: 'frame', event, data, topic, rejoined });
  }

  function remember(event: string, data: string, topic: string): void {
    if (event === 'metrics' || event === 'pipeline') {
      last.set(topic, data);
      return;
    }
    if (event === 'tail') {
      tails.set(topic, [...(tails.get(topic) ?? []), data].slice(-TAIL_FRAMES_KEPT));
      return;
    }
    const frame = parseFrame(event, data);
    if (frame?.type === 'snapshot' || frame?.type === 'reset')
      snapshots.set(frame.data.view, snapshotOf(frame.data));
    if (frame?.type === 'changes') {
      const before = snapshots.get(frame.data.view);
      if (before !== undefined) snapshots.set(frame.data.view, fold(before, frame.data));
    }
  }

  function tell(next: Link): void {
    link = next;
    for (const client of clients.keys()) client.post({ type: 'link', link });
  }

  function wait(delay_ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, delay_ms);
      endWait = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  function openAgain(): void {
    again = true;
    connection?.abort(new Error('the requested data changed'));
    endWait?.();
  }

  return { receive };
}

/** Why an attempt ended that the server refused because nobody is signed in. */
const SIGNED_OUT = Symbol('signed out');

const TOO_SLOW =
  'the server did not answer within 10 s; a browser allows six open connections per server, so other pages may hold them';

/** Hand over each frame until the stream ends, and say why it ended. */
async function readFrames(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
  onFrame: (event: string, data: string) => void,
): Promise<string> {
  let bye: string | null = null;
  const parser = createParser({
    onEvent({ event, data }) {
      if (event === undefined) return;
      if (event === 'bye')
        bye = `the server closed the stream: ${(JSON.parse(data) as { reason?: string }).reason ?? 'no reason given'}`;
      else onFrame(event, data);
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
  const said = problem?.detail ?? problem?.title;
  return said ? `${said} (HTTP ${response.status})` : `the server answered HTTP ${response.status}`;
}

function messageOf(error: unknown): string {
  // A browser says "Failed to fetch", which helps nobody.
  if (error instanceof TypeError) return 'the server cannot be reached';
  return error instanceof Error ? error.message : String(error);
}
