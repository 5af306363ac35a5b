/** What one user, session or address did: its records of the range, oldest first, with the time that lies between them. */
import { useMemo, useRef } from 'react';
import { equalityOf } from '../../shared/filter';
import { formatDateTime, formatNumber } from '../../shared/format';
import type { Pick } from '../../shared/logline';
import { useGo } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { Button } from '../../shared/ui/button';
import { withGaps } from './gaps';
import { Ended } from './PastList';
import { Searching } from './Searching';
import type { Lines } from './useLines';
import { useSearch } from './useSearch';
import { VirtualLines } from './VirtualLines';

interface TimelineProps {
  where: string | null;
  lines: Lines;
  onPick: Pick;
}

const SIZE = 'h-[60vh] md:h-auto md:flex-1';

export function Timeline(props: TimelineProps) {
  const { where, lines } = props;
  const one = equalityOf(where ?? undefined);
  const ids = lines.known.filter(({ role }) => role === 'id').map(({ name }) => name);
  if (where !== null && one === null)
    return (
      <Panel title="Timeline" className={SIZE} state={{ name: 'empty' }} empty={<HowTo ids={ids} />}>
        {null}
      </Panel>
    );
  return <OfOne {...props} name={one === null ? '' : `${one.column} ${one.value}`} />;
}

function HowTo({ ids }: { ids: readonly string[] }) {
  const first = ids[0];
  return (
    <>
      A timeline follows one value of one column.{' '}
      {first === undefined
        ? 'Filter for one, such as by a click in a record, without other conditions.'
        : `Open a record and choose its timeline, or filter by ${ids.join(' or ')} alone: ${first} = '…'.`}
    </>
  );
}

function OfOne({ where, lines, onPick, name }: TimelineProps & { name: string }) {
  const go = useGo();
  const search = useSearch({ where, columns: lines.names, order: 'oldest' });
  const { pages, rows } = search;
  const entries = useMemo(() => withGaps(rows), [rows]);
  const scroller = useRef<HTMLDivElement>(null);
  const [first, last] = [rows[0], rows.at(-1)];
  return (
    <Panel
      title={`Timeline of ${name}, oldest first`}
      className={SIZE}
      state={search.state}
      empty={
        search.endedAt === undefined ? (
          <>
            No stored records of it in this range.{' '}
            <Button
              kind="quiet"
              className="h-6"
              onClick={() => go({ range: 'all', from: undefined, to: undefined } as object)}
            >
              Search all data
            </Button>
          </>
        ) : (
          <Ended at={search.endedAt} onGoOn={search.goOn} />
        )
      }
      onRetry={search.goOn}
      aside={
        <>
          <Searching runs={search.runs} share={search.share} onCancel={search.cancel} />
          {first !== undefined && last !== undefined && (
            <span data-count="loaded">
              {formatNumber(rows.length)} {rows.length === 1 ? 'record' : 'records'}
              {pages.hasNextPage ? ', more below' : ''}, {formatDateTime(first.timestamp)} –{' '}
              {formatDateTime(last.timestamp)}
            </span>
          )}
          {search.endedAt !== undefined && rows.length > 0 && (
            <Ended at={search.endedAt} onGoOn={search.goOn} />
          )}
          {!search.fixed && (
            <Button className="h-6" onClick={() => void pages.refetch()}>
              Refresh
            </Button>
          )}
        </>
      }
    >
      <VirtualLines
        lines={lines}
        label="Records of one, oldest first"
        count={entries.length}
        read={index => entries[index] ?? null}
        scroller={scroller}
        onPick={onPick}
        onEnd={search.more}
      />
    </Panel>
  );
}
