/**
 * Parts of the page that are loaded when they are first shown: whole pages, the plan, the chart of an answer.
 *
 * A server that is away cannot give them, and that is when one wants to look at another page. So all of them are fetched
 * soon after the first one is shown; one that is missing nevertheless says so in its place and comes with the server.
 */
import { type ComponentType, lazy, type ReactNode, Suspense, useEffect, useState } from 'react';
import { useLive } from './live';
import { Mark } from './mark';

type Loaded<Props> = () => Promise<ComponentType<Props>>;

/** What was not fetched yet; `null` once all of them, also those that a part brings with it, are to be fetched. */
let waiting: (() => Promise<unknown>)[] | null = [];
const RELOADED_KEY = 'tidelake.reloaded';
const RELOAD_AGAIN_MS = 60_000;

/** Fetch what was not shown yet. What cannot be had now is asked for again when it is shown. */
export function fetchParts(): void {
  const now = waiting ?? [];
  waiting = null;
  for (const fetch of now) fetch().catch(() => {});
}

/** A part of the page in a file of its own. */
export function part<Props extends object>(load: Loaded<Props>): (props: Props) => ReactNode {
  let fetched: Promise<ComponentType<Props>> | null = null;
  const fetch = () => {
    fetched ??= load().catch(error => {
      fetched = null;
      throw error;
    });
    return fetched;
  };
  if (waiting === null) fetch().catch(() => {});
  else waiting.push(fetch);
  const make = () =>
    lazy(async () => ({ default: await fetch().catch(() => Missing as ComponentType<Props>) }));
  let shown = make();
  const Missing = () => {
    const isLive = useLive(state => state.link.status === 'live');
    useEffect(() => {
      // It has just been asked for; whoever comes back gets it.
      if (!isLive) return;
      // A browser may keep a failed import for as long as the page is there.
      fetch().then(tellAll, reloadOnce);
    }, [isLive]);
    return (
      <p className="p-4" role="status" data-part="missing">
        <Mark tone="stale" word="not loaded yet" />{' '}
        <span className="text-muted">
          The server cannot be reached, so this part of the page is missing. It appears as soon as the server
          is back.
        </span>
      </p>
    );
  };
  const readers = new Set<() => void>();
  const tellAll = () => {
    shown = make();
    for (const reader of readers) reader();
  };
  return function Part(props: Props) {
    const [, draw] = useState(0);
    useEffect(() => {
      const reader = () => draw(count => count + 1);
      readers.add(reader);
      return () => void readers.delete(reader);
    }, []);
    const Shown = shown;
    return (
      <Suspense fallback={null}>
        <Shown {...props} />
      </Suspense>
    );
  };
}

/** A server of another version has other files; one that lacks them for good is not asked for ever. */
function reloadOnce(): void {
  const last_ms = Number(sessionStorage.getItem(RELOADED_KEY) ?? 0);
  if (Date.now() - last_ms < RELOAD_AGAIN_MS) return;
  sessionStorage.setItem(RELOADED_KEY, String(Date.now()));
  location.reload();
}
