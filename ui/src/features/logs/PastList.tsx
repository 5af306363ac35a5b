/** Stored records of the range, newest first, page after page as one scrolls. */
import { useRef } from 'react';
import { formatDateTime, formatNumber } from '../../shared/format';
import type { Pick } from '../../shared/logline';
import { Panel } from '../../shared/panel';
import { SqlReceipt } from '../../shared/receipt';
import { Button } from '../../shared/ui/button';
import { Searching } from './Searching';
import type { Lines } from './useLines';
import { useSearch } from './useSearch';
import { VirtualLines } from './VirtualLines';

interface PastListProps {
  where: string | null;
  lines: Lines;
  onPick: Pick;
}

export function PastList({ where, lines, onPick }: PastListProps) {
  const search = useSearch({ where, columns: lines.names, order: 'newest' });
  const { pages, rows, first } = search;
  const scroller = useRef<HTMLDivElement>(null);
  return (
    <Panel
      title="Stored records, newest first"
      className="h-[60vh] md:h-auto md:flex-1"
      state={search.state}
      empty={
        search.endedAt === undefined ? (
          'No stored records match. Choose a longer range, or remove a part of the filter.'
        ) : (
          <Ended at={search.endedAt} onGoOn={search.goOn} />
        )
      }
      onRetry={search.goOn}
      aside={
        <>
          <Searching runs={search.runs} share={search.share} onCancel={search.cancel} />
          {first && (
            <>
              <span data-count="loaded">
                {formatNumber(rows.length)} loaded{pages.hasNextPage ? ', more below' : ', all'}
              </span>
              {search.endedAt !== undefined && rows.length > 0 && (
                <Ended at={search.endedAt} onGoOn={search.goOn} />
              )}
              {first.version != null && <span>version {first.version}</span>}
              <SqlReceipt sql={first.sql} />
              {!search.fixed && (
                <Button className="h-6" onClick={() => void pages.refetch()}>
                  Refresh
                </Button>
              )}
            </>
          )}
        </>
      }
    >
      <VirtualLines
        lines={lines}
        label="Stored records, newest first"
        count={rows.length}
        read={index => rows[index] ?? null}
        scroller={scroller}
        onPick={onPick}
        onEnd={search.more}
      />
    </Panel>
  );
}

/** That a search was ended before it was done. */
export function Ended({ at, onGoOn }: { at: string; onGoOn: () => void }) {
  return (
    <span role="status">
      Cancelled at {formatDateTime(at)}.{' '}
      <Button kind="quiet" className="h-6" onClick={onGoOn}>
        Continue
      </Button>
    </span>
  );
}
