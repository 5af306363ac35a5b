/**
 * Where a number comes from: the view's SQL, the epoch, how far the sources had been read, and the version in the lake.
 * Any number can be asked, by a click or, when it has the focus, by Enter or `i`.
 */
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { answerOf, api } from '../api/client';
import { formatDateTime, formatNumber, formatTime } from './format';
import { useGo } from './nav';
import { Button } from './ui/button';
import { Popover } from './ui/popover';
import { zoneName } from './zone';

/** An open receipt follows its number: the next commit may be the first that has it. */
const AGAIN_MS = 2_000;

export function Receipt({ view, label, children }: { view: string; label: string; children: ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <Popover
      label={`Receipt of ${label}`}
      open={open}
      onOpenChange={setOpen}
      className="w-[min(92vw,520px)]"
      trigger={
        <button
          type="button"
          className="rounded text-left decoration-muted decoration-dotted underline-offset-4 hover:underline"
          onKeyDown={event => event.key === 'i' && setOpen(true)}
        >
          {children}
          <span className="sr-only"> ({label}, receipt)</span>
        </button>
      }
    >
      {open && <ReceiptOf view={view} label={label} />}
    </Popover>
  );
}

function ReceiptOf({ view, label }: { view: string; label: string }) {
  const go = useGo();
  const { data, error } = useQuery({
    queryKey: ['receipt', view],
    queryFn: () => answerOf(api.GET('/api/v1/receipts/{view}', { params: { path: { view } } })),
    staleTime: 0,
    refetchInterval: AGAIN_MS,
  });
  if (error !== null) return <p role="alert">{error.message}</p>;
  if (data === undefined) return <p className="text-muted">Loading…</p>;
  return (
    <div className="flex flex-col gap-2">
      <h3 className="font-medium">Receipt: {label}</h3>
      <Sql text={data.sql} />
      <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-0.5">
        <Fact name="view">
          {data.view}, {formatNumber(data.rows)} rows
        </Fact>
        <Fact name="epoch">
          {data.epoch} · {formatTime(data.as_of, 'ms')} {zoneName()}
        </Fact>
        {data.watermark && (
          <Fact name="complete up to">
            {formatDateTime(data.watermark)} {zoneName()} event time
          </Fact>
        )}
        {data.offsets.map(it => (
          <Fact key={`${it.source}-${it.partition}`} name={`${it.source}/${it.partition}`}>
            read up to {formatNumber(it.offset)} ·{' '}
            {it.committed == null ? 'no commit yet' : `committed ${formatNumber(it.committed)}`}
          </Fact>
        ))}
        {data.stored ? (
          <Fact name="in the lake">
            {data.stored.table} version {data.stored.version}, commit {data.stored.commit}, as of{' '}
            {formatDateTime(data.stored.as_of)} {zoneName()}
          </Fact>
        ) : (
          <Fact name="in the lake">no commit yet</Fact>
        )}
      </dl>
      <Button kind="quiet" className="self-start" onClick={() => go({ q: data.query }, '/query')}>
        Open in Query
      </Button>
    </div>
  );
}

export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-muted">{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

export function Sql({ text }: { text: string }) {
  return (
    <pre
      tabIndex={0}
      className="max-h-48 overflow-auto rounded bg-ground p-2 font-mono text-label whitespace-pre-wrap"
    >
      {text.trim()}
    </pre>
  );
}

/** The receipt of a chart: the query behind it. */
export function SqlReceipt({ sql, note }: { sql: string | undefined; note?: string }) {
  const go = useGo();
  if (sql === undefined) return null;
  return (
    <Popover
      label="Receipt"
      className="w-[min(92vw,520px)]"
      trigger={
        <Button kind="quiet" className="h-5 px-1 text-label" aria-label="Receipt: where this comes from">
          receipt
        </Button>
      }
    >
      <div className="flex flex-col gap-2">
        <Sql text={sql} />
        {note && <p className="text-muted">{note}</p>}
        <Button kind="quiet" className="self-start" onClick={() => go({ q: sql }, '/query')}>
          Open in Query
        </Button>
      </div>
    </Popover>
  );
}
