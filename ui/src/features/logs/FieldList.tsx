/**
 * The fields of the records in the range and under the filter: the frequent values of those that have few, each to be kept or
 * left out, and of all fields whether they are there at all.
 */
import { CircleMinus, Columns3 } from 'lucide-react';
import { useState } from 'react';
import type { Schemas } from '../../api/wire';
import { formatNumber } from '../../shared/format';
import type { Pick } from '../../shared/logline';
import { cn } from '../../shared/ui/cn';
import { withColumn, withoutColumn } from './columns';
import type { SummaryQuery } from './Logs';
import type { Lines } from './useLines';

const VALUES_SHOWN = 5;

interface FieldListProps {
  summary: SummaryQuery;
  lines: Lines;
  onPick: Pick;
  /** Keep only the records that have a value, or those that have none. */
  onExists: (column: string, exists: boolean) => void;
}

export function FieldList({ summary, lines, onPick, onExists }: FieldListProps) {
  const { data } = summary;
  const [wanted, setWanted] = useState('');
  const word = wanted.trim().toLowerCase();
  const isIn = (text: string) => text.toLowerCase().includes(word);
  const facets = (data?.facets ?? [])
    .map(facet =>
      isIn(facet.column) ? facet : { ...facet, values: facet.values.filter(it => isIn(it.value)) },
    )
    .filter(({ column, values }) => isIn(column) || values.length > 0);
  const withValues = new Set(data?.facets.map(({ column }) => column));
  const others = (data?.fields ?? []).filter(({ column }) => !withValues.has(column) && isIn(column));
  const toggle = (name: string) => {
    const column = lines.known.find(it => it.name === name);
    if (column === undefined) return;
    const isShown = lines.columns.some(it => it.column.name === name);
    lines.change(isShown ? withoutColumn(lines.columns, name) : withColumn(lines.columns, column));
  };
  const commentOf = (name: string) => lines.known.find(it => it.name === name)?.comment ?? undefined;
  const shown = new Set(lines.columns.map(({ column }) => column.name));
  const share = (count: number) => (data === undefined || data.total === 0 ? 0 : (100 * count) / data.total);
  return (
    <aside
      aria-label="Fields"
      className="hidden w-60 shrink-0 flex-col gap-3 overflow-y-auto rounded border border-line bg-panel p-3 lg:flex"
    >
      <input
        aria-label="Search fields and values"
        placeholder="fields and values"
        className="h-7 w-full shrink-0 rounded border border-line bg-panel px-2 text-label"
        value={wanted}
        onChange={({ target }) => setWanted(target.value)}
      />
      {data === undefined && <p className="text-muted">{summary.error ? 'No counts.' : 'Counting…'}</p>}
      {data !== undefined && data.sampled > 1 && (
        <p className="text-label text-muted">Estimated from every {formatNumber(data.sampled)}. record.</p>
      )}
      {facets.map(facet => (
        <Field
          key={facet.column}
          facet={facet}
          comment={commentOf(facet.column)}
          all={word !== ''}
          share={share}
          isShown={shown.has(facet.column)}
          onToggle={() => toggle(facet.column)}
          onPick={onPick}
          onExists={exists => onExists(facet.column, exists)}
        />
      ))}
      {others.length > 0 && (
        <section aria-label="Fields of many values">
          <h2 className="mb-1 text-label text-muted">many values</h2>
          <ul>
            {others.map(({ column, present, distinct }) => (
              <li key={column} className="group flex items-center gap-1 rounded hover:bg-hover">
                <span
                  className="min-w-0 flex-1 truncate"
                  title={[
                    distinct == null ? column : `${column}: about ${formatNumber(distinct)} different values`,
                    commentOf(column),
                  ]
                    .filter(it => it !== undefined)
                    .join(' · ')}
                >
                  {column}
                </span>
                <span className="text-label text-muted">{formatNumber(share(present))} %</span>
                <Presence column={column} onExists={exists => onExists(column, exists)} />
                <Toggle column={column} isShown={shown.has(column)} onToggle={() => toggle(column)} />
              </li>
            ))}
          </ul>
        </section>
      )}
      {data !== undefined && facets.length + others.length === 0 && (
        <p className="text-muted">{word === '' ? 'No records.' : 'No results.'}</p>
      )}
    </aside>
  );
}

const QUIET = 'opacity-0 group-hover:opacity-100 focus:opacity-100';

function Presence({ column, onExists }: { column: string; onExists: (exists: boolean) => void }) {
  return (
    <>
      <button
        type="button"
        className={cn('text-label text-muted hover:text-accent', QUIET)}
        title={`Only records with a value of ${column}`}
        aria-label={`${column} exists`}
        onClick={() => onExists(true)}
      >
        exists
      </button>
      <button
        type="button"
        className={cn('text-label text-muted hover:text-accent', QUIET)}
        title={`Only records without a value of ${column}`}
        aria-label={`${column} does not exist`}
        onClick={() => onExists(false)}
      >
        not
      </button>
    </>
  );
}

interface ToggleProps {
  column: string;
  isShown: boolean;
  onToggle: () => void;
}

function Toggle({ column, isShown, onToggle }: ToggleProps) {
  return (
    <button
      type="button"
      className={cn('px-0.5', isShown ? 'text-accent' : `text-muted hover:text-accent ${QUIET}`)}
      aria-pressed={isShown}
      aria-label={`Column ${column}`}
      title={isShown ? 'Hide this column' : 'Show as a column'}
      onClick={onToggle}
    >
      <Columns3 size={13} aria-hidden="true" />
    </button>
  );
}

interface FieldProps {
  facet: Schemas['Facet'];
  /** What the text of the dataflow says of the column. */
  comment: string | undefined;
  /** Whether all values are shown. */
  all: boolean;
  share: (count: number) => number;
  isShown: boolean;
  onToggle: () => void;
  onPick: Pick;
  onExists: (exists: boolean) => void;
}

function Field({ facet, comment, all, share, isShown, onToggle, onPick, onExists }: FieldProps) {
  const [open, setOpen] = useState(false);
  const { column, is_text, nulls } = facet;
  const values = all || open ? facet.values : facet.values.slice(0, VALUES_SHOWN);
  const more = facet.values.length - values.length;
  const percent = (count: number) => {
    const value = share(count);
    return `${formatNumber(value, value < 10 ? 1 : 0)} %`;
  };
  return (
    <section aria-label={column}>
      <h2 className="group mb-1 flex items-center gap-1 text-label text-muted">
        <span className="min-w-0 flex-1 truncate" title={comment}>
          {column}
        </span>
        <Presence column={column} onExists={onExists} />
        <Toggle column={column} isShown={isShown} onToggle={onToggle} />
      </h2>
      <ul>
        {values.map(({ value, count }) => {
          const typed = typedOf(value, is_text);
          return (
            <li key={value} className="group relative flex items-center gap-1 rounded hover:bg-hover">
              <span
                aria-hidden="true"
                className="absolute inset-y-0.5 left-0 rounded bg-hover"
                style={{ width: `${share(count)}%` }}
              />
              <button
                type="button"
                className="relative min-w-0 flex-1 truncate text-left"
                title={`Only ${column} ${value}`}
                onClick={() => onPick(column, typed, false)}
              >
                {value === '' ? <i>empty</i> : value}
              </button>
              <span className="relative text-label text-muted">{percent(count)}</span>
              <button
                type="button"
                className={cn('relative px-1 text-muted', QUIET)}
                aria-label={`Without ${column} ${value}`}
                title={`Without ${column} ${value}`}
                onClick={() => onPick(column, typed, true)}
              >
                <CircleMinus size={14} aria-hidden="true" />
              </button>
            </li>
          );
        })}
        {nulls > 0 && (
          <li className="flex items-center gap-1 rounded text-muted hover:bg-hover">
            <button
              type="button"
              className="min-w-0 flex-1 text-left italic"
              title={`Only records without a value of ${column}`}
              onClick={() => onExists(false)}
            >
              no value
            </button>
            <span className="text-label">{percent(nulls)}</span>
          </li>
        )}
      </ul>
      {(more > 0 || open) && !all && (
        <button type="button" className="text-label text-accent" onClick={() => setOpen(!open)}>
          {open ? 'fewer' : `${formatNumber(more)} more`}
        </button>
      )}
    </section>
  );
}

/** As a filter takes it: texts in quotes, truths and numbers as they are. */
export function typedOf(value: string, isText: boolean): string | number | boolean {
  if (isText) return value;
  if (value === 'true' || value === 'false') return value === 'true';
  return Number(value);
}
