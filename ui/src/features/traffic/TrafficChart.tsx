/**
 * Requests per minute, and how many of them were errors.
 *
 * The panel decides what to say; `BarChart` draws. The line of text above the chart holds the values of the
 * minute under the pointer, or of the newest one, so nothing has to be read from colours alone.
 */
import { useMemo, useState } from 'react';
import { rowsOf } from '../../api/fold';
import { formatNumber, formatTime } from '../../shared/format';
import { useLastFresh, useLive } from '../../shared/live';
import { Panel } from '../../shared/panel';
import { panelState } from '../../shared/state';
import { BarChart } from './BarChart';
import { type Minutes, sumByMinute } from './minutes';
import './traffic.css';

export function TrafficChart() {
  const link = useLive(state => state.link);
  const asOf = useLastFresh();
  const snapshot = useLive(state => state.views.get('traffic_1m'));
  const minutes = useMemo(() => (snapshot === undefined ? null : sumByMinute(rowsOf(snapshot))), [snapshot]);
  const [pointed, setPointed] = useState<number | null>(null);
  const count = minutes?.start_s.length ?? null;
  return (
    <Panel
      title="Requests per minute"
      name="traffic"
      state={panelState(link, count, asOf)}
      empty="No requests yet. The first minute appears with the first record."
      aside={minutes !== null && count !== 0 && <Legend minutes={minutes} index={pointed} />}
    >
      {minutes !== null && <BarChart minutes={minutes} summary={summaryOf(minutes)} onPoint={setPointed} />}
    </Panel>
  );
}

function Legend({ minutes, index }: { minutes: Minutes; index: number | null }) {
  const last = minutes.start_s.length - 1;
  const at = index !== null && index <= last ? index : last;
  const requests = minutes.requests[at] ?? 0;
  const errors = minutes.errors[at] ?? 0;
  return (
    <span className="legend">
      <span className="muted">
        {formatTime((minutes.start_s[at] ?? 0) * 1000, 'min')} UTC{at === last && ', still filling'}
      </span>
      <span>
        <i className="swatch swatch-requests" /> requests {formatNumber(requests)}
      </span>
      <span>
        <i className="swatch swatch-errors" /> errors {formatNumber(errors)}
        <span className="muted">
          {' '}
          · {formatNumber(requests === 0 ? null : (100 * errors) / requests, 1)} %
        </span>
      </span>
    </span>
  );
}

/** The chart in one sentence, for those who do not see it. */
function summaryOf({ start_s, requests, errors }: Minutes): string {
  const total = (values: number[]) => formatNumber(values.reduce((sum, value) => sum + value, 0));
  const from = formatTime((start_s[0] ?? 0) * 1000, 'min');
  return `${total(requests)} requests and ${total(errors)} errors in ${start_s.length} minutes from ${from} UTC.`;
}
