/**
 * One stream for all tabs: what is asked of the server, and who gets what.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Client, createHub, type FromHub } from './hub';
import { streamQuery, topicKey } from './topics';

const encoder = new TextEncoder();

/** A server whose answers the test writes. */
function fakeServer() {
  const requests: { url: URL; send: (text: string) => void; end: () => void; signal: AbortSignal }[] = [];
  /** Whether somebody is signed in. */
  const sign = { isIn: true };
  const fetcher = ((input: string, init: RequestInit) => {
    let control: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: controller => {
        control = controller;
      },
    });
    requests.push({
      url: new URL(input),
      send: text => control?.enqueue(encoder.encode(text)),
      end: () => control?.close(),
      signal: init.signal as AbortSignal,
    });
    const problem = { code: 'not_signed_in', detail: 'this server has users' };
    return Promise.resolve(sign.isIn ? new Response(body) : Response.json(problem, { status: 401 }));
  }) as typeof fetch;
  return { requests, fetcher, sign };
}

function tab() {
  const got: FromHub[] = [];
  const client: Client = { post: message => got.push(message) };
  const frames = () => got.flatMap(it => (it.type === 'frame' ? [`${it.event} ${it.topic} ${it.data}`] : []));
  const links = () => got.flatMap(it => (it.type === 'link' ? [it.link.status] : []));
  return { client, got, frames, links };
}

const frame = (event: string, data: object) => `id: 1.1\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
const settle = async () => vi.advanceTimersByTimeAsync(100);

describe('the hub', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function start() {
    const server = fakeServer();
    const hub = createHub({ fetch: server.fetcher, random: () => 1, now: Date.now });
    const join = (topics: { name: string; where?: string }[]) => {
      const made = tab();
      hub.receive(made.client, { type: 'hello', base: 'http://x/' });
      hub.receive(made.client, { type: 'want', topics });
      return made;
    };
    return { ...server, hub, join };
  }

  it('asks once for what all tabs want, and gives each its own', async () => {
    const { requests, join } = start();
    const a = join([{ name: 'metrics' }]);
    const b = join([{ name: 'metrics' }, { name: 'tail', where: 'status >= 500' }]);
    await settle();
    const open = requests.filter(({ signal }) => !signal.aborted);
    expect(open).toHaveLength(1);
    const tail = topicKey({ name: 'tail', where: 'status >= 500' });
    expect(open[0]?.url.searchParams.get('topics')?.split(',').sort()).toEqual(['metrics', tail].sort());
    expect(open[0]?.url.searchParams.get(`where.${tail}`)).toBe('status >= 500');
    open[0]?.send(frame('metrics', { eventsPerSec: 1 }));
    open[0]?.send(frame('tail', { topic: tail, rows: [] }));
    await settle();
    expect(a.frames()).toHaveLength(1);
    expect(b.frames()).toHaveLength(2);
    expect(a.links().at(-1)).toBe('live');
  });

  it('begins a later tab with all rows, and goes on where a view was when topics change', async () => {
    const { requests, join } = start();
    join([{ name: 'view:v' }]);
    await settle();
    const columns = [{ name: 'n', type: 'bigint' }];
    const rows = [{ n: 1 }];
    requests
      .at(-1)
      ?.send(frame('snapshot', { view: 'v', epoch: 5, as_of: 'x', generation: 3, columns, rows }));
    const changes = [{ diff: 1, row: { n: 2 } }];
    requests.at(-1)?.send(frame('changes', { view: 'v', epoch: 6, as_of: 'y', generation: 3, changes }));
    await settle();
    const later = join([{ name: 'view:v' }, { name: 'metrics' }]);
    expect(later.frames()[0]).toContain('"epoch":6');
    expect(later.frames()[0]).toContain('{"n":2}');
    await settle();
    expect(requests.at(-1)?.url.searchParams.get('since.v')).toBe('3.6');
  });

  it('waits longer after each failure, tells until when, and comes back', async () => {
    const { requests, join } = start();
    const a = join([{ name: 'metrics' }]);
    await settle();
    requests.at(-1)?.end();
    await settle();
    expect(a.links().at(-1)).toBe('reconnecting');
    await vi.advanceTimersByTimeAsync(600);
    expect(requests.length).toBeGreaterThan(1);
    requests.at(-1)?.send(frame('metrics', {}));
    await settle();
    expect(a.links().at(-1)).toBe('live');
  });

  it('marks the first frame of a tail after a reconnection, which may repeat records', async () => {
    const { requests, join } = start();
    const a = join([{ name: 'tail' }]);
    await settle();
    requests.at(-1)?.send(frame('tail', { topic: 'tail', rows: [] }));
    await settle();
    requests.at(-1)?.end();
    await vi.advanceTimersByTimeAsync(1_000);
    requests.at(-1)?.send(frame('tail', { topic: 'tail', rows: [] }));
    requests.at(-1)?.send(frame('tail', { topic: 'tail', rows: [] }));
    await settle();
    const marks = a.got.flatMap(it => (it.type === 'frame' ? [it.rejoined] : []));
    expect(marks).toEqual([false, true, false]);
  });

  it('begins anew with a tab that it took for gone', async () => {
    const { requests, hub, join } = start();
    const a = join([{ name: 'metrics' }]);
    await settle();
    // A machine that sleeps runs no timers.
    vi.setSystemTime(Date.now() + 3_600_000);
    const b = join([{ name: 'metrics' }]);
    await settle();
    hub.receive(a.client, { type: 'want', topics: [{ name: 'metrics' }] });
    await settle();
    requests.at(-1)?.send(frame('metrics', { eventsPerSec: 1 }));
    await settle();
    expect([a.frames().length, b.frames().length]).toEqual([1, 1]);
  });

  it('asks without a view the dataflow does not have, says so, and asks for it again of the next server', async () => {
    const asked: string[] = [];
    let has = ['there'];
    let end: (() => void) | undefined;
    const fetcher = ((input: string) => {
      const url = new URL(input);
      if (url.pathname === '/api/v1/views')
        return Promise.resolve(Response.json({ views: has.map(name => ({ name })) }));
      const topics = url.searchParams.get('topics') ?? '';
      asked.push(topics);
      const wrong = topics.split(',').some(it => it.startsWith('view:') && !has.includes(it.slice(5)));
      if (wrong) return Promise.resolve(Response.json({ detail: 'there is no such view' }, { status: 404 }));
      const body = new ReadableStream<Uint8Array>({
        start: controller => {
          end = () => controller.close();
          controller.enqueue(encoder.encode(frame('heartbeat', {})));
        },
      });
      return Promise.resolve(new Response(body));
    }) as typeof fetch;
    const hub = createHub({ fetch: fetcher, random: () => 0, now: Date.now });
    const { client, got, links } = tab();
    hub.receive(client, { type: 'hello', base: 'http://x/' });
    hub.receive(client, {
      type: 'want',
      topics: [{ name: 'metrics' }, { name: 'view:gone' }, { name: 'view:there' }],
    });
    await settle();
    expect(asked.at(-1)).toBe('metrics,view:there');
    expect(links().at(-1)).toBe('live');
    expect(links()).not.toContain('reconnecting');
    const missing = () => got.flatMap(it => (it.type === 'missing' ? [it.views] : []));
    expect(missing()).toEqual([['gone']]);
    // Saying the same again opens nothing.
    const before = asked.length;
    hub.receive(client, {
      type: 'want',
      topics: [{ name: 'metrics' }, { name: 'view:gone' }, { name: 'view:there' }],
    });
    await settle();
    expect(asked).toHaveLength(before);
    has = ['gone', 'there'];
    end?.();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(asked.at(-1)).toBe('metrics,view:gone,view:there');
    expect(missing().at(-1)).toEqual([]);
  });

  it('asks no more once nobody is signed in, and tells all tabs, until one is', async () => {
    const { requests, hub, join, sign } = start();
    const [a, b] = [join([{ name: 'metrics' }]), join([{ name: 'tail' }])];
    await settle();
    requests.at(-1)?.send(frame('heartbeat', {}));
    await settle();
    sign.isIn = false;
    const before = requests.length;
    requests.at(-1)?.end();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(requests).toHaveLength(before + 1);
    for (const { got, links } of [a, b]) {
      expect(got.filter(it => it.type === 'signed out')).toHaveLength(1);
      // Of what is no fault of the connection nothing is said that would count down.
      expect(links().at(-1)).toBe('connecting');
    }
    // Asked to, it asks at once, also right after it was refused again.
    for (sign.isIn of [false, true]) {
      hub.receive(a.client, { type: 'retry' });
      await settle();
    }
    expect(requests).toHaveLength(before + 3);
    requests.at(-1)?.send(frame('heartbeat', {}));
    await settle();
    expect([a.links().at(-1), b.links().at(-1)]).toEqual(['live', 'live']);
  });

  it('does not ask again for each topic that a page gives back as it is left', async () => {
    const { requests, hub, join, sign } = start();
    sign.isIn = false;
    const a = join([{ name: 'metrics' }, { name: 'tail' }]);
    await settle();
    expect(requests).toHaveLength(1);
    for (const topics of [[{ name: 'metrics' }, { name: 'tail' }], [{ name: 'metrics' }], []]) {
      hub.receive(a.client, { type: 'want', topics });
      await settle();
    }
    expect(requests).toHaveLength(1);
  });

  it('asks again for a page that stays, since its session is not over', async () => {
    const { requests, hub, join, sign } = start();
    sign.isIn = false;
    const a = join([{ name: 'metrics' }]);
    await settle();
    sign.isIn = true;
    await vi.advanceTimersByTimeAsync(20_000);
    hub.receive(a.client, { type: 'want', topics: [{ name: 'metrics' }] });
    await settle();
    expect(requests).toHaveLength(2);
    // And at once for a page that was opened, which it is not before one is signed in.
    sign.isIn = false;
    requests.at(-1)?.end();
    await vi.advanceTimersByTimeAsync(1_000);
    sign.isIn = true;
    const before = requests.length;
    join([{ name: 'metrics' }]);
    await settle();
    expect(requests).toHaveLength(before + 1);
  });

  it('stops asking when nobody wants anything', async () => {
    const { requests, hub, join } = start();
    const a = join([{ name: 'metrics' }]);
    await settle();
    hub.receive(a.client, { type: 'leave' });
    await settle();
    expect(requests.every(({ signal }) => signal.aborted)).toBe(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(requests).toHaveLength(1);
  });
});

describe('topics', () => {
  it('tell tails with different filters apart', () => {
    const keys = ['', 'a = 1', 'a = 2'].map(where => topicKey({ name: 'tail', where }));
    expect(keys[0]).toBe('tail');
    expect(new Set(keys).size).toBe(3);
  });

  it('go on only with views that are asked for', () => {
    const query = streamQuery(
      new Map([['view:a', { name: 'view:a' }]]),
      new Map([
        ['a', '1.3'],
        ['b', '1.4'],
      ]),
    );
    expect(new URLSearchParams(query).get('since.a')).toBe('1.3');
    expect(new URLSearchParams(query).has('since.b')).toBe(false);
  });
});
