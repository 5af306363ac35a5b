/** What is known of one part of the dataflow; it stays until it is closed. */
import { X } from 'lucide-react';
import type { Pipeline } from '../../api/wire';
import { formatAge, formatNumber, formatRate } from '../../shared/format';
import { Mark, toneOfHealth } from '../../shared/mark';
import { useGo } from '../../shared/nav';
import { Fact, Sql } from '../../shared/receipt';
import { Button } from '../../shared/ui/button';
import { TableDetails } from './LakeTables';
import { LivePlan } from './LivePlan';
import { limitOf, memoryOf } from './words';

export function NodeDrawer({ pipeline, id }: { pipeline: Pipeline; id: string }) {
  const go = useGo();
  const node = pipeline.nodes.find(node => node.id === id);
  if (node === undefined) return null;
  const reads = pipeline.edges.filter(({ to }) => to === id).map(({ from }) => from);
  const read_by = pipeline.edges.filter(({ from }) => from === id).map(({ to }) => to);
  const shared = pipeline.shared.filter(({ relations }) => relations.includes(node.name));
  const stored = node.version != null && node.kind !== 'lake' ? node.name : null;
  const link = (other: string) => (
    <Button key={other} kind="quiet" className="h-6 px-1" onClick={() => go({ node: other })}>
      {other.split(':').at(-1)}
    </Button>
  );
  return (
    <aside
      aria-label={`${node.kind} ${node.name}`}
      className="fixed inset-x-0 bottom-0 z-30 max-h-[70vh] overflow-auto rounded border border-line bg-panel p-3 md:static md:max-h-none md:w-[min(36vw,440px)]"
    >
      <header className="mb-2 flex items-center gap-2">
        <h2 className="text-control font-medium">{node.name}</h2>
        <Mark
          tone={toneOfHealth(node.health)}
          word={node.headline ?? node.health}
          className="whitespace-normal"
        />
        <Button
          kind="quiet"
          className="ml-auto"
          aria-label="Close"
          onClick={() => go({ node: undefined } as object)}
        >
          <X size={14} aria-hidden="true" />
        </Button>
      </header>
      <dl className="mb-2 grid grid-cols-[auto_1fr] gap-x-4">
        <Fact name="kind">{node.kind}</Fact>
        {node.per_second != null && (
          <Fact name={node.kind === 'view' ? 'changes' : 'records'}>
            {formatRate(node.per_second)}/s over 10 s
          </Fact>
        )}
        {node.bytes_per_second != null && <Fact name="bytes">{memoryOf(node.bytes_per_second)}/s</Fact>}
        {node.rows != null && (
          <Fact name={node.kind === 'source' ? 'read, ever' : 'live rows'}>{formatNumber(node.rows)}</Fact>
        )}
        {node.rows_per_hour != null && (
          <Fact name="growth">
            {node.rows_per_hour > 0 && '+'}
            {formatNumber(node.rows_per_hour)} rows/h, by the last minutes
          </Fact>
        )}
        {node.busy != null && <Fact name="busiest reader">{formatNumber(100 * node.busy)} % of a core</Fact>}
        {node.skew != null && (
          <Fact name="skew">the busiest partition gets {formatNumber(node.skew, 1)}× the mean</Fact>
        )}
        {node.busy_share != null && (
          <Fact name="busy">
            {percent(node.busy_share)} of each worker's time
            {node.busy_skew != null && `, ${percent(node.busy_share_max_worker)} of the busiest one's`}
          </Fact>
        )}
        {node.busy_skew != null && (
          <Fact name="skew over workers">
            the busiest one has {formatNumber(node.busy_skew, 1)}× the mean
          </Fact>
        )}
        {node.state_bytes != null && (
          <Fact name="state">
            {memoryOf(node.state_bytes)}, {formatNumber(node.state_rows ?? 0)} rows
          </Fact>
        )}
        {shared.map(cost => (
          <Fact key={cost.relations.join()} name="shared">
            with {cost.relations.filter(name => name !== node.name).join(', ')}:{' '}
            {cost.busy_share != null && `${percent(cost.busy_share)} busy, `}
            {memoryOf(cost.state_bytes)}
          </Fact>
        ))}
        {limitOf(node) !== null && (
          <Fact name="limit">
            <span className="text-warn">
              {node.limits === 'time'
                ? 'a worker is at its limit, and does most of its work here'
                : 'most of the memory of all state is here'}
            </span>
          </Fact>
        )}
        {node.retention_seconds != null && (
          <Fact name="closed rows stay live">{formatAge(node.retention_seconds * 1000)}</Fact>
        )}
        {reads.length > 0 && <Fact name="reads">{reads.map(link)}</Fact>}
        {read_by.length > 0 && <Fact name="read by">{read_by.map(link)}</Fact>}
      </dl>
      {node.sql && <Sql text={node.sql} />}
      {node.kind === 'dead letters' && (
        <Button className="my-2" onClick={() => go({ tab: 'dead-letters', node: undefined } as object)}>
          Show dead letters
        </Button>
      )}
      {node.kind === 'view' && node.headline != null && (
        <Button
          className="my-2 mr-2"
          onClick={() =>
            go({ q: `SELECT * FROM _errors WHERE relation = '${node.name}' ORDER BY at DESC` }, '/query')
          }
        >
          Show rows that failed
        </Button>
      )}
      {(node.kind === 'view' || node.kind === 'table') && (
        <Button
          className="my-2"
          onClick={() =>
            go(
              { q: `SELECT * FROM ${node.kind === 'view' ? node.name : `lake.${node.name}`} LIMIT 100` },
              '/query',
            )
          }
        >
          Show rows
        </Button>
      )}
      {node.kind === 'view' ? (
        <LivePlan view={node.name} />
      ) : (
        node.plan && (
          <details className="mb-2">
            <summary className="text-muted">Plan</summary>
            <Sql text={node.plan} />
          </details>
        )
      )}
      {stored !== null && (
        <details>
          <summary className="text-muted">Files and versions in the lake</summary>
          <TableDetails name={stored} />
        </details>
      )}
    </aside>
  );
}

function percent(share: number | null | undefined): string {
  return `${formatNumber(100 * (share ?? 0), 1)} %`;
}
