/**
 * The hub in a shared worker: one port per tab.
 */
import { type Client, createHub, type ToHub } from './hub';

const hub = createHub({
  fetch: (input, init) => fetch(input, init),
  random: Math.random,
  now: Date.now,
});

interface SharedScope {
  onconnect: ((event: MessageEvent) => void) | null;
}

(globalThis as unknown as SharedScope).onconnect = event => {
  const port = event.ports[0];
  if (port === undefined) return;
  const client: Client = { post: message => port.postMessage(message) };
  port.onmessage = ({ data }: MessageEvent<ToHub>) => hub.receive(client, data);
};
