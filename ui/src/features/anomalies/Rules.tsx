/**
 * What the rules of a dataflow found in the chosen range: one line per match, those that go on first. A match goes when
 * late data explain it away.
 */
import { useQuery } from '@tanstack/react-query';
import { useMemo, useRef, useState } from 'react';
import { answerOf, api, askSql } from '../../api/client';
import { formatAge, formatDateTime, formatName, formatNumber } from '../../shared/format';
import { useFrozen, useNow } from '../../shared/live';
import { Mark } from '../../shared/mark';
import { useGo, useSpan } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { SqlReceipt } from '../../shared/receipt';
import {
  figureText,
  type Match,
  matchesOf,
  matchesSql,
  type RuleView,
  titleOf,
  whereOf,
} from '../../shared/rules';
import { answerState } from '../../shared/state';
import { Button } from '../../shared/ui/button';
import { zoneName } from '../../shared/zone';

const EVERY_MS = 5_000;

export function Rules({ views }: { views: readonly RuleView[] }) {
  return (
    <div className="flex flex-col gap-3 px-4 py-3 md:h-full">
      {views.map(view => (
        <Matches key={view.name} view={view} />
      ))}
    </div>
  );
}

function Matches({ view }: { view: RuleView }) {
  const frozen = useFrozen();
  const span = useSpan(EVERY_MS);
  // What is frozen does not lose rows as time goes on.
  const held = useRef(span);
  if (!frozen || span.fixed) held.current = span;
  const sql = matchesSql(view, held.current);
  const { from, to, fixed } = held.current;
  const asked = useQuery({
    queryKey: ['rule matches', view.name, from, fixed ? to : null],
    queryFn: async ({ signal }) => ({ sql, rows: (await askSql(sql, { signal })).rows }),
    staleTime: fixed ? Number.POSITIVE_INFINITY : EVERY_MS,
    placeholderData: before => before,
  });
  const now_ms = useNow(EVERY_MS);
  const all = useMemo(() => matchesOf(view, asked.data?.rows ?? [], now_ms), [view, asked.data, now_ms]);
  const [rule, setRule] = useState('');
  const rules = useMemo(() => countsOf(all), [all]);
  const shown = all.filter(it => rule === '' || it.rule === rule);
  const isOfRecords = useRecordRules(view);
  // A column that is empty throughout says nothing.
  const figures = view.figures
    .map((column, at) => ({ column, at }))
    .filter(({ at }) => all.some(it => it.figures[at] != null));
  return (
    <Panel
      title={`Rule matches in ${view.name}`}
      className="min-h-48 flex-1"
      state={answerState(asked, asked.data === undefined ? null : shown.length)}
      empty="No rule matches in this range."
      onRetry={() => void asked.refetch()}
      aside={
        <>
          {rules.length > 1 && (
            <label>
              rule{' '}
              <select
                className="h-6 rounded border border-line bg-panel px-1 text-text"
                value={rule}
                onChange={({ target }) => setRule(target.value)}
              >
                <option value="">all · {formatNumber(all.length)}</option>
                {rules.map(([name, count]) => (
                  <option key={name} value={name}>
                    {formatName(name)} · {formatNumber(count)}
                  </option>
                ))}
              </select>
            </label>
          )}
          <SqlReceipt sql={asked.data?.sql} />
        </>
      }
    >
      <table className="w-full">
        <thead className="sticky top-0 bg-panel text-left text-label text-muted">
          <tr>
            <th className="pl-3 font-normal">began, {zoneName()}</th>
            <th className="px-2 font-normal">lasted</th>
            <th className="px-2 font-normal">match</th>
            {figures.map(({ column: { name, comment } }) => (
              <th
                key={name}
                className="hidden px-2 text-right font-normal md:table-cell"
                title={comment ?? `largest ${name}`}
              >
                {formatName(name)}
              </th>
            ))}
            {view.count !== null && (
              <th className="hidden px-2 text-right font-normal sm:table-cell">{formatName(view.count)}</th>
            )}
            <th className="px-1 sm:px-3">
              <span className="sr-only">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.map(match => (
            <Line
              key={match.id}
              view={view}
              figures={figures}
              match={match}
              where={whereOf(view, match, isOfRecords)}
            />
          ))}
        </tbody>
      </table>
    </Panel>
  );
}

interface LineProps {
  view: RuleView;
  /** The figures that are shown, with their places in a match. */
  figures: readonly { column: RuleView['figures'][number]; at: number }[];
  match: Match;
  where: string | undefined;
}

function Line({ view, figures, match, where }: LineProps) {
  const go = useGo();
  const { begin_ms, until_ms, isOngoing, records } = match;
  const show = () =>
    go(
      {
        where,
        past: true,
        range: undefined,
        from: new Date(begin_ms).toISOString(),
        to: new Date(until_ms).toISOString(),
      } as object,
      '/logs',
    );
  const began = formatDateTime(begin_ms);
  return (
    <tr className="h-7 hover:bg-hover" data-match={isOngoing ? 'ongoing' : 'over'}>
      <td className="pl-3 whitespace-nowrap text-muted">
        <span className="hidden sm:inline">{began.slice(5, 10)} </span>
        {began.slice(11, 16)}
      </td>
      <td className="px-2 whitespace-nowrap">{isOngoing ? 'ongoing' : formatAge(until_ms - begin_ms)}</td>
      <td className="px-2">
        <Mark tone={isOngoing ? 'warn' : 'quiet'} word={titleOf(match)} className="whitespace-normal" />
      </td>
      {figures.map(({ column, at }) => (
        <td key={column.name} className="hidden px-2 text-right md:table-cell">
          {figureText(column, match.figures[at] ?? null)}
        </td>
      ))}
      {view.count !== null && (
        <td className="hidden px-2 text-right sm:table-cell">{formatNumber(records)}</td>
      )}
      <td className="px-1 text-right sm:px-3">
        <Button kind="quiet" className="h-6" onClick={show}>
          Records
        </Button>
      </td>
    </tr>
  );
}

/** Whether records are called by a rule too, so that they can be found by it. */
function useRecordRules({ rule, recordColumns }: RuleView): (rule: string) => boolean {
  const column = rule !== null && recordColumns.includes(rule) ? rule : null;
  const { data } = useQuery({
    queryKey: ['values', column],
    queryFn: () =>
      answerOf(api.GET('/api/v1/values/{column}', { params: { path: { column: column ?? '' } } })),
    enabled: column !== null,
    staleTime: 60_000,
  });
  return name => data?.values.some(({ value }) => value === name) ?? false;
}

function countsOf(matches: readonly Match[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { rule } of matches) if (rule !== null) counts.set(rule, (counts.get(rule) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}
