/**
 * Incidents of detectors, those that go on first, and beside them the one that is looked at. What was taken back while the
 * page is open stays, as withdrawn.
 */
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useMemo, useRef } from 'react';
import { askSql } from '../../api/client';
import {
  beginOf,
  type Detected,
  type Detector,
  endOf,
  incidentOf,
  isActive,
  keyText,
  lastedText,
  minuteText,
  ordered,
  STATES,
  stateOf,
  toneOf,
} from '../../shared/detected';
import { formatDateTime, formatName, formatNumber } from '../../shared/format';
import { useKeys } from '../../shared/keys';
import { useFrozen, useLastFresh, useLive, useNow, useToday } from '../../shared/live';
import { Mark } from '../../shared/mark';
import { useGo, useSpan, useUrl } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { Receipt } from '../../shared/receipt';
import { isDismissed, verdictsOf, wordsOf } from '../../shared/said';
import { answerState, type PanelState, panelState } from '../../shared/state';
import { Button } from '../../shared/ui/button';
import { cn } from '../../shared/ui/cn';
import { useIncidents } from '../../shared/useDetectors';
import { zoneName } from '../../shared/zone';
import { IncidentPanel, Unknown } from './IncidentPanel';
import { learningOf, learningSql } from './learning';

const SHOWN_MAX = 300;
const SPAN_EVERY_MS = 5_000;
/** How soon a mute that is over counts as none. */
const MUTES_EVERY_MS = 5_000;
const LEARNING_EVERY_MS = 10_000;
/** Receipts beside the title; those of more detectors are at their incidents. */
const RECEIPTS_MAX = 2;

export function Incidents({ detectors }: { detectors: readonly Detector[] }) {
  const { incident } = useUrl();
  const query = useIncidents(detectors);
  const all = useMemo(() => ordered(query.data?.incidents ?? []), [query.data]);
  const chosen = query.data && incident !== undefined ? incidentOf(query.data, incident) : undefined;
  const detector = detectors.find(({ name }) => name === chosen?.detector);
  const state = useListState(query);
  return (
    <div className="flex min-h-0 flex-col gap-3 px-4 py-3 md:h-full md:flex-row">
      <div
        className={cn(
          'flex min-h-0 min-w-0 flex-1 flex-col gap-2',
          incident !== undefined && 'order-last md:order-first md:flex-[4]',
        )}
      >
        <Learning detectors={detectors} />
        <Verdicts all={all} isCut={query.data?.truncated ?? false} />
        <List all={all} chosen={chosen?.incident} detectors={detectors} state={state} query={query} />
      </div>
      {chosen !== undefined && detector !== undefined && (
        <IncidentPanel key={chosen.incident} incident={chosen} detector={detector} />
      )}
      {incident !== undefined && chosen === undefined && query.data !== undefined && (
        <Unknown incident={incident} detectors={detectors} />
      )}
    </div>
  );
}

type IncidentsQuery = ReturnType<typeof useIncidents>;

/** The state of the list, were all of it shown. */
function useListState(query: IncidentsQuery): (items: number) => PanelState {
  const link = useLive(state => state.link);
  const frozen = useFrozen();
  const asOf = useLastFresh();
  return items => {
    const known = query.data === undefined ? null : items;
    const asked = answerState(query, known);
    return asked.name === 'error' && link.status === 'live' ? asked : panelState(link, known, asOf, frozen);
  };
}

interface ListProps {
  all: readonly Detected[];
  chosen: string | undefined;
  detectors: readonly Detector[];
  state: (items: number) => PanelState;
  query: IncidentsQuery;
}

function List({ all, chosen, detectors, state, query }: ListProps) {
  const go = useGo();
  const { detector: ofDetector, state: ofState, incident } = useUrl();
  const detector = detectors.find(({ name }) => name === ofDetector)?.name ?? '';
  const wanted = STATES.find(it => it === ofState) ?? '';
  const frozen = useFrozen();
  const span = useSpan(SPAN_EVERY_MS);
  // What is frozen does not lose rows as time goes on.
  const held = useRef(span);
  if (!frozen || span.fixed) held.current = span;
  const { from, to, fixed } = held.current;
  const list = useRef<HTMLTableElement>(null);
  const move = (by: number) => {
    const rows = [...(list.current?.querySelectorAll<HTMLElement>('[data-incident] button') ?? [])];
    const at = rows.indexOf(document.activeElement as HTMLElement);
    rows[Math.min(rows.length - 1, Math.max(0, at + by))]?.focus();
  };
  useKeys({ j: () => move(1), k: () => move(-1) });
  const fit = all.filter(
    it => (detector === '' || it.detector === detector) && (wanted === '' || stateOf(it) === wanted),
  );
  // What goes on is told whatever range one looks at.
  const isInRange = (it: Detected) =>
    stateOf(it) !== 'closed' || (from < endOf(it) && (!fixed || beginOf(it) < to));
  const inRange = fit.filter(isInRange);
  const active = inRange.filter(isActive);
  const others = inRange.filter(it => !isActive(it));
  const outside = fit.length - inRange.length;
  const more = outside > 0 && (
    <p className="px-3 py-1.5 text-muted">
      {formatNumber(outside)} closed outside this range.{' '}
      <Button
        kind="quiet"
        className="h-6 px-1"
        onClick={() => go({ range: 'all', from: undefined, to: undefined } as object)}
      >
        Show all data
      </Button>
    </p>
  );
  const receipts = detectors.filter(({ name }) => detector === '' || name === detector);
  const isNarrow = incident !== undefined;
  const now_ms = useNow(MUTES_EVERY_MS);
  const line = (it: Detected) => (
    <Line
      key={it.incident}
      it={it}
      words={wordsOf(it, now_ms)}
      isChosen={it.incident === chosen}
      isNarrow={isNarrow}
    />
  );
  return (
    <Panel
      title="Incidents"
      className="min-h-40 flex-1"
      state={state(inRange.length)}
      empty={
        <>
          {wanted === '' && detector === ''
            ? 'No active incidents, and none in this range.'
            : 'No incidents match this filter in this range.'}
          {outside > 0 && <span className="-mx-3 block">{more}</span>}
        </>
      }
      onRetry={() => void query.refetch()}
      aside={
        <>
          {detectors.length > 1 && (
            <Choice
              label="detector"
              value={detector}
              values={detectors.map(({ name }) => [name, name])}
              onChange={value => go({ detector: value } as object)}
            />
          )}
          <Choice
            label="state"
            value={wanted}
            values={STATES.map(it => [it, it])}
            onChange={value => go({ state: value } as object)}
          />
          {!isNarrow &&
            receipts.length <= RECEIPTS_MAX &&
            receipts.map(it => (
              <Receipt key={it.name} view={it.incidents} label={`incidents of ${it.name}`}>
                {receipts.length === 1 ? 'receipt' : `receipt of ${it.name}`}
              </Receipt>
            ))}
        </>
      }
    >
      <table className="w-full" ref={list}>
        <thead className="sticky top-0 bg-panel text-left text-label text-muted">
          <tr>
            <th className="pl-3 font-normal">state</th>
            <th className="px-2 font-normal">incident</th>
            {!isNarrow && (
              <>
                <th className="hidden px-2 font-normal xl:table-cell">key</th>
                <th className="hidden px-2 font-normal md:table-cell">metric</th>
              </>
            )}
            <th className="hidden px-2 font-normal whitespace-nowrap sm:table-cell">since, {zoneName()}</th>
            {!isNarrow && <th className="hidden px-2 font-normal sm:table-cell">lasted</th>}
            <th className="px-3 text-right font-normal" title="-log10 of the probability of the worst window">
              severity
            </th>
          </tr>
        </thead>
        <Group>
          {active.length === 0 && wanted !== 'closed' && wanted !== 'withdrawn' && (
            <tr>
              <td colSpan={7} className="px-3 py-1.5 text-muted">
                No active incidents.
              </td>
            </tr>
          )}
          {active.slice(0, SHOWN_MAX).map(line)}
        </Group>
        <Group>{others.slice(0, SHOWN_MAX).map(line)}</Group>
      </table>
      {(active.length > SHOWN_MAX || others.length > SHOWN_MAX || query.data?.truncated) && (
        <p className="px-3 py-1.5 text-muted">
          Showing the first {SHOWN_MAX} of each group, of {formatNumber(query.data?.total)} in all. Query has
          all of them.
        </p>
      )}
      {more}
    </Panel>
  );
}

function Group({ children }: { children: ReactNode }) {
  return <tbody className="border-line not-first-of-type:border-t">{children}</tbody>;
}

interface LineProps {
  it: Detected;
  /** What people said of it. */
  words: readonly string[];
  isChosen: boolean;
  isNarrow: boolean;
}

function Line({ it, words, isChosen, isNarrow }: LineProps) {
  const go = useGo();
  const today = useToday();
  const state = stateOf(it);
  const open = () => go({ incident: isChosen ? undefined : it.incident } as object);
  return (
    <tr
      className={cn(
        'cursor-pointer align-top hover:bg-hover',
        isChosen && 'bg-hover',
        isDismissed(it) && 'text-muted',
      )}
      data-incident={it.incident}
      data-state={state}
      onClick={open}
    >
      <td className="py-1 pl-3">
        <Mark tone={toneOf(it)} word={state} />
        <span className="block text-label text-muted sm:hidden">{minuteText(beginOf(it), today)}</span>
      </td>
      <td className="px-2 py-1">
        <button
          type="button"
          className={cn('mr-2 text-left', state === 'withdrawn' && 'text-muted line-through')}
          aria-current={isChosen ? 'true' : undefined}
          onClick={event => {
            event.stopPropagation();
            open();
          }}
        >
          {it.summary}
        </button>
        {words.length > 0 && <span className="text-label text-muted">{words.join(', ')}</span>}
      </td>
      {!isNarrow && (
        <>
          <td className="hidden px-2 py-1 xl:table-cell" title={Object.keys(it.key).join(', ')}>
            {keyText(it)}
          </td>
          <td className="hidden px-2 py-1 whitespace-nowrap md:table-cell">{formatName(it.metric)}</td>
        </>
      )}
      <td
        className="hidden px-2 py-1 whitespace-nowrap text-muted sm:table-cell"
        title={formatDateTime(beginOf(it))}
      >
        {minuteText(beginOf(it), today)}
      </td>
      {!isNarrow && <td className="hidden px-2 py-1 whitespace-nowrap sm:table-cell">{lastedText(it)}</td>}
      <td className="px-3 py-1 text-right">{formatNumber(it.severity, 1)}</td>
    </tr>
  );
}

interface ChoiceProps {
  label: string;
  value: string;
  values: readonly (readonly [string, string])[];
  onChange: (value: string | undefined) => void;
}

function Choice({ label, value, values, onChange }: ChoiceProps) {
  return (
    <label>
      {label}{' '}
      <select
        className="h-6 rounded border border-line bg-panel px-1 text-text"
        value={value}
        onChange={({ target }) => onChange(target.value === '' ? undefined : target.value)}
      >
        <option value="">all</option>
        {values.map(([name, text]) => (
          <option key={name} value={name}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** How often detectors were right, by what people said of what is over. */
function Verdicts({ all, isCut }: { all: readonly Detected[]; isCut: boolean }) {
  const verdicts = verdictsOf(all);
  if (verdicts === null) return null;
  const { closed, dismissed } = verdicts;
  const right = closed - dismissed;
  return (
    <p className="shrink-0 text-muted" data-verdicts={dismissed}>
      {formatNumber(dismissed)} of {isCut && 'the newest '}
      {formatNumber(closed)} closed {closed === 1 ? 'incident was' : 'incidents were'} marked as not an
      anomaly; precision by your feedback: {formatNumber(right)} of {formatNumber(closed)} (
      {formatNumber((100 * right) / closed)} %).
    </p>
  );
}

/** Which detectors judge nothing yet, and how far they are. */
function Learning({ detectors }: { detectors: readonly Detector[] }) {
  const frozen = useFrozen();
  const sql = learningSql(detectors);
  const { data = [] } = useQuery({
    queryKey: ['learning', sql],
    queryFn: async ({ signal }) => learningOf((await askSql(sql, { signal })).rows),
    refetchInterval: ({ state }) => (frozen || state.data?.length === 0 ? false : LEARNING_EVERY_MS),
  });
  if (data.length === 0) return null;
  return (
    <ul className="flex shrink-0 flex-wrap gap-x-4 gap-y-1" aria-label="Learning detectors">
      {data.map(({ detector, text }) => (
        <li key={detector} className="text-muted" data-learning={detector}>
          <Mark tone="stale" word={detector} /> {text}
        </li>
      ))}
    </ul>
  );
}
