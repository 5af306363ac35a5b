/** How a query is answered: the logical plan as a graph, and both plans as text. */
import { useQuery } from '@tanstack/react-query';
import { askSql } from '../../api/client';
import { Sql } from '../../shared/receipt';
import { PLAN_NODE, planGraph } from './plan';

export function Plan({ statement }: { statement: string }) {
  const bare = statement.replace(/;\s*$/, '');
  const explained = useQuery({
    queryKey: ['plan', bare],
    queryFn: async () => {
      const [graph, text] = await Promise.all([
        askSql(`EXPLAIN FORMAT PGJSON ${bare}`),
        askSql(`EXPLAIN FORMAT INDENT ${bare}`),
      ]);
      const plans = (rows: readonly Record<string, unknown>[]) =>
        rows.map(row => ({ type: String(row.plan_type), plan: String(row.plan) }));
      return { graph: planGraph(plans(graph.rows)[0]?.plan ?? ''), texts: plans(text.rows) };
    },
    retry: false,
  });
  if (explained.error !== null)
    return (
      <p role="alert" className="p-3">
        {explained.error.message}
      </p>
    );
  if (explained.data === undefined) return <p className="p-3 text-muted">Planning…</p>;
  const { graph, texts } = explained.data;
  return (
    <div className="h-full overflow-auto p-3" tabIndex={0}>
      {graph !== null && (
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
            {graph.nodes.map(({ id, title, detail, x, y }) => (
              <li
                key={id}
                title={detail}
                className="absolute rounded border border-line bg-ground px-2 py-0.5"
                style={{ ...PLAN_NODE, left: x - PLAN_NODE.width / 2, top: y - PLAN_NODE.height / 2 }}
              >
                <span className="block truncate">{title}</span>
                <span className="block truncate text-label text-muted">{detail}</span>
              </li>
            ))}
          </ol>
        </div>
      )}
      {texts.map(({ type, plan }) => (
        <section key={type} className="mb-3">
          <h3 className="text-label text-muted">{type.replace('_', ' ')}</h3>
          <Sql text={plan} />
        </section>
      ))}
    </div>
  );
}
