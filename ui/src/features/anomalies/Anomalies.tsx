/**
 * The anomalies that hold now, newest first. An anomaly is a row of a view: when its evidence is retracted,
 * it leaves this list by itself.
 */
import { rowsOf } from '../../api/fold';
import type { Row } from '../../api/wire';
import { formatAny, formatName, formatNumber, formatTime, numberOf, textOf } from '../../shared/format';
import { useLastFresh, useLive } from '../../shared/live';
import { Mark } from '../../shared/mark';
import { Panel } from '../../shared/panel';
import { panelState } from '../../shared/state';
import './anomalies.css';

const SHOWN_MAX = 100;

export function Anomalies() {
  const link = useLive(state => state.link);
  const asOf = useLastFresh();
  const snapshot = useLive(state => state.views.get('anomalies'));
  const rows = snapshot === undefined ? null : newestFirst(rowsOf(snapshot));
  return (
    <Panel
      title="Anomalies"
      name="anomalies"
      state={panelState(link, rows?.length ?? null, asOf)}
      empty="Nothing unusual. An anomaly appears here while its evidence holds."
      aside={rows !== null && rows.length > 0 && <CountOf total={rows.length} />}
    >
      <ul className="anomalies">
        {rows?.slice(0, SHOWN_MAX).map(row => (
          <Anomaly key={keyOf(row)} row={row} />
        ))}
      </ul>
    </Panel>
  );
}

function CountOf({ total }: { total: number }) {
  return (
    <span className="muted">
      {total > SHOWN_MAX ? `newest ${SHOWN_MAX} of ${formatNumber(total)}` : formatNumber(total)}
    </span>
  );
}

function Anomaly({ row }: { row: Row }) {
  return (
    <li className="anomaly">
      <p className="anomaly-head">
        <Mark tone="warn" word={formatName(row.anomaly_type)} />
        <span className="mono anomaly-where">{whereOf(row)}</span>
        <span className="muted anomaly-when">
          {formatTime(row.window_start, 'min')}–{formatTime(row.window_end, 'min')} UTC
        </span>
      </p>
      <p className="muted anomaly-why">
        observed <b>{formatAny(numberOf(row.observed))}</b> against a threshold of{' '}
        <b>{formatAny(numberOf(row.threshold))}</b> · score {formatAny(numberOf(row.score))} ·{' '}
        {formatNumber(numberOf(row.records))} records
      </p>
    </li>
  );
}

function whereOf({ endpoint, ip_class }: Row): string {
  const parts = [endpoint, ip_class].filter(part => part !== null && part !== undefined);
  return parts.length === 0 ? 'everywhere' : parts.map(textOf).join(' · ');
}

function newestFirst(rows: Row[]): Row[] {
  return rows.sort(
    (a, b) =>
      Date.parse(textOf(b.window_start)) - Date.parse(textOf(a.window_start)) ||
      (numberOf(b.score) ?? 0) - (numberOf(a.score) ?? 0),
  );
}

function keyOf(row: Row): string {
  return JSON.stringify([row.window_start, row.endpoint, row.ip_class, row.anomaly_type]);
}
