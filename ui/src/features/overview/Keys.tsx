/**
 * Where the traffic goes and where it fails: values of a key over the newest windows, against as many before, or over a fixed
 * range. Which key is a choice.
 */
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { askSql } from '../../api/client';
import { partOf } from '../../shared/filter';
import { formatNumber, formatTime, MISSING, numberOf, signedPercent } from '../../shared/format';
import { useFrozen, useLastFresh, useLive, useView } from '../../shared/live';
import { useGo, useSpan } from '../../shared/nav';
import { type Keyed, labelOf, rateOf, writtenText } from '../../shared/page';
import { Panel } from '../../shared/panel';
import { Receipt, SqlReceipt } from '../../shared/receipt';
import { answerState, panelState } from '../../shared/state';
import { cn } from '../../shared/ui/cn';
import { zoneName } from '../../shared/zone';
import { type Busiest, busiest, type KeyRow, keyOf } from './model';

const WINDOWS = 10;
/** Real logs have thousands of values; nobody reads on so far. */
const SHOWN_MAX = 100;
const SPAN_EVERY_MS = 30_000;
const FAILED_GRAVE = 20;

export function Keys({ keys }: { keys: readonly Keyed[] }) {
  const [chosen, choose] = useState<string | null>(null);
  const { fixed } = useSpan(SPAN_EVERY_MS);
  const of = keys.find(({ view }) => view === chosen) ?? keys[0];
  if (of === undefined) return null;
  const choice =
    keys.length < 2 ? null : (
      <select
        aria-label="By which key"
        className="h-5 rounded border border-line bg-panel text-label"
        value={of.view}
        onChange={({ target }) => choose(target.value)}
      >
        {keys.map(({ view, key }) => (
          <option key={view} value={view}>
            by {key.name.replaceAll('_', ' ')} ({view})
          </option>
        ))}
      </select>
    );
  return fixed ? (
    <OfRange key={of.view} of={of} choice={choice} />
  ) : (
    <Newest key={of.view} of={of} choice={choice} />
  );
}

interface PanelProps {
  of: Keyed;
  choice: React.ReactNode;
}

export function titleOfKeys({ key }: Pick<Keyed, 'key'>): string {
  return `Top ${pluralOf(key.name.replaceAll('_', ' '))}`;
}

export function pluralOf(word: string): string {
  if (/(?:s|x|ch|sh)$/.test(word)) return /ss$|x$|ch$|sh$|us$/.test(word) ? `${word}es` : word;
  return /[^aeiou]y$/.test(word) ? `${word.slice(0, -1)}ies` : `${word}s`;
}

function Newest({ of, choice }: PanelProps) {
  const view = useView(of.view);
  const link = useLive(state => state.link);
  const frozen = useFrozen();
  const asOf = useLastFresh();
  const found = useMemo(
    () => (view === null ? null : busiest(view.rows, of, WINDOWS, Date.parse(view.snapshot.asOf) / 1000)),
    [view, of],
  );
  const rows = found?.rows ?? null;
  return (
    <Panel
      title={titleOfKeys(of)}
      state={panelState(link, rows === null ? null : rows.length, asOf, frozen)}
      empty={`No ${of.noun} in the windows that are kept.`}
      aside={
        <>
          {choice}
          <Receipt view={of.view} label={titleOfKeys(of)}>
            {found === null ? `last ${WINDOWS} whole windows` : countedOver(found, of.window_seconds)}
          </Receipt>
        </>
      }
    >
      <KeyTable of={of} rows={rows ?? []} range={null} />
    </Panel>
  );
}

function OfRange({ of, choice }: PanelProps) {
  const { from, to } = useSpan(SPAN_EVERY_MS);
  const sql = sqlOf(of, from, to);
  const seconds = (to - from) / 1000;
  const asked = useQuery({
    queryKey: ['keys of range', sql],
    queryFn: async ({ signal }) => {
      const { rows } = await askSql(sql, { signal });
      return rows.map((row): KeyRow => {
        const count = numberOf(row.n) ?? 0;
        return {
          key: keyOf(row.key),
          count,
          perSecond: count / seconds,
          failedShare: of.failed == null || count === 0 ? null : (100 * (numberOf(row.failed) ?? 0)) / count,
          slow: numberOf(row.slow),
          change: null,
        };
      });
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <Panel
      title={titleOfKeys(of)}
      state={answerState(asked, asked.data?.length ?? null)}
      empty={`No ${of.noun} in this range.`}
      onRetry={() => void asked.refetch()}
      aside={
        <>
          {choice}
          <span>of the selected range</span>
          <SqlReceipt sql={sql} note="From the newest commit; durations are of the worst window." />
        </>
      }
    >
      <KeyTable of={of} rows={asked.data ?? []} range={{ from, to }} />
    </Panel>
  );
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

function sqlOf(of: Keyed, from: number, to: number): string {
  const time = (ms: number) => `'${new Date(ms).toISOString()}'`;
  const figures = [
    `${quoted(of.key.name)} AS key`,
    `sum(${quoted(of.count)}) AS n`,
    ...(of.failed == null ? [] : [`sum(${quoted(of.failed)}) AS failed`]),
    ...(of.duration == null ? [] : [`max(${quoted(of.duration.name)}) AS slow`]),
  ];
  return `SELECT ${figures.join(', ')}
FROM lake.${quoted(of.view)}
WHERE ${quoted(of.time)} >= ${time(from)} AND ${quoted(of.time)} < ${time(to)}
GROUP BY 1
ORDER BY n DESC, key
LIMIT ${SHOWN_MAX}`;
}

interface TableProps {
  of: Keyed;
  rows: readonly KeyRow[];
  /** The fixed range they are of, in milliseconds; `null` if they are the newest. */
  range: { from: number; to: number } | null;
}

function KeyTable({ of, rows, range }: TableProps) {
  return (
    <>
      <table className="w-full">
        <thead className="sticky top-0 bg-panel text-left text-label text-muted">
          <tr>
            <th className="px-3 font-normal" title={of.key.comment ?? undefined}>
              {of.key.name.replaceAll('_', ' ')}
            </th>
            <th className="px-2 text-right font-normal">{range === null ? 'rate' : of.noun}</th>
            {of.failed != null && <th className="px-2 text-right font-normal">failed</th>}
            {of.duration != null && (
              <th
                className="px-2 text-right font-normal"
                title={[`${labelOf(of.duration)} of the worst window`, of.duration.comment]
                  .filter(it => it != null)
                  .join(' · ')}
              >
                {of.duration.statistic ?? labelOf(of.duration)}
              </th>
            )}
            {range === null && (
              <th
                className="hidden px-3 text-right font-normal sm:table-cell"
                title={`Rate against the ${WINDOWS} windows before`}
              >
                change
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, SHOWN_MAX).map(row => (
            <Line
              key={JSON.stringify(row.key)}
              of={of}
              row={row}
              most={rows[0]?.perSecond ?? 1}
              range={range}
            />
          ))}
        </tbody>
      </table>
      {rows.length > SHOWN_MAX && (
        <p className="px-3 py-1 text-label text-muted">
          and {formatNumber(rows.length - SHOWN_MAX)} more with less traffic
        </p>
      )}
    </>
  );
}

/** Over what time the numbers are. */
function countedOver({ windows, seconds, upTo_s }: Busiest, window_s: number): string {
  const one =
    window_s === 60 ? 'minute' : window_s === 3_600 ? 'hour' : window_s === 86_400 ? 'day' : 'window';
  const spans = windows === 1 ? `whole ${one}` : `${windows} whole ${one}s`;
  if (upTo_s !== null)
    return `${windows === 0 ? `the ${one}` : spans} up to ${formatTime(upTo_s * 1000, 'min')} ${zoneName()}`;
  if (windows > 0) return `last ${spans}`;
  return seconds < window_s ? `this ${one}, ${Math.floor(seconds)} s of it` : `newest ${one}`;
}

interface LineProps {
  of: Keyed;
  row: KeyRow;
  most: number;
  range: TableProps['range'];
}

function Line({ of, row, most, range }: LineProps) {
  const go = useGo();
  const { key, count, perSecond, failedShare, slow, change } = row;
  // Rates of rare keys have other units, and say less than how many there were.
  const size = range === null ? rateOf(perSecond) : { value: formatNumber(count), unit: '' };
  const name = key === null ? 'null' : key === '' ? '(empty)' : String(key);
  const leads = of.filters && key !== null;
  return (
    <tr className="h-6 hover:bg-hover">
      <td className="relative max-w-0 px-3">
        <span
          aria-hidden="true"
          className="absolute inset-y-1 left-0 rounded-r bg-hover"
          style={{ width: `${(100 * perSecond) / most}%` }}
        />
        {leads ? (
          <button
            type="button"
            className="relative block max-w-full truncate text-left hover:underline"
            title="Its records"
            onClick={() =>
              go({ where: partOf(of.key.name, '=', key), ...(range !== null && { past: true }) }, '/logs')
            }
          >
            {name}
          </button>
        ) : (
          <span className="relative block max-w-full truncate">{name}</span>
        )}
      </td>
      <td className="px-2 text-right whitespace-nowrap">
        {size.value} <span className="text-label text-muted">{size.unit}</span>
      </td>
      {of.failed != null && (
        <td
          className={cn(
            'px-2 text-right whitespace-nowrap',
            (failedShare ?? 0) >= FAILED_GRAVE && 'text-warn',
          )}
        >
          {formatNumber(failedShare, 1)} <span className="text-label text-muted">%</span>
        </td>
      )}
      {of.duration != null && (
        <td className="px-2 text-right whitespace-nowrap">
          {writtenText(slow === null ? null : Math.round(slow), of.duration)}
        </td>
      )}
      {range === null && (
        <td className="hidden px-3 text-right whitespace-nowrap text-muted sm:table-cell">
          {change === null ? MISSING : signedPercent(change)}
        </td>
      )}
    </tr>
  );
}
