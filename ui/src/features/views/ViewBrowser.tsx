/**
 * Any view of the running dataflow, with its live rows.
 *
 * This panel knows nothing of what a view means, so it works with every dataflow. Only the chosen view is
 * carried by the stream. Where there is room the views are a list, else a select box.
 */
import { useEffect, useMemo, useState } from 'react';
import { rowsOf } from '../../api/fold';
import type { ViewInfo } from '../../api/wire';
import { formatNumber } from '../../shared/format';
import { useLastFresh, useLive, useStream } from '../../shared/live';
import { Panel } from '../../shared/panel';
import { panelState } from '../../shared/state';
import { RowTable, sorted } from './RowTable';
import './views.css';

/** A view with more rows than this is not opened unasked. */
const UNASKED_ROWS_MAX = 5_000;
/** More rows than this are not made into elements. */
const SHOWN_MAX = 200;

interface ViewBrowserProps {
  /** Views that have a panel of their own; others are more worth showing first. */
  featured: readonly string[];
  roomy: boolean;
}

export function ViewBrowser({ featured, roomy }: ViewBrowserProps) {
  const stream = useStream();
  const link = useLive(state => state.link);
  const asOf = useLastFresh();
  const catalog = useLive(state => state.catalog);
  const [chosen, setChosen] = useState<string | null>(null);
  const [showsSql, setShowsSql] = useState(false);
  const snapshot = useLive(state => (chosen === null ? undefined : state.views.get(chosen)));

  useEffect(() => {
    const exists = catalog?.some(({ name }) => name === chosen) ?? true;
    if (chosen === null || !exists) setChosen(firstChoice(catalog ?? [], featured));
  }, [catalog, chosen, featured]);
  useEffect(() => stream.show(chosen), [stream, chosen]);

  const rows = useMemo(
    () => (snapshot === undefined ? null : sorted(rowsOf(snapshot), snapshot.columns)),
    [snapshot],
  );
  const info = catalog?.find(({ name }) => name === chosen);
  return (
    <Panel
      title="Views"
      name="views"
      state={panelState(link, catalog?.length ?? null, asOf)}
      empty="The running dataflow has no views."
      aside={
        <>
          {rows !== null && (
            <span className="muted">
              {rows.length > SHOWN_MAX && `first ${SHOWN_MAX} of `}
              {formatNumber(rows.length)} rows
            </span>
          )}
          {info?.sql && (
            <button type="button" aria-pressed={showsSql} onClick={() => setShowsSql(!showsSql)}>
              SQL
            </button>
          )}
          {!roomy && catalog !== null && catalog.length > 0 && (
            <select aria-label="View" value={chosen ?? ''} onChange={event => setChosen(event.target.value)}>
              {catalog.map(({ name }) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          )}
        </>
      }
    >
      <div className="views" data-roomy={roomy}>
        {roomy && <ViewList views={catalog ?? []} chosen={chosen} onChoose={setChosen} />}
        <div className="views-rows">
          {showsSql && info?.sql && <pre className="views-sql mono">{info.sql}</pre>}
          {rows === null && <p className="panel-note">Waiting for the rows of this view…</p>}
          {rows?.length === 0 && <p className="panel-note">This view has no rows now.</p>}
          {snapshot !== undefined && rows !== null && rows.length > 0 && (
            <RowTable columns={snapshot.columns} rows={rows.slice(0, SHOWN_MAX)} />
          )}
        </div>
      </div>
    </Panel>
  );
}

interface ViewListProps {
  views: readonly ViewInfo[];
  chosen: string | null;
  onChoose(name: string): void;
}

function ViewList({ views, chosen, onChoose }: ViewListProps) {
  return (
    <ul className="views-list">
      {views.map(({ name, rows }) => (
        <li key={name}>
          <button type="button" aria-pressed={name === chosen} onClick={() => onChoose(name)}>
            <span className="mono">{name}</span>
            <span className="muted">{formatNumber(rows)}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

/** The view to open first: a small one without a panel of its own, else whichever is small. */
function firstChoice(catalog: readonly ViewInfo[], featured: readonly string[]): string | null {
  const small = catalog.filter(({ rows }) => rows <= UNASKED_ROWS_MAX);
  return (small.find(({ name }) => !featured.includes(name)) ?? small[0] ?? null)?.name ?? null;
}
