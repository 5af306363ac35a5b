/**
 * Frequent values of the fields people filter by, in the range and under the filter; a click keeps, a second leaves out.
 */
import { CircleMinus } from 'lucide-react';
import { formatNumber } from '../../shared/format';
import type { Pick } from '../../shared/logline';
import { cn } from '../../shared/ui/cn';
import type { SummaryQuery } from './Logs';

export function Facets({ summary, onPick }: { summary: SummaryQuery; onPick: Pick }) {
  const { data } = summary;
  return (
    <aside
      aria-label="Frequent values"
      className={cn(
        'hidden w-56 shrink-0 flex-col gap-3 overflow-y-auto rounded border border-line bg-panel p-3 lg:flex',
      )}
    >
      {data === undefined && <p className="text-muted">{summary.error ? 'No counts.' : 'Counting…'}</p>}
      {data?.facets.map(({ column, is_text, values }) => (
        <section key={column} aria-label={column}>
          <h2 className="mb-1 text-label text-muted">{column}</h2>
          <ul>
            {values.map(({ value, count }) => {
              const share = data.total > 0 ? (100 * count) / data.total : 0;
              const typed = is_text ? value : Number(value);
              return (
                <li key={value} className="group relative flex items-center gap-1 rounded hover:bg-hover">
                  <span
                    aria-hidden="true"
                    className="absolute inset-y-0.5 left-0 rounded bg-hover"
                    style={{ width: `${share}%` }}
                  />
                  <button
                    type="button"
                    className="relative min-w-0 flex-1 truncate text-left"
                    title={`Only ${column} ${value}`}
                    onClick={() => onPick(column, typed, false)}
                  >
                    {value}
                  </button>
                  <span className="relative text-label text-muted">
                    {formatNumber(share, share < 10 ? 1 : 0)} %
                  </span>
                  <button
                    type="button"
                    className="relative px-1 text-muted opacity-0 group-hover:opacity-100 focus:opacity-100"
                    aria-label={`Without ${column} ${value}`}
                    title={`Without ${column} ${value}`}
                    onClick={() => onPick(column, typed, true)}
                  >
                    <CircleMinus size={14} aria-hidden="true" />
                  </button>
                </li>
              );
            })}
            {values.length === 0 && <li className="text-muted">none</li>}
          </ul>
        </section>
      ))}
    </aside>
  );
}
