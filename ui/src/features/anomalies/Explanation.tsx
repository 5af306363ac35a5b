/**
 * Why an incident: which values carry it, and a few of the records behind it, asked of the archive.
 */
import { useQuery } from '@tanstack/react-query';
import { answerOf, api } from '../../api/client';
import type { Schemas } from '../../api/wire';
import { type Detected, type Detector, isActive } from '../../shared/detected';
import { formatDateTime, formatMeasured, formatNumber, textOf } from '../../shared/format';
import { useFrozen } from '../../shared/live';
import { useGo } from '../../shared/nav';
import { Fact, SqlReceipt } from '../../shared/receipt';
import { Button } from '../../shared/ui/button';
import { zoneName } from '../../shared/zone';
import { pairsOf, timeOf, valueText } from './examples';

type Explained = Schemas['IncidentExplanation'];

const EXPLAINED_EVERY_MS = 30_000;
const DIMENSIONS_MAX = 4;

export function Explanation({ incident, detector }: { incident: Detected; detector: Detector }) {
  const frozen = useFrozen();
  const isThere = incident.withdrawn_ms === null;
  const { data, error } = useQuery({
    queryKey: ['explanation', incident.incident, incident.until],
    queryFn: ({ signal }) =>
      answerOf(
        api.GET('/api/v1/incidents/{incident}/explanation', {
          params: { path: { incident: incident.incident } },
          signal,
        }),
      ),
    enabled: isThere,
    placeholderData: before => before,
    refetchInterval: frozen || !isActive(incident) ? false : EXPLAINED_EVERY_MS,
    retry: false,
  });
  if (!isThere) return null;
  if (data === undefined)
    return (
      <p className="text-muted">{error === null ? 'Looking for the main contributors…' : error.message}</p>
    );
  return (
    <>
      {data.query != null && <Carriers explained={data} />}
      <Examples examples={data.examples} explainBy={detector.explainBy} keyOf={incident.key} />
    </>
  );
}

function Carriers({ explained: data }: { explained: Explained }) {
  const rows = data.dimensions.slice(0, DIMENSIONS_MAX).flatMap(({ columns, values }) =>
    values.slice(0, 2).map(it => ({
      ...it,
      name: columns.map((column, at) => `${column} ${it.value[at] ?? '—'}`).join(', '),
    })),
  );
  return (
    <div className="min-w-0 max-w-full self-start">
      <p className="pb-1 break-words">
        {data.text}.{' '}
        <SqlReceipt
          sql={data.query ?? undefined}
          note={`Compared with the windows since ${formatDateTime(data.baseline_from)} ${zoneName()}.`}
        />
      </p>
      <table className="text-label" aria-label="Main contributors">
        <thead className="text-left text-muted">
          <tr>
            <th className="pr-3 font-normal">records with</th>
            <th className="px-2 text-right font-normal">observed</th>
            <th className="px-2 text-right font-normal">expected</th>
            <th className="pl-2 text-right font-normal">of the change</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(it => (
            <tr key={it.name}>
              <td className="max-w-44 truncate pr-3 sm:max-w-80" title={it.name}>
                {it.name}
              </td>
              <td className="px-2 text-right">{formatMeasured(it.observed)}</td>
              <td className="px-2 text-right">{formatMeasured(it.expected)}</td>
              <td className="pl-2 text-right">{formatNumber(100 * it.share_of_change, 0)} %</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface ExamplesProps {
  examples: Explained['examples'];
  explainBy: readonly string[];
  /** The incident's own key: the same in all of them. */
  keyOf: Readonly<Record<string, unknown>>;
}

/** A few records, each a line that opens. */
function Examples({ examples, explainBy, keyOf }: ExamplesProps) {
  const { records, text, query } = examples;
  // The server says why there can be none.
  if (query == null) return <p className="max-w-prose text-muted">No example records: {text}.</p>;
  return (
    <section className="min-w-0 max-w-full basis-full" aria-label="Example records">
      <p className="pb-1 break-words">
        {records.length === 0 ? 'No archived records found among: ' : 'Examples: '}
        {text}. <SqlReceipt sql={query} note="Records of the most severe window come first." />
      </p>
      <ul className="flex flex-col gap-0.5 text-label">
        {records.map(record => (
          <li key={`${record.partition}-${record.offset}`}>
            <ExampleLine
              record={record}
              names={{ text, explainBy, keyOf }}
              hasPage={examples.has_record_pages}
            />
          </li>
        ))}
      </ul>
    </section>
  );
}

interface LineProps {
  record: Explained['examples']['records'][number];
  names: Pick<ExamplesProps, 'explainBy' | 'keyOf'> & { text: string };
  hasPage: boolean;
}

function ExampleLine({ record, names, hasPage }: LineProps) {
  const go = useGo();
  const { partition, offset, columns } = record;
  const time = timeOf(columns);
  const pairs = pairsOf(columns, names);
  const place = `partition ${partition}, offset ${offset}`;
  return (
    <details className="rounded border border-line" data-example={`${partition}-${offset}`}>
      <summary className="cursor-pointer px-2 py-1 break-words hover:bg-hover">
        {time !== null && <span className="mr-2 whitespace-nowrap">{formatDateTime(time)}</span>}
        {pairs.map(([name, value]) => (
          <span key={name} className="mr-2 inline-block max-w-full truncate align-bottom">
            <span className="text-muted">{name}</span> {valueText(value)}
          </span>
        ))}
      </summary>
      <div className="border-t border-line px-2 py-1">
        <dl className="grid grid-cols-[auto_1fr] gap-x-4 break-all">
          <Fact name="record">{place}</Fact>
          {Object.entries(columns).map(
            ([name, value]) =>
              value !== null && (
                <Fact key={name} name={name}>
                  {textOf(value)}
                </Fact>
              ),
          )}
        </dl>
        {hasPage && (
          <Button
            className="mt-1 h-6"
            onClick={() => go({ record: `${partition}-${offset}`, past: true, ...around(time) }, '/logs')}
          >
            Open record
          </Button>
        )}
      </div>
    </details>
  );
}

const AROUND_MS = 30_000;

/** The range of the log that has the record. */
function around(time: string | null): { from?: string; to?: string; range?: undefined } {
  if (time === null) return {};
  const at = Date.parse(time);
  const iso = (ms: number) => new Date(ms).toISOString();
  return { range: undefined, from: iso(at - AROUND_MS), to: iso(at + AROUND_MS) } as object;
}
