/** Alike lines of the range as one line each: how many there are, since when, and what they have in common. */
import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query';
import { CircleMinus, CirclePlus } from 'lucide-react';
import { Fragment, useState } from 'react';
import { answerOf, api } from '../../api/client';
import type { Schemas } from '../../api/wire';
import { partOf, withPart } from '../../shared/filter';
import { formatNear, formatNumber } from '../../shared/format';
import { useToday } from '../../shared/live';
import { useGo, useSpan, useUrl } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { answerState } from '../../shared/state';
import { Searching } from './Searching';

const EVERY_MS = 60_000;
/** So much of the head is drawn of a text that is far longer. */
const TEXT_MAX = 300;

export function PatternList({ where }: { where: string | null }) {
  const { from, to, fixed } = useSpan(EVERY_MS);
  const { where: applied } = useUrl();
  const go = useGo();
  const today = useToday();
  const queries = useQueryClient();
  const [column, setColumn] = useState<string | null>(null);
  const [isCancelled, setCancelled] = useState(false);
  const key = ['log patterns', where ?? '', column ?? '', from, to];
  const asked = useQuery({
    queryKey: key,
    queryFn: ({ signal }) =>
      answerOf(
        api.GET('/api/v1/logs/patterns', {
          params: {
            query: {
              from: String(from),
              to: String(to),
              ...(where ? { where } : {}),
              ...(column === null ? {} : { column }),
            },
          },
          signal,
        }),
      ),
    enabled: where !== null && !isCancelled,
    staleTime: fixed ? Number.POSITIVE_INFINITY : EVERY_MS,
    placeholderData: (before, query) =>
      query?.queryKey[1] === (where ?? '') && query.queryKey[2] === (column ?? '')
        ? keepPreviousData(before)
        : undefined,
  });
  const { data } = asked;
  const keep = (like: string, exclude: boolean, column: string) =>
    go({
      where: withPart(applied, partOf(column, exclude ? 'NOT LIKE' : 'LIKE', like)),
      ...(exclude ? {} : { tab: undefined, past: true }),
    } as object);
  const state = answerState(asked, data === undefined ? null : data.patterns.length);
  return (
    <Panel
      title="Patterns"
      className="h-[60vh] md:h-auto md:flex-1"
      state={
        isCancelled && data === undefined
          ? { name: 'error', asOf: null, cause: 'the search was cancelled', hint: 'choose a shorter range' }
          : state
      }
      empty="No stored records with a text match in this range."
      onRetry={() => {
        setCancelled(false);
        if (!isCancelled) void asked.refetch();
      }}
      aside={
        <>
          <Searching
            runs={asked.isFetching}
            onCancel={() => {
              setCancelled(true);
              void queries.cancelQueries({ queryKey: key });
            }}
          />
          {data && (
            <>
              <span>
                {formatNumber(data.groups)} {data.groups === 1 ? 'pattern' : 'patterns'} in{' '}
                {formatNumber(data.grouped)}
                {data.grouped < data.records && ` of ${formatNumber(data.records)}`} records
              </span>
              <label className="flex items-center gap-1">
                of
                <select
                  className="h-6 rounded border border-line bg-panel px-1 text-text"
                  value={data.column}
                  onChange={({ target }) => {
                    setCancelled(false);
                    setColumn(target.value);
                  }}
                >
                  {data.columns.map(name => (
                    <option key={name}>{name}</option>
                  ))}
                </select>
              </label>
            </>
          )}
        </>
      }
    >
      {data && (
        <div className="h-full overflow-auto">
          <table className="w-full text-label">
            <thead className="sticky top-0 bg-panel text-left text-muted">
              <tr>
                <th scope="col" className="px-3 font-normal">
                  records
                </th>
                <th scope="col" className="font-normal">
                  pattern
                </th>
                <th scope="col" className="hidden px-3 font-normal md:table-cell">
                  first
                </th>
                <th scope="col" className="hidden px-3 font-normal md:table-cell">
                  last
                </th>
                <th scope="col">
                  <span className="sr-only">filter</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {data.patterns.map(pattern => (
                <Line
                  key={pattern.pattern}
                  pattern={pattern}
                  share={pattern.count / Math.max(1, data.grouped)}
                  today={today}
                  onKeep={exclude => keep(pattern.like, exclude, data.column)}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

interface LineProps {
  pattern: Schemas['TextPattern'];
  share: number;
  today: string;
  onKeep: (exclude: boolean) => void;
}

function Line({ pattern, share, today, onKeep }: LineProps) {
  const percent = 100 * share;
  const name = pattern.pattern === '' ? 'empty text' : pattern.pattern;
  return (
    <tr className="align-top hover:bg-hover" data-pattern={pattern.pattern}>
      <td className="w-32 px-3 py-0.5 whitespace-nowrap">
        <span className="flex items-center justify-between gap-2">
          {formatNumber(pattern.count)}
          <span className="text-muted">{formatNumber(percent, percent < 10 ? 1 : 0)} %</span>
        </span>
        <span
          aria-hidden="true"
          className="block h-1 rounded-sm bg-accent"
          style={{ width: `${percent}%` }}
        />
      </td>
      <td className="py-0.5 font-mono break-all">
        <button
          type="button"
          className="text-left hover:underline"
          title={`Its records. For example: ${pattern.example}`}
          onClick={() => onKeep(false)}
        >
          {pattern.pattern === '' ? (
            <span className="text-muted italic">empty text</span>
          ) : (
            <Masked text={pattern.pattern.slice(0, TEXT_MAX)} />
          )}
        </button>
        {pattern.texts > 1 && (
          <span className="block truncate text-muted">
            {formatNumber(pattern.texts)} texts, most often {pattern.example.slice(0, TEXT_MAX)}
          </span>
        )}
      </td>
      <td className="hidden px-3 py-0.5 whitespace-nowrap text-muted md:table-cell">
        {formatNear(pattern.first, today)}
      </td>
      <td className="hidden px-3 py-0.5 whitespace-nowrap text-muted md:table-cell">
        {formatNear(pattern.last, today)}
      </td>
      <td className="px-2 py-0.5 whitespace-nowrap">
        <button
          type="button"
          className="p-1 text-muted hover:text-accent"
          aria-label={`Only ${name}`}
          title="Only"
          onClick={() => onKeep(false)}
        >
          <CirclePlus size={14} aria-hidden="true" />
        </button>
        <button
          type="button"
          className="p-1 text-muted hover:text-accent"
          aria-label={`Without ${name}`}
          title="Without"
          onClick={() => onKeep(true)}
        >
          <CircleMinus size={14} aria-hidden="true" />
        </button>
      </td>
    </tr>
  );
}

const MASK = /(<(?:n|hex|uuid|ip|time|id|text)>)/;

function Masked({ text }: { text: string }) {
  return text.split(MASK).map((part, at) => {
    const key = `${at} ${part}`;
    return MASK.test(part) ? (
      <span key={key} className="text-accent">
        {part}
      </span>
    ) : (
      <Fragment key={key}>{part}</Fragment>
    );
  });
}
