/**
 * The endpoints with the most requests, as the view `top_endpoints` holds them at this moment.
 */
import { rowsOf } from '../../api/fold';
import type { Row } from '../../api/wire';
import { formatNumber, MISSING, numberOf, textOf } from '../../shared/format';
import { useLastFresh, useLive } from '../../shared/live';
import { Panel } from '../../shared/panel';
import { panelState } from '../../shared/state';

const ROWS_MAX = 50;

export function TopEndpoints() {
  const link = useLive(state => state.link);
  const asOf = useLastFresh();
  const snapshot = useLive(state => state.views.get('top_endpoints'));
  const rows = snapshot === undefined ? null : mostRequested(rowsOf(snapshot));
  const most = numberOf(rows?.[0]?.requests) ?? 0;
  return (
    <Panel
      title="Top endpoints"
      name="endpoints"
      state={panelState(link, rows?.length ?? null, asOf)}
      empty="No endpoint was requested yet."
    >
      <table className="grid">
        <thead>
          <tr>
            <th>endpoint</th>
            <th className="number">requests</th>
            <th className="number">errors</th>
            <th className="number">mean ms</th>
            <th className="number">p95 ms</th>
          </tr>
        </thead>
        <tbody>
          {rows?.slice(0, ROWS_MAX).map(row => (
            <tr key={textOf(row.endpoint)}>
              <td className="mono endpoint-cell" title={textOf(row.endpoint)}>
                <Share part={numberOf(row.requests) ?? 0} whole={most} />
                <span>{textOf(row.endpoint)}</span>
              </td>
              <td className="number">{formatNumber(numberOf(row.requests))}</td>
              <td className="number">{errorShare(row)}</td>
              <td className="number">{formatNumber(numberOf(row.response_time_mean))}</td>
              <td className="number">{formatNumber(numberOf(row.response_time_p95))}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}

function mostRequested(rows: Row[]): Row[] {
  return rows.sort((a, b) => (numberOf(b.requests) ?? 0) - (numberOf(a.requests) ?? 0));
}

function errorShare(row: Row): string {
  const requests = numberOf(row.requests);
  const errors = numberOf(row.errors);
  if (!requests || errors === null) return MISSING;
  return `${formatNumber((100 * errors) / requests, 1)} %`;
}

/** A bar behind the name, in proportion to the most requested endpoint. */
function Share({ part, whole }: { part: number; whole: number }) {
  return <span className="share" style={{ width: `${whole === 0 ? 0 : (100 * part) / whole}%` }} />;
}
