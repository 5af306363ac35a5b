/**
 * What sets a selection apart: a box of the latency heatmap against all other records of the range, or brushed times
 * against the four times as long before them. It stays until it is closed.
 */

import { useQuery } from '@tanstack/react-query';
import { X } from 'lucide-react';
import { answerOf, api } from '../../api/client';
import { partOf } from '../../shared/filter';
import { formatDate, formatNumber, formatSpan } from '../../shared/format';
import { useKeys } from '../../shared/keys';
import { useGo, useSpan, useUrl } from '../../shared/nav';
import { recordColumn } from '../../shared/page';
import { Button } from '../../shared/ui/button';
import { usePage } from '../../shared/usePage';
import { zoneName } from '../../shared/zone';
import { type Box, fieldsApart, filterOf, readBox, without } from './compare';
import { Fields } from './Fields';

const RANGE_EVERY_MS = 30_000;
/** The past that brushed times are compared with is so many times as long. */
const BEFORE_TIMES = 4;
/** Shares of fewer records say little. */
const RECORDS_FEW = 30;

/** In the address: the brushed times themselves instead of a box. */
const BRUSHED = 'times';

export function Explain() {
  const { box } = useUrl();
  const go = useGo();
  const { from, to, fixed } = useSpan(RANGE_EVERY_MS);
  const close = () => go({ box: undefined } as object);
  useKeys({
    Escape: box === undefined ? null : close,
    b: fixed ? () => go({ box: BRUSHED }) : null,
  });
  const chosen = readBox(box);
  if (chosen !== null) return <OfBox box={chosen} range={{ from, to }} onClose={close} />;
  if (box === BRUSHED && fixed) return <OfTimes range={{ from, to }} onClose={close} />;
  return null;
}

/** Asks for the same by a click, while times are brushed. */
export function ExplainTimes() {
  const go = useGo();
  const { fixed } = useSpan(RANGE_EVERY_MS);
  if (!fixed) return null;
  return (
    <Button
      kind="quiet"
      className="h-5 px-1 text-label"
      title="b: what is different from the time before"
      onClick={() => go({ box: BRUSHED })}
    >
      Explain
    </Button>
  );
}

/** In milliseconds. */
interface Times {
  from: number;
  to: number;
}

function OfBox({ box, range, onClose }: { box: Box; range: Times; onClose: () => void }) {
  const times = { from: box.from * 1000, to: box.to * 1000 };
  const page = usePage();
  const column = page === null ? null : recordColumn(page, 'duration');
  const where = column === null ? undefined : filterOf(box, column.name);
  const unit = page?.spread?.key.unit ?? '';
  const part = useSummary(times, where);
  const all = useSummary(range);
  const rest = part.data && all.data && without(all.data, part.data);
  return (
    <Drawer
      title="What is different in this box"
      about={`${timesOf(times)} ${zoneName()}, ${formatNumber(box.low)}–${formatNumber(box.high)} ${unit}`}
      against={count => `the ${count} other records of the range`}
      part={part}
      rest={rest}
      error={part.error ?? all.error}
      times={times}
      where={where}
      onClose={onClose}
    />
  );
}

function OfTimes({ range, onClose }: { range: Times; onClose: () => void }) {
  const part = useSummary(range);
  const before = { from: range.from - BEFORE_TIMES * (range.to - range.from), to: range.from };
  const rest = useSummary(before);
  return (
    <Drawer
      title="What is different in this time range"
      about={`${timesOf(range)} ${zoneName()}`}
      against={count => `the ${count} records of ${timesOf(before)} ${zoneName()}, before them`}
      part={part}
      rest={rest.data}
      error={part.error ?? rest.error}
      times={range}
      where={undefined}
      onClose={onClose}
    />
  );
}

function useSummary({ from, to }: Times, where?: string) {
  return useQuery({
    queryKey: ['log parts', where ?? '', from, to],
    queryFn: ({ signal }) =>
      answerOf(
        api.GET('/api/v1/logs/summary', {
          params: {
            query: { from: String(from), to: String(to), buckets: '1', ...(where ? { where } : {}) },
          },
          signal,
        }),
      ),
    placeholderData: before => before,
    staleTime: Number.POSITIVE_INFINITY,
  });
}

interface DrawerProps {
  title: string;
  about: string;
  /** What it is compared with, so many records. */
  against: (count: string) => string;
  part: ReturnType<typeof useSummary>;
  rest: Parameters<typeof fieldsApart>[1] | undefined;
  error: Error | null;
  times: Times;
  where: string | undefined;
  onClose: () => void;
}

function Drawer({ title, about, against, part, rest, error, times, where, onClose }: DrawerProps) {
  const go = useGo();
  const span = {
    range: undefined,
    from: new Date(times.from).toISOString(),
    to: new Date(times.to).toISOString(),
  } as object;
  const toRecords = (more?: string) => {
    const parts = [where, more].filter(text => text !== undefined);
    go({ ...span, past: true, ...(parts.length > 0 ? { where: parts.join(' AND ') } : {}) }, '/logs');
  };
  const records = part.data?.total ?? 0;
  return (
    <aside
      aria-label={title}
      className="fade fixed inset-x-0 bottom-0 z-30 flex max-h-[70vh] flex-col rounded border border-line bg-panel shadow-lg md:inset-x-auto md:top-24 md:bottom-3 md:left-3 md:max-h-none md:w-[420px]"
    >
      <header className="flex items-center gap-2 border-b border-line px-3 py-1">
        <h2 className="text-control font-medium">{title}</h2>
        <Button kind="quiet" className="ml-auto" aria-label="Close" title="Esc" onClick={onClose}>
          <X size={14} aria-hidden="true" />
        </Button>
      </header>
      <div className="flex min-h-0 flex-1 flex-col gap-2 overflow-auto p-3" tabIndex={0}>
        <p>
          {part.data === undefined ? 'Counting the' : formatNumber(records)} stored records of {about},
          against {against(rest === undefined ? '' : formatNumber(rest.total))}.
        </p>
        {error !== null && <p role="alert">{error.message}</p>}
        {part.data !== undefined && records > 0 && records < RECORDS_FEW && (
          <p className="text-warn">Too few records to be conclusive.</p>
        )}
        {part.data !== undefined && rest !== undefined && (
          <Fields
            fields={fieldsApart(part.data, rest)}
            inside="selected"
            outside="the others"
            onPick={(column, value) => toRecords(partOf(column, '=', value))}
          />
        )}
        {part.data !== undefined && records === 0 && (
          <p className="text-muted">
            No stored records in this selection yet; new ones are stored every few seconds.
          </p>
        )}
      </div>
      <footer className="flex flex-wrap gap-2 border-t border-line px-3 py-2">
        <Button onClick={() => toRecords()}>Show records</Button>
        <Button onClick={() => go({ ...span, box: undefined } as object)}>Zoom to this time range</Button>
      </footer>
    </aside>
  );
}

function timesOf({ from, to }: Times): string {
  return formatSpan(from, to, formatDate(Date.now()));
}
