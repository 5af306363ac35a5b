/**
 * The views of a dataflow that the page knows nothing about: those over windows as charts, ranked ones as tables. Which
 * those are is told by their columns and their SQL.
 */
import { useMemo } from 'react';
import type { Row, Schemas } from '../../api/wire';
import { Chart, type Series } from '../../shared/chart';
import { chartOf } from '../../shared/chosen';
import { formatAny, formatDateTime, numberOf, textOf } from '../../shared/format';
import { useFrozen, useLastFresh, useLive, useView } from '../../shared/live';
import { Panel } from '../../shared/panel';
import { Receipt } from '../../shared/receipt';
import { panelState } from '../../shared/state';
import { cn } from '../../shared/ui/cn';
import { useSpans, useViews } from '../../shared/useDetectors';
import { isRanked, isWindowed, orderOf, viewsToShow } from './views';

const TABLE_ROWS = 50;
const NUMBERS = new Set(['int', 'bigint', 'double']);

type View = Schemas['ViewBody'];

export function OwnViews() {
  const views = useViews();
  if (views === null) return null;
  const shown = viewsToShow(views);
  if (shown.length === 0)
    return (
      <Panel
        title="Views"
        state={{ name: 'empty' }}
        empty="This dataflow has no view that can be shown here."
      >
        {null}
      </Panel>
    );
  return (
    <>
      {shown.map(view => (
        <ViewPanel key={view.name} view={view} />
      ))}
    </>
  );
}

/** The first ranked view, if there is one. */
export function TopView() {
  const ranked = useViews()?.find(isRanked);
  return ranked === undefined ? null : <ViewPanel view={ranked} />;
}

function ViewPanel({ view }: { view: View }) {
  const live = useView(view.name);
  const link = useLive(state => state.link);
  const frozen = useFrozen();
  const asOf = useLastFresh();
  return (
    <Panel
      title={view.name.replaceAll('_', ' ')}
      state={panelState(link, live === null ? null : live.rows.length, asOf, frozen)}
      empty="No rows yet."
      aside={
        <Receipt view={view.name} label={view.name}>
          receipt
        </Receipt>
      }
    >
      {live !== null &&
        (isWindowed(view) ? (
          <ViewChart view={view} rows={live.rows} />
        ) : (
          <ViewTable view={view} rows={live.rows} />
        ))}
    </Panel>
  );
}

function ViewChart({ view, rows }: { view: View; rows: readonly Row[] }) {
  const chart = useMemo(() => {
    // The end of a window says no more than its start.
    const columns = view.columns.filter(({ name }) => name !== 'window_end');
    return chartOf(columns, wholeOf(rows), null);
  }, [view, rows]);
  const shown = useMemo(() => {
    if (chart.kind !== 'time') return { view: view.name, columns: [] };
    // Without a figure of its own each line is a column.
    const columns = chart.figure === null ? chart.lines.map(({ label }) => label) : [chart.figure];
    return { view: view.name, columns };
  }, [chart, view.name]);
  const spans = useSpans(shown);
  if (chart.kind !== 'time') return <ViewTable view={view} rows={rows} />;
  const series = chart.lines.map(
    ({ label, values, isOther }, at): Series => ({
      label,
      values,
      colour: isOther ? 'muted' : at,
      spansGaps: !chart.gaps,
    }),
  );
  const figure = chart.figure ?? 'figures';
  return (
    <Chart
      times={chart.times}
      series={series}
      spans={spans}
      unit=""
      summary={`${view.name}: ${figure} over time, ${chart.lines.map(({ label }) => label).join(', ')}.`}
    />
  );
}

/** Without the newest window, which is still filling: it would look as if everything broke down. */
function wholeOf(rows: readonly Row[]): readonly Row[] {
  const starts = new Set(rows.map(row => String(row.window_start)));
  const newest = [...starts].sort().at(-1);
  return starts.size < 3 ? rows : rows.filter(row => row.window_start !== newest);
}

function ViewTable({ view, rows }: { view: View; rows: readonly Row[] }) {
  const sorted = useMemo(() => orderOf(view, rows).slice(0, TABLE_ROWS), [view, rows]);
  return (
    <table className="w-full">
      <thead className="sticky top-0 bg-panel text-left text-label text-muted">
        <tr>
          {view.columns.map(({ name, type }) => (
            <th key={name} className={cn('px-3 font-normal', NUMBERS.has(type) && 'text-right')}>
              {name.replaceAll('_', ' ')}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {sorted.map(row => (
          <tr key={JSON.stringify(row)} className="h-6 hover:bg-hover">
            {view.columns.map(({ name, type }) => (
              <td
                key={name}
                className={cn('max-w-64 truncate px-3', NUMBERS.has(type) && 'text-right')}
                title={textOf(row[name])}
              >
                {NUMBERS.has(type)
                  ? formatAny(numberOf(row[name]))
                  : type === 'timestamp'
                    ? formatDateTime(row[name])
                    : textOf(row[name])}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
