/**
 * Where the traffic goes and where it fails, over the newest minutes, against as many before.
 */
import { useMemo } from 'react';
import type { Snapshot } from '../../api/fold';
import type { Row } from '../../api/wire';
import { partOf } from '../../shared/filter';
import { formatNumber, formatRate, formatTime, MISSING } from '../../shared/format';
import { useFrozen, useLastFresh, useLive } from '../../shared/live';
import { useGo } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { Receipt } from '../../shared/receipt';
import { panelState } from '../../shared/state';
import { cn } from '../../shared/ui/cn';
import { zoneName } from '../../shared/zone';
import { type Busiest, busiest, type EndpointRow } from './model';

const WINDOWS = 10;
const WINDOW_S = 60;
/** Real logs have thousands of endpoints; nobody reads on so far. */
const SHOWN_MAX = 100;

export function TopEndpoints({ view }: { view: { snapshot: Snapshot; rows: Row[] } | null }) {
  const link = useLive(state => state.link);
  const frozen = useFrozen();
  const asOf = useLastFresh();
  const found = useMemo(
    () =>
      view === null ? null : busiest(view.rows, WINDOW_S, WINDOWS, Date.parse(view.snapshot.asOf) / 1000),
    [view],
  );
  const rows = found?.rows ?? null;
  return (
    <Panel
      title="Top endpoints"
      state={panelState(link, rows === null ? null : rows.length, asOf, frozen)}
      empty="No requests in the last hour."
      aside={
        <Receipt view="traffic_1m" label="top endpoints">
          {found === null ? `last ${WINDOWS} whole minutes` : countedOver(found)}
        </Receipt>
      }
    >
      <EndpointTable rows={rows ?? []} range={null} />
    </Panel>
  );
}

interface TableProps {
  rows: readonly EndpointRow[];
  /** The fixed range they are of, in milliseconds; `null` if they are the newest. */
  range: { from: number; to: number } | null;
}

export function EndpointTable({ rows, range }: TableProps) {
  return (
    <>
      <table className="w-full">
        <thead className="sticky top-0 bg-panel text-left text-label text-muted">
          <tr>
            <th className="px-3 font-normal">endpoint</th>
            <th className="px-2 text-right font-normal">rate</th>
            <th className="px-2 text-right font-normal">failed</th>
            <th className="px-2 text-right font-normal" title="p95 of the worst minute">
              p95
            </th>
            {range === null && (
              <th
                className="hidden px-3 text-right font-normal sm:table-cell"
                title={`Rate against the ${WINDOWS} minutes before`}
              >
                change
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, SHOWN_MAX).map(row => (
            <Line key={row.endpoint} row={row} most={rows[0]?.perSecond ?? 1} range={range} />
          ))}
        </tbody>
      </table>
      {rows.length > SHOWN_MAX && (
        <p className="px-3 py-1 text-label text-muted">
          and {formatNumber(rows.length - SHOWN_MAX)} endpoints with less traffic
        </p>
      )}
    </>
  );
}

/** Over what time the numbers are. */
function countedOver({ windows, seconds, upTo_s }: Busiest): string {
  const minutes = windows === 1 ? 'whole minute' : `${windows} whole minutes`;
  if (upTo_s !== null)
    return `${windows === 0 ? 'the minute' : minutes} up to ${formatTime(upTo_s * 1000, 'min')} ${zoneName()}`;
  if (windows > 0) return `last ${minutes}`;
  return seconds < WINDOW_S ? `this minute, ${Math.floor(seconds)} s of it` : 'newest minute';
}

const FAILED_GRAVE = 20;

interface LineProps {
  row: EndpointRow;
  most: number;
  range: TableProps['range'];
}

function Line({ row, most, range }: LineProps) {
  const go = useGo();
  const { endpoint, perSecond, errorShare, p95_ms, change } = row;
  return (
    <tr className="h-6 hover:bg-hover">
      <td className="relative max-w-0 px-3">
        <span
          aria-hidden="true"
          className="absolute inset-y-1 left-0 rounded-r bg-hover"
          style={{ width: `${(100 * perSecond) / most}%` }}
        />
        <button
          type="button"
          className="relative block max-w-full truncate text-left hover:underline"
          title="Its records"
          onClick={() =>
            go({ where: partOf('endpoint', '=', endpoint), ...(range !== null && { past: true }) }, '/logs')
          }
        >
          {endpoint}
        </button>
      </td>
      <td className="px-2 text-right">
        {formatRate(perSecond)} <span className="text-label text-muted">/s</span>
      </td>
      <td className={cn('px-2 text-right', errorShare >= FAILED_GRAVE && 'text-warn')}>
        {formatNumber(errorShare, 1)} <span className="text-label text-muted">%</span>
      </td>
      <td className="px-2 text-right">
        {formatNumber(p95_ms)} <span className="text-label text-muted">ms</span>
      </td>
      {range === null && (
        <td className="hidden px-3 text-right text-muted sm:table-cell">
          {change === null ? MISSING : `${change >= 0 ? '+' : '−'}${formatNumber(Math.abs(change) * 100)} %`}
        </td>
      )}
    </tr>
  );
}
