/**
 * One clock for the page: whether it is live, which times are looked at, and which epoch every number is of.
 */
import { useLocation } from '@tanstack/react-router';
import { useState } from 'react';
import { formatAge, formatDateTime, formatTime } from '../shared/format';
import { useFrozen, useLive, useMedia, useNow, useStream } from '../shared/live';
import { Mark } from '../shared/mark';
import { useGo, useSpan, useUrl } from '../shared/nav';
import { RANGE_WORDS, RANGES, type Range } from '../shared/search';
import { Button } from '../shared/ui/button';

export function Bar() {
  return (
    <div className="flex min-h-9 shrink-0 flex-wrap items-center gap-x-3 gap-y-1 border-b border-line px-4 py-1 text-label">
      <LinkState />
      <FreezeButton />
      <RangePicker />
      <Freshness />
      <CopyLink />
    </div>
  );
}

function LinkState() {
  const link = useLive(state => state.link);
  const frozen = useFrozen();
  const { retryNow } = useStream();
  const now = useNow(500);
  const offset = useLive(state => state.clockOffset_ms);
  const retry = (
    <Button className="h-6" onClick={retryNow}>
      Retry now
    </Button>
  );
  switch (link.status) {
    case 'connecting':
      return <Mark tone="stale" word="connecting" />;
    case 'live':
      return (
        <span data-link="live">
          {frozen ? <Mark tone="quiet" word="frozen" /> : <Mark tone="live" word="live" />}
        </span>
      );
    case 'stale':
      return (
        <span data-link="stale" className="flex items-center gap-2">
          <Mark tone="stale" word={`stale · no data for ${formatAge(now - offset - link.since_ms)}`} />
          {retry}
        </span>
      );
    case 'reconnecting': {
      const rest_s = link.retryAt_ms === null ? 0 : Math.ceil((link.retryAt_ms - (now - offset)) / 1000);
      return (
        <span data-link="reconnecting" className="flex items-center gap-2">
          <Mark tone="critical" word={rest_s > 0 ? `reconnecting in ${rest_s} s` : 'reconnecting now'} />
          {retry}
        </span>
      );
    }
  }
}

function FreezeButton() {
  const { store } = useStream();
  const frozen = useFrozen();
  useNow(1_000);
  const [shown, newest] = [store.get().fresh, store.newest().fresh];
  const behind_ms = shown !== null && newest !== null ? newest.epoch - shown.epoch : 0;
  return (
    <Button
      className="h-6"
      aria-pressed={frozen}
      title="Space: freeze all panels at one epoch"
      onClick={() => store.freeze(!frozen)}
    >
      {frozen ? `Resume · ${formatAge(behind_ms)} behind` : 'Freeze'}
    </Button>
  );
}

/** Pages whose content is of now, whatever range is chosen. */
const WITHOUT_RANGE = /\/(query|pipeline)$/;

function RangePicker() {
  const search = useUrl();
  const go = useGo();
  const { pathname } = useLocation();
  const { from, to, fixed, range } = useSpan(1_000);
  const wide = useMedia('(min-width: 900px)');
  if (WITHOUT_RANGE.test(pathname)) return null;
  const chosen = search.from !== undefined ? 'fixed' : (search.range ?? 'auto');
  const choose = (range: Range | undefined) => go({ range, from: undefined, to: undefined } as object);
  const year = new Date().getUTCFullYear();
  const day = (ms: number) => {
    const text = formatDateTime(ms).slice(0, 16);
    return text.startsWith(`${year}-`) ? text.slice(5) : text;
  };
  const auto = range === null ? (fixed ? 'newest data' : 'auto') : RANGE_WORDS[range];
  return (
    <span className="flex items-center gap-2">
      <label className="sr-only" htmlFor="range">
        Time range
      </label>
      <select
        id="range"
        className="h-6 rounded border border-line bg-panel px-1"
        value={chosen}
        onChange={({ target }) => choose(target.value === 'auto' ? undefined : (target.value as Range))}
      >
        {chosen === 'fixed' && <option value="fixed">fixed range</option>}
        <option value="auto">{chosen === 'auto' ? `auto · ${auto}` : 'auto'}</option>
        {RANGES.map(range => (
          <option key={range} value={range}>
            {RANGE_WORDS[range]}
          </option>
        ))}
      </select>
      {(wide || fixed) && (
        <span className="text-muted">
          {fixed || range === 'all'
            ? `${day(from)} – ${day(to)}`
            : `${formatTime(from, 'min')}–${formatTime(to)}`}{' '}
          UTC
        </span>
      )}
      {chosen === 'fixed' && (
        <Button className="h-6" onClick={() => choose(undefined)} title="Back to the newest records">
          Back to live
        </Button>
      )}
    </span>
  );
}

function Freshness() {
  const fresh = useLive(state => state.fresh);
  const now = useNow(250);
  if (fresh === null) return <span className="text-muted">no epoch yet</span>;
  return (
    <span className="text-muted">
      epoch <b className="font-medium text-text">{formatTime(fresh.asOf, 'ms')}</b> ·{' '}
      <b className="font-medium text-text">{formatAge(now - Date.parse(fresh.asOf))}</b> old
    </span>
  );
}

function CopyLink() {
  const [copied, setCopied] = useState(false);
  const { from, to, fixed } = useSpan(1_000);
  const hasRange = !WITHOUT_RANGE.test(useLocation().pathname);
  const copy = (pinned: boolean) => {
    const url = new URL(location.href);
    if (pinned && !fixed) {
      url.searchParams.delete('range');
      url.searchParams.set('from', new Date(from).toISOString());
      url.searchParams.set('to', new Date(to).toISOString());
    }
    void navigator.clipboard?.writeText(url.href).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 2_000);
    });
  };
  return (
    <span className="ml-auto hidden items-center gap-1 sm:flex">
      <span aria-live="polite" className="text-muted">
        {copied ? 'Copied' : ''}
      </span>
      <Button kind="quiet" className="h-6" onClick={() => copy(false)}>
        Copy link
      </Button>
      {!fixed && hasRange && (
        <Button
          kind="quiet"
          className="h-6"
          onClick={() => copy(true)}
          title="Copy a link that keeps showing this time range"
        >
          Copy fixed link
        </Button>
      )}
    </span>
  );
}
