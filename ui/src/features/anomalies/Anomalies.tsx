/**
 * What the rules found in the chosen range, live: one line per window and rule, newest first. A row goes when late data explain it
 * away.
 */
import { useMemo, useRef, useState } from 'react';
import type { Row } from '../../api/wire';
import { partOf } from '../../shared/filter';
import { formatAny, formatDateTime, formatName, formatNumber, numberOf, textOf } from '../../shared/format';
import { useFrozen, useIsMissing, useLastFresh, useLive, useView } from '../../shared/live';
import { Mark } from '../../shared/mark';
import { useGo, useSpan } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { Receipt } from '../../shared/receipt';
import { panelState } from '../../shared/state';
import { Button } from '../../shared/ui/button';
import { SingleEvents } from './SingleEvents';

const SHOWN_MAX = 300;
const GRAVE_SCORE = 0.8;
const SPAN_EVERY_MS = 5_000;
/** Rules over windows have a threshold, rules over single events do not. */
const WINDOW_RULES = 'threshold > 0';

export function Anomalies() {
  const view = useView('anomalies', WINDOW_RULES);
  const withoutRules = useIsMissing('anomalies');
  const link = useLive(state => state.link);
  const frozen = useFrozen();
  const asOf = useLastFresh();
  const [kind, setKind] = useState('');
  const span = useSpan(SPAN_EVERY_MS);
  // What is frozen does not lose rows as time goes on.
  const held = useRef(span);
  if (!frozen || span.fixed) held.current = span;
  const { from, to, fixed } = held.current;
  const inRange = useMemo(
    () => (view?.rows ?? []).filter(row => from < endOf(row) && (!fixed || timeOf(row) < to)),
    [view, from, to, fixed],
  );
  const kinds = useMemo(() => countsOf(inRange), [inRange]);
  const rows = useMemo(
    () =>
      inRange
        .filter(row => kind === '' || row.anomaly_type === kind)
        .sort((a, b) => timeOf(b) - timeOf(a) || (numberOf(b.score) ?? 0) - (numberOf(a.score) ?? 0)),
    [inRange, kind],
  );
  if (withoutRules)
    return (
      <p className="px-4 py-3 text-muted">
        This dataflow has no view <code className="font-mono">anomalies</code>, so nothing says what is
        unusual.
      </p>
    );
  return (
    <div className="flex flex-col gap-3 px-4 py-3 md:h-full md:flex-row">
      <Panel
        title="Rules over windows"
        className="max-h-[55vh] min-h-48 flex-[3] md:max-h-none"
        state={panelState(link, view === null ? null : rows.length, asOf, frozen)}
        empty="No rule was crossed in this range. That is good."
        aside={
          <>
            <label>
              rule{' '}
              <select
                className="h-6 rounded border border-line bg-panel px-1 text-text"
                value={kind}
                onChange={({ target }) => setKind(target.value)}
              >
                <option value="">all · {formatNumber(view === null ? undefined : inRange.length)}</option>
                {kinds.map(([name, count]) => (
                  <option key={name} value={name}>
                    {formatName(name)} · {formatNumber(count)}
                  </option>
                ))}
              </select>
            </label>
            <Receipt view="anomalies" label="anomalies">
              live
            </Receipt>
          </>
        }
      >
        <table className="w-full">
          <thead className="sticky top-0 bg-panel text-left text-label text-muted">
            <tr>
              <th className="pl-3 font-normal">
                <span className="hidden sm:inline">window, </span>UTC
              </th>
              <th className="px-1.5 font-normal sm:px-2">rule</th>
              <th className="px-1.5 font-normal sm:px-2">endpoint</th>
              <th className="hidden px-2 font-normal sm:table-cell">addresses</th>
              <th className="px-1.5 text-right font-normal sm:px-2">seen</th>
              <th className="hidden px-2 text-right font-normal sm:table-cell">at most</th>
              <th className="hidden px-2 text-right font-normal sm:table-cell">records</th>
              <th className="hidden px-2 text-right font-normal sm:table-cell">score</th>
              <th className="px-1 sm:px-3">
                <span className="sr-only">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, SHOWN_MAX).map(row => (
              <Line key={keyOf(row)} row={row} />
            ))}
          </tbody>
        </table>
        {rows.length > SHOWN_MAX && (
          <p className="px-3 py-2 text-muted">
            The newest {SHOWN_MAX} of {formatNumber(rows.length)}. Query has all of them.
          </p>
        )}
      </Panel>
      <SingleEvents />
    </div>
  );
}

function Line({ row }: { row: Row }) {
  const go = useGo();
  const score = numberOf(row.score) ?? 0;
  const records = () =>
    go(
      {
        ...(typeof row.endpoint === 'string' ? { where: partOf('endpoint', '=', row.endpoint) } : {}),
        past: true,
        range: undefined,
        from: new Date(timeOf(row)).toISOString(),
        to: new Date(endOf(row)).toISOString(),
      } as object,
      '/logs',
    );
  return (
    <tr className="h-7 hover:bg-hover" data-anomaly={String(row.anomaly_type)}>
      <td className="pl-3 whitespace-nowrap text-muted" title={formatDateTime(row.window_start)}>
        <span className="hidden sm:inline">{formatDateTime(row.window_start).slice(5, 10)} </span>
        {formatDateTime(row.window_start).slice(11, 16)}
      </td>
      <td className="px-1.5 whitespace-nowrap sm:px-2">
        <Mark tone={score >= GRAVE_SCORE ? 'critical' : 'warn'} word={formatName(row.anomaly_type)} />
      </td>
      <td className="max-w-40 truncate px-1.5 sm:px-2">{textOf(row.endpoint)}</td>
      <td className="hidden px-2 text-muted sm:table-cell">{textOf(row.ip_class)}</td>
      <td className="px-1.5 text-right sm:px-2">{formatAny(numberOf(row.observed))}</td>
      <td className="hidden px-2 text-right text-muted sm:table-cell">
        {formatAny(numberOf(row.threshold))}
      </td>
      <td className="hidden px-2 text-right sm:table-cell">{formatNumber(numberOf(row.records))}</td>
      <td className="hidden px-2 text-right sm:table-cell">{formatNumber(score, 1)}</td>
      <td className="px-1 text-right sm:px-3">
        <Button kind="quiet" className="h-6" onClick={records}>
          Records
        </Button>
      </td>
    </tr>
  );
}

function keyOf(row: Row): string {
  return [row.window_start, row.anomaly_type, row.endpoint, row.ip_class].join('|');
}

function timeOf(row: Row): number {
  const time = Date.parse(String(row.window_start));
  return Number.isNaN(time) ? 0 : time;
}

function endOf(row: Row): number {
  return Date.parse(String(row.window_end)) || timeOf(row) + 60_000;
}

function countsOf(rows: readonly Row[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { anomaly_type } of rows)
    counts.set(String(anomaly_type), (counts.get(String(anomaly_type)) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}
