/** Who does the work: workers and readers one by one, the threads of queries as one line. */
import type { Pipeline } from '../../api/wire';
import { formatNumber } from '../../shared/format';
import { BUSY_LIMIT, loadsOf } from './words';

export function Workers({ pipeline: { threads } }: { pipeline: Pipeline }) {
  if (threads.length === 0)
    return <p className="px-3 pb-3 text-muted">Thread usage is not available yet, or not on this system.</p>;
  return (
    <ul className="px-3 pb-3">
      {loadsOf(threads).map((load, at) => {
        const isFull = load.threads === 1 && load.busy > BUSY_LIMIT;
        return (
          <li
            // biome-ignore lint/suspicious/noArrayIndexKey: names of threads are cut, so several may have one.
            key={`${load.name}-${at}`}
            className="grid grid-cols-[150px_1fr_110px] items-center gap-2"
          >
            <span className="truncate font-mono text-label">
              {load.name}
              {load.threads > 1 && <span className="text-muted"> ×{load.threads}</span>}
            </span>
            <span className="h-2 rounded bg-hover" aria-hidden="true">
              <span
                className="block h-2 rounded"
                style={{
                  width: `${Math.min(100, Math.round(load.busy * 100))}%`,
                  background: isFull ? 'var(--warn)' : 'var(--series-1)',
                }}
              />
            </span>
            <span className={isFull ? 'text-right text-warn' : 'text-right'}>
              {formatNumber(load.busy * 100)} %{isFull && ' at its limit'}
            </span>
          </li>
        );
      })}
    </ul>
  );
}
