/**
 * Views that no chart of the page is made of: those over windows as lines, ranked ones as tables, single rows as figures. Which
 * and in which order the server says; the first are shown, the others on demand.
 */
import { useMemo, useState } from 'react';
import type { Row, Schemas } from '../../api/wire';
import { Chart, type Series } from '../../shared/chart';
import { chartOf } from '../../shared/chosen';
import { DocLink } from '../../shared/docs';
import { formatDateTime, numberOf, textOf } from '../../shared/format';
import { useFrozen, useLastFresh, useLive, useView } from '../../shared/live';
import { type Column, type Page, titleOfColumn, writtenText } from '../../shared/page';
import { Panel } from '../../shared/panel';
import { Receipt } from '../../shared/receipt';
import { panelState } from '../../shared/state';
import { Button } from '../../shared/ui/button';
import { cn } from '../../shared/ui/cn';
import { useSpans, useViews } from '../../shared/useDetectors';
import { orderOf } from './views';

const TABLE_ROWS = 50;
/** A page that follows more rows is slow, and nobody reads them here. */
const ROWS_MAX = 5_000;
const FIGURES = new Set(['count', 'share', 'measure', 'duration', 'bytes', 'money']);

type View = Schemas['ViewBody'];
type PagePanel = Schemas['PagePanel'];

/** So many beside the charts of the main view, and without one. */
const SHOWN_BESIDE = 1;
const SHOWN_ALONE = 4;

export function Panels({ page }: { page: Page }) {
  const views = useViews();
  const [isWhole, setWhole] = useState(false);
  if (views === null) return null;
  const all = page.panels.flatMap(panel => {
    const view = views.find(({ name }) => name === panel.view);
    return view === undefined || view.rows > ROWS_MAX ? [] : [{ panel, view }];
  });
  const named = page.panels_named;
  // Beside the charts of the main view, more lines say little that is new.
  const beside = page.panels[0]?.kind === 'lines' ? 0 : SHOWN_BESIDE;
  const first = Math.max(named, page.main == null ? SHOWN_ALONE : beside);
  const shown = isWhole ? all : all.slice(0, first);
  const more = all.length - shown.length;
  if (all.length === 0 && page.main == null && page.keys.length === 0)
    return (
      <Panel
        title="Views"
        state={{ name: 'empty' }}
        empty={
          <>
            No view of this dataflow has figures to show yet.{' '}
            <DocLink chapter="dataflows">How to write one</DocLink>
          </>
        }
      >
        {null}
      </Panel>
    );
  return (
    <>
      {shown.map(({ panel, view }) => (
        <ViewPanel key={view.name} panel={panel} view={view} />
      ))}
      {(more > 0 || isWhole) && all.length > first && (
        <div className="self-start md:col-span-2" data-part="more-views">
          <Button kind="quiet" aria-expanded={isWhole} onClick={() => setWhole(!isWhole)}>
            {isWhole ? 'Show fewer views' : `Show ${more} more ${more === 1 ? 'view' : 'views'}`}
          </Button>
        </div>
      )}
    </>
  );
}

function ViewPanel({ panel, view }: { panel: PagePanel; view: View }) {
  const live = useView(view.name);
  const link = useLive(state => state.link);
  const frozen = useFrozen();
  const asOf = useLastFresh();
  return (
    <Panel
      title={panel.title}
      state={panelState(link, live === null ? null : live.rows.length, asOf, frozen)}
      empty="No rows yet."
      aside={
        <>
          <span title="The rows of the view as they are now, whatever range is chosen.">
            ignores the range
          </span>
          <Receipt view={view.name} label={view.name}>
            receipt
          </Receipt>
        </>
      }
    >
      {live !== null &&
        (panel.kind === 'lines' ? (
          <ViewChart view={view} rows={live.rows} />
        ) : panel.kind === 'values' ? (
          <ViewValues view={view} row={live.rows[0]} />
        ) : (
          <ViewTable view={view} rows={live.rows} />
        ))}
    </Panel>
  );
}

function ViewChart({ view, rows }: { view: View; rows: readonly Row[] }) {
  const chart = useMemo(() => {
    // The end of a window says no more than its start.
    const [time] = view.columns.filter(({ role }) => role === 'time');
    const columns = view.columns.filter(it => it.role !== 'time' || it === time);
    return chartOf(columns, time === undefined ? rows : wholeOf(rows, time.name), null);
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
function wholeOf(rows: readonly Row[], time: string): readonly Row[] {
  const starts = new Set(rows.map(row => String(row[time])));
  const newest = [...starts].sort().at(-1);
  return starts.size < 3 ? rows : rows.filter(row => String(row[time]) !== newest);
}

function ViewValues({ view, row }: { view: View; row: Row | undefined }) {
  return (
    <dl className="grid grid-cols-[repeat(auto-fill,minmax(140px,1fr))] gap-3 px-3 pb-3">
      {view.columns.map(column => {
        const value = row?.[column.name];
        const text = FIGURES.has(column.role) ? writtenText(numberOf(value), column) : shownOf(value, column);
        return (
          <div key={column.name} className="min-w-0">
            <dt className="truncate text-label text-muted">{titleOfColumn(column)}</dt>
            <dd className="truncate text-section font-medium">{text}</dd>
          </div>
        );
      })}
    </dl>
  );
}

function shownOf(value: unknown, { role }: Pick<Column, 'role'>): string {
  return role === 'time' ? formatDateTime(value) : textOf(value);
}

function ViewTable({ view, rows }: { view: View; rows: readonly Row[] }) {
  const sorted = useMemo(() => orderOf(view, rows).slice(0, TABLE_ROWS), [view, rows]);
  return (
    <table className="w-full">
      <thead className="sticky top-0 bg-panel text-left text-label text-muted">
        <tr>
          {view.columns.map(({ name, role }) => (
            <th key={name} className={cn('px-3 font-normal', FIGURES.has(role) && 'text-right')}>
              {name.replaceAll('_', ' ')}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {sorted.map(row => (
          <tr key={JSON.stringify(row)} className="h-6 hover:bg-hover">
            {view.columns.map(column => (
              <td
                key={column.name}
                className={cn(
                  'max-w-64 truncate px-3 whitespace-nowrap',
                  FIGURES.has(column.role) && 'text-right',
                )}
              >
                {FIGURES.has(column.role)
                  ? writtenText(numberOf(row[column.name]), column)
                  : shownOf(row[column.name], column)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
