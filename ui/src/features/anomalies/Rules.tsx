/**
 * What the rules found in the chosen range, live: one line per incident, newest first. Windows of one rule and endpoint in a
 * row are one incident; it goes when late data explain it away.
 */
import { useMemo, useRef, useState } from 'react';
import { formatAge, formatDateTime, formatName, formatNumber } from '../../shared/format';
import { type Incident, incidentsOf } from '../../shared/incidents';
import { useFrozen, useLastFresh, useLive, useNow, useView } from '../../shared/live';
import { Mark } from '../../shared/mark';
import { useGo, useSpan } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { Receipt } from '../../shared/receipt';
import { panelState } from '../../shared/state';
import { Button } from '../../shared/ui/button';
import { zoneName } from '../../shared/zone';
import { SingleEvents } from './SingleEvents';

const SHOWN_MAX = 300;
const SPAN_EVERY_MS = 5_000;
/** Rules over windows have a threshold, rules over single events do not. */
const WINDOW_RULES = 'threshold > 0';

export function Rules() {
  const view = useView('anomalies', WINDOW_RULES);
  const link = useLive(state => state.link);
  const frozen = useFrozen();
  const asOf = useLastFresh();
  const [kind, setKind] = useState('');
  const span = useSpan(SPAN_EVERY_MS);
  // What is frozen does not lose rows as time goes on.
  const held = useRef(span);
  if (!frozen || span.fixed) held.current = span;
  const { from, to, fixed } = held.current;
  const now_ms = useNow(SPAN_EVERY_MS);
  const inRange = useMemo(
    () =>
      incidentsOf(view?.rows ?? [], now_ms).filter(
        ({ begin_ms, until_ms }) => from < until_ms && (!fixed || begin_ms < to),
      ),
    [view, now_ms, from, to, fixed],
  );
  const kinds = useMemo(() => countsOf(inRange), [inRange]);
  const incidents = useMemo(
    () => inRange.filter(it => kind === '' || it.kind === kind).sort((a, b) => b.begin_ms - a.begin_ms),
    [inRange, kind],
  );
  return (
    <div className="flex flex-col gap-3 px-4 py-3 md:h-full md:flex-row">
      <Panel
        title="Incidents of rules"
        className="max-h-[55vh] min-h-48 flex-[3] md:max-h-none"
        state={panelState(link, view === null ? null : incidents.length, asOf, frozen)}
        empty="No incidents in this range."
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
              receipt
            </Receipt>
          </>
        }
      >
        <table className="w-full">
          <thead className="sticky top-0 bg-panel text-left text-label text-muted">
            <tr>
              <th className="pl-3 font-normal">
                <span className="hidden sm:inline">began, </span>
                {zoneName()}
              </th>
              <th className="px-1.5 font-normal sm:px-2">lasted</th>
              <th className="px-1.5 font-normal sm:px-2">incident</th>
              <th className="hidden px-2 font-normal sm:table-cell">worst</th>
              <th className="hidden px-2 text-right font-normal sm:table-cell">requests</th>
              <th className="px-1 sm:px-3">
                <span className="sr-only">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {incidents.slice(0, SHOWN_MAX).map(it => (
              <Line key={`${it.id} ${it.begin_ms}`} incident={it} />
            ))}
          </tbody>
        </table>
        {incidents.length > SHOWN_MAX && (
          <p className="px-3 py-2 text-muted">
            The newest {SHOWN_MAX} of {formatNumber(incidents.length)}. Query has all of them.
          </p>
        )}
      </Panel>
      <SingleEvents />
    </div>
  );
}

function Line({ incident }: { incident: Incident }) {
  const go = useGo();
  const { kind, title, detail, tone, begin_ms, end_ms, until_ms, where, records } = incident;
  const show = () =>
    go(
      {
        ...(where !== null && { where }),
        past: true,
        range: undefined,
        from: new Date(begin_ms).toISOString(),
        to: new Date(until_ms).toISOString(),
      } as object,
      '/logs',
    );
  const began = formatDateTime(begin_ms);
  return (
    <tr className="h-7 hover:bg-hover" data-anomaly={kind}>
      <td className="pl-3 whitespace-nowrap text-muted" title={began}>
        <span className="hidden sm:inline">{began.slice(5, 10)} </span>
        {began.slice(11, 16)}
      </td>
      <td className="px-1.5 whitespace-nowrap sm:px-2">
        {end_ms === null ? 'ongoing' : formatAge(until_ms - begin_ms)}
      </td>
      <td className="px-1.5 sm:px-2">
        <Mark tone={end_ms === null ? tone : 'quiet'} word={title} className="whitespace-normal" />
      </td>
      <td className="hidden px-2 text-muted sm:table-cell">{detail}</td>
      <td className="hidden px-2 text-right sm:table-cell">{formatNumber(records)}</td>
      <td className="px-1 text-right sm:px-3">
        <Button kind="quiet" className="h-6" onClick={show}>
          Records
        </Button>
      </td>
    </tr>
  );
}

function countsOf(incidents: readonly Incident[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { kind } of incidents) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}
