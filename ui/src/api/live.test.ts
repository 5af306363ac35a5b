/**
 * What panels ask of the stream reaches the hub, and what they gave back and took again is still there.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { rowsOf } from './fold';
import { startLive } from './live';
import { createStore } from './store';

const encoder = new TextEncoder();
/** A tail or view is let go of this long after it was given back. */
const GIVEN_BACK_MS = 100;

describe('a page', () => {
  const send: ((event: string, data: object) => void)[] = [];

  beforeEach(() => {
    vi.useFakeTimers();
    // Without shared workers the page has a hub of its own.
    vi.stubGlobal('SharedWorker', undefined);
    vi.stubGlobal('fetch', () => {
      const body = new ReadableStream<Uint8Array>({
        start: controller => {
          send.push((event, data) =>
            controller.enqueue(encoder.encode(`id: 1.1\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`)),
          );
        },
      });
      return Promise.resolve(new Response(body));
    });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
    send.length = 0;
  });

  const start = () =>
    startLive(
      createStore(call => call()),
      'http://x/',
    );
  const settle = () => vi.advanceTimersByTimeAsync(400);
  const columns = [{ name: 'n', type: 'bigint' }];
  const snapshot = { view: 'v', epoch: 1, as_of: 'x', columns, rows: [{ n: 1 }] };

  /** The delays, in ms after a view was given back, at which it is wanted again. */
  for (const delay_ms of [0, GIVEN_BACK_MS, GIVEN_BACK_MS + 1, GIVEN_BACK_MS + 30, GIVEN_BACK_MS + 200])
    it(`has the rows of a view that is wanted again after ${delay_ms} ms`, async () => {
      const live = start();
      const giveBack = live.want({ name: 'view:v' });
      live.want({ name: 'metrics' });
      await settle();
      send.at(-1)?.('snapshot', snapshot);
      await settle();
      giveBack();
      await vi.advanceTimersByTimeAsync(delay_ms);
      live.want({ name: 'view:v' });
      const before = send.length;
      await settle();
      // Another request begins with all rows; the same one does not say them again.
      if (send.length > before) send.at(-1)?.('snapshot', snapshot);
      await settle();
      const view = live.store.get().views.get('v');
      expect(view && rowsOf(view)).toEqual([{ n: 1 }]);
    });

  it('has the rows of a view that is wanted again between letting go and telling so', async () => {
    const live = start();
    const giveBack = live.want({ name: 'view:v' });
    live.want({ name: 'metrics' });
    await settle();
    send.at(-1)?.('snapshot', snapshot);
    await settle();
    const requests = send.length;
    giveBack();
    // Its timer is due after the one that lets go, and before the one that tells the hub.
    setTimeout(() => live.want({ name: 'view:v' }), GIVEN_BACK_MS);
    await settle();
    expect(send).toHaveLength(requests);
    const view = live.store.get().views.get('v');
    expect(view && rowsOf(view)).toEqual([{ n: 1 }]);
  });

  it('forgets the rows of a view that nobody wants', async () => {
    const live = start();
    const giveBack = live.want({ name: 'view:v' });
    await settle();
    send.at(-1)?.('snapshot', snapshot);
    await settle();
    giveBack();
    await settle();
    expect(live.store.get().views.size).toBe(0);
  });
});
