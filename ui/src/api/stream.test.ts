/**
 * The stream against a server made of strings: what is asked for, and what becomes of the answers.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createStore } from './store';
import { type Live, startLive } from './stream';

const VIEWS = {
  epoch: 1,
  as_of: 'x',
  views: ['traffic_1m', 'other'].map(name => ({ name, columns: [], rows: 0 })),
};
const HEARTBEAT = { epoch: 7, as_of: '2026-01-01T00:00:00Z', server_time: '2026-01-01T00:00:00Z' };

interface Asked {
  url: string;
  lastEventId: string | null;
}

let live: Live | null = null;
afterEach(() => live?.close());

/** Answers each opening of the stream with the next body; `null` stays open after one heartbeat. */
function serve(bodies: (string | Response | null)[]) {
  const asked: Asked[] = [];
  const world = {
    random: () => 0.01,
    now: Date.now,
    fetch: (async (input: string, init: RequestInit) => {
      if (input === 'api/v1/views') return Response.json(VIEWS);
      asked.push({ url: input, lastEventId: new Headers(init.headers).get('Last-Event-ID') });
      const body = bodies.shift() ?? null;
      if (body instanceof Response) return body;
      return new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(new TextEncoder().encode(body ?? frame('heartbeat', HEARTBEAT)));
            if (body !== null) controller.close();
          },
        }),
      );
    }) as typeof fetch,
  };
  const store = createStore();
  live = startLive(store, ['traffic_1m', 'anomalies'], world);
  return { store, asked };
}

function frame(event: string, data: unknown, id = '7.3'): string {
  return `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

describe('startLive', () => {
  it('asks only for views that exist, and becomes live with the first frame', async () => {
    const { store, asked } = serve([null]);
    await vi.waitFor(() => expect(store.get().link.status).toBe('live'));
    expect(asked).toEqual([
      { url: 'api/v1/stream?topics=metrics,health,tail,view:traffic_1m', lastEventId: null },
    ]);
    await vi.waitFor(() => expect(store.get().fresh?.epoch).toBe(7));
  });

  it('resumes after the last frame when the server says goodbye', async () => {
    const goodbye = frame('heartbeat', HEARTBEAT) + frame('bye', { reason: 'shutdown' }, '7.4');
    const { store, asked } = serve([goodbye, null]);
    const causes: string[] = [];
    store.subscribe(() => {
      const { link } = store.get();
      if (link.status === 'reconnecting') causes.push(link.cause);
    });
    await vi.waitFor(() => expect(asked).toHaveLength(2));
    expect(asked[1]?.lastEventId).toBe('7.4');
    expect(causes[0]).toBe('the server said goodbye: shutdown');
    await vi.waitFor(() => expect(store.get().link.status).toBe('live'));
  });

  it('says what an error answer says, and tries again', async () => {
    const refusal = Response.json({ title: 'too many streams' }, { status: 429 });
    const { store, asked } = serve([refusal, null]);
    const causes = new Set<string>();
    store.subscribe(() => {
      const { link } = store.get();
      if (link.status === 'reconnecting') causes.add(link.cause);
    });
    await vi.waitFor(() => expect(store.get().link.status).toBe('live'));
    expect([...causes]).toEqual(['too many streams (HTTP 429)']);
    expect(asked).toHaveLength(2);
  });

  it('opens another stream from the beginning when another view is asked for', async () => {
    const { store, asked } = serve([null, null]);
    await vi.waitFor(() => expect(store.get().link.status).toBe('live'));
    live?.show('other');
    await vi.waitFor(() => expect(asked).toHaveLength(2));
    expect(asked[1]).toEqual({
      url: 'api/v1/stream?topics=metrics,health,tail,view:traffic_1m,view:other',
      lastEventId: null,
    });
    live?.show('unknown');
    expect(store.get().link.status).toBe('live');
  });
});
