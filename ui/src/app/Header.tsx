/**
 * The first thing a person needs to know: is what I see live, and of when is it? The tab's title says it too.
 */
import { useEffect } from 'react';
import type { Link } from '../api/link';
import { formatAge, formatNumber, formatRate, formatTime } from '../shared/format';
import { useLive, useNow, useStream } from '../shared/live';
import { Mark } from '../shared/mark';

export function Header() {
  const link = useLive(state => state.link);
  const fresh = useLive(state => state.fresh);
  const offset_ms = useLive(state => state.clockOffset_ms);
  const eventsPerSec = useLive(state => state.metrics?.eventsPerSec);
  const { retryNow } = useStream();
  const now_ms = useNow(200);

  const title = titleFor(link, eventsPerSec);
  useEffect(() => {
    document.title = title;
  }, [title]);

  return (
    <header className="header">
      <h1 className="brand">
        <Waves />
        tidelake
      </h1>
      <span className="link" data-link={link.status}>
        <LinkState link={link} now_ms={now_ms} />
        {(link.status === 'stale' || link.status === 'reconnecting') && (
          <button type="button" onClick={retryNow}>
            Retry now
          </button>
        )}
      </span>
      <span className="freshness muted">
        {fresh === null ? (
          'no epoch yet'
        ) : (
          <>
            epoch <b>{formatNumber(fresh.epoch)}</b> ·{' '}
            <b>{formatAge(now_ms + offset_ms - Date.parse(fresh.asOf))}</b> old
          </>
        )}
      </span>
      <span className="clock muted">{formatTime(now_ms + offset_ms)} UTC</span>
    </header>
  );
}

function LinkState({ link, now_ms }: { link: Link; now_ms: number }) {
  switch (link.status) {
    case 'connecting':
      return <Mark tone="stale" word="connecting" />;
    case 'live':
      return <Mark tone="live" word="live" />;
    case 'stale':
      return <Mark tone="stale" word={`stale · nothing heard for ${formatAge(now_ms - link.since_ms)}`} />;
    case 'reconnecting': {
      const rest_s = link.retryAt_ms === null ? 0 : Math.ceil((link.retryAt_ms - now_ms) / 1000);
      const when = rest_s > 0 ? `in ${rest_s} s` : 'now';
      return (
        <>
          <Mark tone="critical" word={`reconnecting ${when}`} />
          <span className="link-cause muted">{link.cause}</span>
        </>
      );
    }
  }
}

export function titleFor(link: Link, eventsPerSec: number | null | undefined): string {
  switch (link.status) {
    case 'connecting':
      return 'connecting · tidelake';
    case 'live':
      return `${formatRate(eventsPerSec)} /s · tidelake`;
    case 'stale':
      return '◌ stale · tidelake';
    case 'reconnecting':
      return '■ reconnecting · tidelake';
  }
}

function Waves() {
  return (
    <svg className="waves" viewBox="0 0 24 16" aria-hidden="true">
      <path d="M0 5c4-5 8-5 12 0s8 5 12 0M0 12c4-5 8-5 12 0s8 5 12 0" />
    </svg>
  );
}
