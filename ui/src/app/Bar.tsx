/**
 * One clock for the page: whether it is live, which times are looked at and in which zone, and which epoch every number is of.
 */
import { Link2, Pin } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import { formatAge, formatTime } from '../shared/format';
import { useFrozen, useLive, useNow, useStream } from '../shared/live';
import { Mark } from '../shared/mark';
import { useRange } from '../shared/nav';
import { Button } from '../shared/ui/button';
import { cn } from '../shared/ui/cn';
import { Tooltip } from '../shared/ui/tooltip';
import { copyLink, useHasRange } from './links';
import { RangePicker } from './RangePicker';
import { ZoneSwitch } from './ZoneSwitch';

export function Bar() {
  const hasRange = useHasRange();
  return (
    <div className="flex min-h-9 shrink-0 flex-wrap items-center gap-x-3 gap-y-1 border-b border-line px-4 py-1 text-label">
      <LinkState />
      <FreezeButton />
      {/* On a phone the range has a line of its own, below the others. */}
      <span
        className={cn('flex items-center gap-x-3', hasRange && 'order-last w-full sm:order-none sm:w-auto')}
      >
        {hasRange && <RangePicker />}
        <ZoneSwitch />
      </span>
      <Freshness />
      <CopyLink />
    </div>
  );
}

function LinkState() {
  const link = useLive(state => state.link);
  const frozen = useFrozen();
  const hasRange = useHasRange();
  const { isFixed } = useRange();
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
          {frozen ? (
            <Mark tone="quiet" word="frozen" />
          ) : hasRange && isFixed ? (
            <Mark tone="quiet" word="fixed range" />
          ) : (
            <Mark tone="live" word="live" />
          )}
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
    <Tooltip text={frozen ? 'Go on with the newest epoch (Space)' : 'Freeze all panels at one epoch (Space)'}>
      <Button className="h-6" aria-pressed={frozen} onClick={() => store.freeze(!frozen)}>
        {frozen ? `Resume · ${formatAge(behind_ms)} behind` : 'Freeze'}
      </Button>
    </Tooltip>
  );
}

function Freshness() {
  const fresh = useLive(state => state.fresh);
  const now = useNow(250);
  if (fresh === null) return <span className="text-muted">no epoch yet</span>;
  return (
    <span className="text-muted">
      <span className="hidden sm:inline">
        epoch <b className="font-medium text-text">{formatTime(fresh.asOf, 'ms')}</b> ·{' '}
      </span>
      <b className="font-medium text-text">{formatAge(now - Date.parse(fresh.asOf))}</b> old
    </span>
  );
}

const SAID_MS = 2_000;

function CopyLink() {
  const [said, setSaid] = useState('');
  const { span } = useRange();
  const hasRange = useHasRange();
  const copy = async (times: { from: number; to: number } | null) => {
    setSaid((await copyLink(times)) ? 'Copied' : 'Copy it from the address field');
    setTimeout(() => setSaid(''), SAID_MS);
  };
  return (
    <span className="ml-auto flex items-center gap-1">
      <span aria-live="polite" className="text-muted">
        {said}
      </span>
      <CopyButton label="Copy link" what="Copy a link to what is shown" onClick={() => copy(null)}>
        <Link2 size={14} aria-hidden="true" />
      </CopyButton>
      {!span.fixed && hasRange && (
        <CopyButton
          label="Copy fixed link"
          what="Copy a link that keeps showing this time range"
          onClick={() => copy(span)}
        >
          <Pin size={14} aria-hidden="true" />
        </CopyButton>
      )}
    </span>
  );
}

interface CopyButtonProps {
  label: string;
  what: string;
  onClick: () => void;
  children: ReactNode;
}

function CopyButton({ label, what, onClick, children }: CopyButtonProps) {
  return (
    <Tooltip text={what}>
      <Button kind="quiet" className="h-6 justify-center" aria-label={label} onClick={onClick}>
        {children}
        <span className="hidden lg:inline">{label}</span>
      </Button>
    </Tooltip>
  );
}
