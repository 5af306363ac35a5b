/**
 * Δ: what changed between two times. Every panel compares so long a time up to one mark with as long a time up to the other;
 * a click in the chart moves the nearer mark.
 */
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { answerOf, api, askSql } from '../../api/client';
import { partOf } from '../../shared/filter';
import { formatNear, formatNumber, MISSING } from '../../shared/format';
import { useToday } from '../../shared/live';
import { useGo, useUrl } from '../../shared/nav';
import { type Counted, type Keyed, type Page, rateOf } from '../../shared/page';
import { Panel } from '../../shared/panel';
import { SqlReceipt } from '../../shared/receipt';
import { fixedOf, WINDOWS, type Window } from '../../shared/search';
import { answerState } from '../../shared/state';
import { TimeField } from '../../shared/timefield';
import { Button } from '../../shared/ui/button';
import { Tooltip } from '../../shared/ui/tooltip';
import { zoneName } from '../../shared/zone';
import { Traffic, titleOfDurations, titleOfTraffic } from './Charts';
import { fieldsApart } from './compare';
import { Fields } from './Fields';
import type { History } from './model';
import type { HistoryQuery } from './Overview';
import {
  apart,
  binsOf,
  earlier,
  figuresOf,
  type KeyDelta,
  keyDeltas,
  keysSql,
  type Marks,
  moved,
  PRESETS,
  windowLength,
} from './windows';

const SHOWN_MAX = 100;

interface DeltaProps {
  marks: Marks;
  page: Page;
  main: Counted;
  history: HistoryQuery;
}

export function Delta({ marks: given, page, main, history }: DeltaProps) {
  const window_s = windowLength(useUrl().window);
  const { a: first, b: last } = given;
  const marks = useMemo(() => apart({ a: first, b: last }, window_s), [first, last, window_s]);
  const a = useWindow(marks.a, window_s);
  const b = useWindow(marks.b, window_s);
  const set = useMarks();
  const lines = useMemo(
    () => [
      { time: marks.a, label: 'A' },
      { time: marks.b, label: 'B' },
    ],
    [marks.a, marks.b],
  );
  return (
    <>
      <MarkBar marks={marks} window_s={window_s} />
      <Tiles main={main} a={a.data} b={b.data} />
      <div className="grid shrink-0 grid-cols-1 gap-3 md:flex-[1_0_auto] md:auto-rows-[minmax(200px,1fr)] max-md:[&>[data-state]]:max-h-[70vh] md:[&>[data-state]]:[contain:size] md:grid-cols-2">
        <Panel
          title={`${titleOfTraffic(page, main)}, with both marks`}
          state={answerState(history, history.data?.times.length ?? null)}
          empty={`No ${main.noun} in this range. Choose a longer one.`}
          aside={<span>click to move the nearer mark</span>}
          onRetry={() => void history.refetch()}
        >
          {history.data && (
            <Traffic
              page={page}
              main={main}
              history={history.data}
              marks={lines}
              onTime={time => set(moved(marks, time, window_s))}
            />
          )}
        </Panel>
        {page.spread != null && (
          <Panel
            title={`Change of ${inSentence(titleOfDurations(main.figures.filter(it => it.role === 'duration')))}`}
            state={answerState(b, a.data && b.data ? binsOf(a.data, b.data).length : null)}
            empty="No records with it at either mark."
          >
            {a.data && b.data && <Bins unit={page.spread.key.unit ?? ''} a={a.data} b={b.data} />}
          </Panel>
        )}
        {page.keys[0] !== undefined && <KeysPanel of={page.keys[0]} marks={marks} window_s={window_s} />}
        <FieldsPanel marks={marks} window_s={window_s} />
      </div>
    </>
  );
}

/** Put the marks into the address; `null` ends the mode. */
export function useMarks(): (marks: Marks | null) => void {
  const go = useGo();
  const iso = (seconds: number) => new Date(seconds * 1000).toISOString();
  return marks =>
    go(
      (marks === null
        ? { a: undefined, b: undefined, window: undefined }
        : { a: iso(marks.a), b: iso(marks.b), box: undefined }) as object,
    );
}

function useWindow(end: number, window_s: number) {
  return useQuery({
    queryKey: ['history of window', end, window_s],
    queryFn: ({ signal }) =>
      answerOf(
        api.GET('/api/v1/history', {
          // The step in which a range ends belongs to it.
          params: {
            query: { from: String((end - window_s) * 1000), to: String(end * 1000 - 1), step: '60' },
          },
          signal,
        }),
      ),
    placeholderData: before => before,
    staleTime: Number.POSITIVE_INFINITY,
  });
}

const WINDOW_WORDS: Record<Window, string> = { '5m': '5 min', '1h': '1 h', '1d': '1 day' };

function MarkBar({ marks, window_s }: { marks: Marks; window_s: number }) {
  const set = useMarks();
  const go = useGo();
  const { window = '5m' } = useUrl();
  const field = (name: 'a' | 'b', label: string) => (
    <TimeField
      label={label}
      value={marks[name] * 1000}
      onChange={ms => set(apart({ ...marks, [name]: ms / 1000 }, window_s))}
    />
  );
  return (
    <section
      aria-label="Compared times"
      className="flex min-h-9 shrink-0 flex-wrap items-center gap-x-4 gap-y-1 rounded border border-accent bg-panel px-3 py-1 text-label"
    >
      <b className="text-control font-medium text-accent">Compare</b>
      <label className="flex items-center gap-1 text-muted">
        the
        <select
          aria-label="How long a time up to each mark"
          className="h-6 rounded border border-line bg-ground px-1 text-text"
          value={window}
          onChange={({ target }) => go({ window: target.value as Window })}
        >
          {WINDOWS.map(it => (
            <option key={it} value={it}>
              {WINDOW_WORDS[it]}
            </option>
          ))}
        </select>
        up to
      </label>
      {field('b', 'B')}
      {field('a', 'with those up to A')}
      <span className="text-muted">{zoneName()}</span>
      <span role="group" aria-label="Compare with" className="flex flex-wrap items-center gap-1">
        {PRESETS.map(({ label, before_s }) => (
          <Button
            key={label}
            className="h-6"
            aria-pressed={marks.b - marks.a === before_s}
            disabled={before_s < window_s}
            onClick={() => set(earlier(marks, before_s, window_s))}
          >
            {label}
          </Button>
        ))}
      </span>
      <Tooltip text="End the comparison (d or Esc)">
        <Button kind="quiet" className="ml-auto h-6" onClick={() => set(null)}>
          End
        </Button>
      </Tooltip>
    </section>
  );
}

interface TilesProps {
  main: Counted;
  a: History | undefined;
  b: History | undefined;
}

function Tiles({ main, a, b }: TilesProps) {
  const [before, after] = [a && figuresOf(a, main), b && figuresOf(b, main)];
  const known = after ?? before ?? [];
  return (
    <section
      aria-label="Changes"
      className="grid shrink-0 grid-cols-2 divide-line rounded border border-line bg-panel sm:grid-cols-3 lg:grid-cols-none lg:auto-cols-fr lg:grid-flow-col lg:divide-x"
    >
      {known.map(({ name, label }, at) => (
        <div key={name} className="min-w-0 px-3 py-2" data-delta={name}>
          <h2 className="text-label text-muted">{label}</h2>
          <p className="text-section leading-8 font-medium" data-part="change">
            {changeOf(before?.[at]?.value, after?.[at]?.value)}
          </p>
          <p className="truncate text-label text-muted">
            {before?.[at]?.text ?? MISSING} to{' '}
            <span className="text-text">{after?.[at]?.text ?? MISSING}</span>
          </p>
        </div>
      ))}
    </section>
  );
}

function inSentence(title: string): string {
  return `${title.charAt(0).toLowerCase()}${title.slice(1)}`;
}

/** How much more or less, in percent of what it was; a dash where that cannot be told. */
function changeOf(before: number | null | undefined, after: number | null | undefined): string {
  if (before === null || before === undefined || after === null || after === undefined) return MISSING;
  if (before === after) return '±0 %';
  if (before === 0) return 'new';
  const percent = 100 * (after / before - 1);
  return `${percent < 0 ? '−' : '+'}${formatNumber(Math.abs(percent), Math.abs(percent) < 10 ? 1 : 0)} %`;
}

function Bins({ unit, a, b }: { unit: string; a: History; b: History }) {
  const bins = binsOf(a, b);
  const most = bins.reduce((most, bin) => Math.max(most, bin.a, bin.b), 1);
  const bar = (share: number, colour: string) => (
    <span
      className="block h-1.5 rounded-sm"
      style={{ width: `${Math.max((100 * share) / most, 0.5)}%`, background: colour }}
    />
  );
  return (
    <div className="h-full overflow-auto px-3 pb-2" tabIndex={0}>
      <table className="w-full text-label">
        <thead className="sticky top-0 bg-panel text-left text-muted">
          <tr>
            <th className="font-normal">from</th>
            <th className="font-normal">
              <Swatch colour="var(--muted)" />A <Swatch colour="var(--series-1)" />B
            </th>
            <th className="text-right font-normal">A %</th>
            <th className="text-right font-normal">B %</th>
            <th className="text-right font-normal">points</th>
          </tr>
        </thead>
        <tbody>
          {bins.map(bin => (
            <tr key={bin.from}>
              <td className="w-16 whitespace-nowrap">
                {formatNumber(bin.from, bin.from < 10 ? 1 : 0)} {unit}
              </td>
              <td aria-hidden="true">
                <span className="flex flex-col gap-0.5">
                  {bar(bin.a, 'var(--muted)')}
                  {bar(bin.b, 'var(--series-1)')}
                </span>
              </td>
              <td className="w-14 text-right text-muted">{formatNumber(bin.a, 1)}</td>
              <td className="w-14 text-right">{formatNumber(bin.b, 1)}</td>
              <td className="w-14 text-right">{signed(bin.b - bin.a)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Swatch({ colour }: { colour: string }) {
  return (
    <span
      className="mr-1 ml-1 inline-block size-2 rounded-[1px]"
      style={{ background: colour }}
      aria-hidden="true"
    />
  );
}

function signed(value: number): string {
  const text = formatNumber(Math.abs(value), 1);
  if (text === '0.0') return '±0';
  return `${value < 0 ? '−' : '+'}${text}`;
}

interface KeysProps {
  of: Keyed;
  marks: Marks;
  window_s: number;
}

function KeysPanel({ of, marks, window_s }: KeysProps) {
  const sql = keysSql(of, marks, window_s);
  const asked = useQuery({
    queryKey: ['keys of windows', sql],
    queryFn: async ({ signal }) => keyDeltas((await askSql(sql, { signal })).rows, window_s),
    placeholderData: before => before,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const rows = asked.data ?? [];
  const name = of.key.name.replaceAll('_', ' ');
  return (
    <Panel
      title={`Change by ${name}`}
      state={answerState(asked, asked.data?.length ?? null)}
      empty={`No ${of.noun} at either mark.`}
      onRetry={() => void asked.refetch()}
      aside={
        <SqlReceipt sql={sql} note="From the newest commit; ranked by the change in records and failures." />
      }
    >
      <table className="w-full">
        <thead className="sticky top-0 bg-panel text-left text-label text-muted">
          <tr>
            <th className="px-3 font-normal">{name}</th>
            <th className="px-2 text-right font-normal">A</th>
            <th className="px-2 text-right font-normal">B</th>
            <th className="px-2 text-right font-normal">change</th>
            {of.failed != null && (
              <>
                <th className="hidden px-2 text-right font-normal sm:table-cell">failed A</th>
                <th className="px-3 text-right font-normal">failed B</th>
              </>
            )}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, SHOWN_MAX).map(row => (
            <KeyLine key={JSON.stringify(row.key)} of={of} row={row} marks={marks} window_s={window_s} />
          ))}
        </tbody>
      </table>
      {rows.length > SHOWN_MAX && (
        <p className="px-3 py-1 text-label text-muted">
          and {formatNumber(rows.length - SHOWN_MAX)} more with smaller changes
        </p>
      )}
    </Panel>
  );
}

function KeyLine({ of, row: { key, a, b }, marks, window_s }: KeysProps & { row: KeyDelta }) {
  const toRecords = useRecords(marks.b, window_s);
  const failed = (share: number | null) => (share === null ? MISSING : `${formatNumber(share, 1)} %`);
  const rate = (perSecond: number) => {
    const { value, unit } = rateOf(perSecond);
    return `${value} ${unit}`;
  };
  const name = key === null ? 'null' : String(key);
  return (
    <tr className="h-6 hover:bg-hover">
      <td className="max-w-0 px-3">
        {of.filters && key !== null ? (
          <button
            type="button"
            className="block max-w-full truncate text-left hover:underline"
            title="Show its records at B"
            onClick={() => toRecords(partOf(of.key.name, '=', key))}
          >
            {name}
          </button>
        ) : (
          <span className="block max-w-full truncate">{name}</span>
        )}
      </td>
      <td className="px-2 text-right whitespace-nowrap text-muted">{rate(a.perSecond)}</td>
      <td className="px-2 text-right whitespace-nowrap">{rate(b.perSecond)}</td>
      <td className="px-2 text-right whitespace-nowrap">{changeOf(a.perSecond, b.perSecond)}</td>
      {of.failed != null && (
        <>
          <td className="hidden px-2 text-right text-muted sm:table-cell">{failed(a.failedShare)}</td>
          <td className="px-3 text-right">{failed(b.failedShare)}</td>
        </>
      )}
    </tr>
  );
}

function FieldsPanel({ marks, window_s }: { marks: Marks; window_s: number }) {
  const a = useSummary(marks.a, window_s);
  const b = useSummary(marks.b, window_s);
  const toRecords = useRecords(marks.b, window_s);
  const today = useToday();
  const minute = (end: number) => formatNear(end * 1000, today).replace(/:00$/, '');
  const known = a.data !== undefined && b.data !== undefined;
  return (
    <Panel
      title="Fields that changed"
      state={answerState(b, known ? a.data.total + b.data.total : null)}
      empty="No stored records at either mark."
      onRetry={() => void b.refetch()}
    >
      {known && (
        <div className="px-3 pb-3">
          <Fields
            fields={fieldsApart(b.data, a.data)}
            inside={`B, ${minute(marks.b)}`}
            outside={`A, ${minute(marks.a)}`}
            onPick={(column, value) => toRecords(partOf(column, '=', value))}
          />
        </div>
      )}
    </Panel>
  );
}

function useSummary(end: number, window_s: number) {
  return useQuery({
    queryKey: ['log parts', '', (end - window_s) * 1000, end * 1000],
    queryFn: ({ signal }) =>
      answerOf(
        api.GET('/api/v1/logs/summary', {
          params: {
            query: { from: String((end - window_s) * 1000), to: String(end * 1000), buckets: '1' },
          },
          signal,
        }),
      ),
    placeholderData: before => before,
    staleTime: Number.POSITIVE_INFINITY,
  });
}

/** Open the records of the window that ends at a mark. */
function useRecords(end: number, window_s: number): (where: string) => void {
  const go = useGo();
  return where =>
    go(
      {
        where,
        past: true,
        range: undefined,
        ...fixedOf((end - window_s) * 1000, end * 1000),
      } as object,
      '/logs',
    );
}
