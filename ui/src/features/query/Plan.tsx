/** How a query is answered: its plan as a graph and as text, or what each of its steps took when it ran. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { askSql } from '../../api/client';
import { formatMeasured, formatNumber, quantifyBytes } from '../../shared/format';
import { sentence } from '../../shared/panel';
import { Sql } from '../../shared/receipt';
import { Button } from '../../shared/ui/button';
import { PLAN_NODE, type PlanGraph, planGraph, RAN_NODE, type Took } from './plan';

const plansOf = (rows: readonly Record<string, unknown>[]) =>
  rows.map(row => ({ type: String(row.plan_type), plan: String(row.plan) }));

export function Plan({ statement }: { statement: string }) {
  const [ran, setRan] = useState<string | null>(null);
  const bare = statement
    .replace(/;\s*$/, '')
    .replace(/^\s*explain\s+(analyze\s+)?(verbose\s+)?(format\s+\w+\s+)?/i, '');
  const isAnalyzed = ran === bare;
  return (
    <div className="h-full overflow-auto p-3" tabIndex={0} role="region" aria-label="Plan of the query">
      <div className="mb-2 flex flex-wrap items-center gap-2 text-label text-muted">
        <Button className="h-6" aria-pressed={isAnalyzed} onClick={() => setRan(isAnalyzed ? null : bare)}>
          Run with timings
        </Button>
        {isAnalyzed
          ? 'EXPLAIN ANALYZE: rows, time and memory of each step, from one run of the query.'
          : 'The plan alone; running it shows rows, time and memory of each step.'}
      </div>
      {isAnalyzed ? <Analyzed statement={bare} /> : <Planned statement={bare} />}
    </div>
  );
}

function Planned({ statement }: { statement: string }) {
  const explained = useQuery({
    queryKey: ['plan', statement],
    queryFn: async () => {
      const [graph, text] = await Promise.all([
        askSql(`EXPLAIN FORMAT PGJSON ${statement}`),
        askSql(`EXPLAIN FORMAT INDENT ${statement}`),
      ]);
      return { graph: planGraph(plansOf(graph.rows)[0]?.plan ?? ''), texts: plansOf(text.rows) };
    },
    retry: false,
  });
  if (explained.error !== null) return <p role="alert">{sentence(explained.error.message)}</p>;
  if (explained.data === undefined) return <p className="text-muted">Planning…</p>;
  const { graph, texts } = explained.data;
  return (
    <>
      {graph !== null && <Graph graph={graph} />}
      {texts.map(({ type, plan }) => (
        <section key={type} className="mb-3">
          <h3 className="text-label text-muted">{type.replace('_', ' ')}</h3>
          <Sql text={plan} />
        </section>
      ))}
    </>
  );
}

function Analyzed({ statement }: { statement: string }) {
  const explained = useQuery({
    queryKey: ['analyze', statement],
    queryFn: async ({ signal }) => {
      const answer = await askSql(`EXPLAIN ANALYZE FORMAT PGJSON ${statement}`, { signal });
      const [plan] = plansOf(answer.rows);
      return { graph: planGraph(plan?.plan ?? ''), elapsed_ms: answer.elapsed_ms };
    },
    // Another run takes another time: it is only run when it is asked for.
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    retry: false,
    refetchOnWindowFocus: false,
  });
  if (explained.error !== null) return <p role="alert">{sentence(explained.error.message)}</p>;
  if (explained.data === undefined) return <p className="text-muted">Running…</p>;
  const { graph, elapsed_ms } = explained.data;
  if (graph === null) return <p>The server sent no plan that can be drawn.</p>;
  return (
    <>
      <p className="mb-2">
        {formatMeasured(elapsed_ms)} ms in all.{' '}
        <Button kind="quiet" className="h-6" onClick={() => void explained.refetch()}>
          Run again
        </Button>
      </p>
      <Graph graph={graph} />
    </>
  );
}

function Graph({ graph }: { graph: PlanGraph }) {
  const size = graph.nodes.some(({ took }) => took !== null) ? RAN_NODE : PLAN_NODE;
  return (
    <div className="relative mb-3" style={{ width: graph.width, height: graph.height }}>
      <svg width={graph.width} height={graph.height} className="absolute inset-0" aria-hidden="true">
        {graph.edges.map(({ id, points }) => (
          <polyline
            key={id}
            points={points.map(({ x, y }) => `${x},${y}`).join(' ')}
            fill="none"
            stroke="var(--muted)"
          />
        ))}
      </svg>
      <ol aria-label="Plan, from the result down to the tables">
        {graph.nodes.map(({ id, title, detail, took, x, y }) => (
          <li
            key={id}
            title={detail}
            className="absolute overflow-hidden rounded border border-line bg-ground px-2 py-0.5"
            style={{ ...size, left: x - size.width / 2, top: y - size.height / 2 }}
          >
            <span className="block truncate">{title}</span>
            <span className="block truncate text-label text-muted">{detail}</span>
            {took !== null && <Taken took={took} />}
          </li>
        ))}
      </ol>
    </div>
  );
}

function Taken({ took: { rows, time_ms, memory_bytes, spilled_bytes, share } }: { took: Took }) {
  const memory = quantifyBytes(memory_bytes);
  const spilled = quantifyBytes(spilled_bytes);
  const told = [
    rows === null ? null : `${formatNumber(rows)} ${rows === 1 ? 'row' : 'rows'}`,
    time_ms === null ? null : `${formatMeasured(time_ms)} ms`,
    memory_bytes === null ? null : `${memory.value} ${memory.unit}`,
    spilled_bytes === 0 ? null : `${spilled.value} ${spilled.unit} spilled`,
  ].filter(it => it !== null);
  return (
    <>
      <span className="block truncate text-label">
        {told.length === 0 ? 'does not count' : told.join(' · ')}
      </span>
      <span
        className="absolute bottom-0 left-0 h-1 bg-accent"
        style={{ width: `${100 * share}%` }}
        title="Time, of that of the slowest step"
      />
    </>
  );
}
