/** The plan of a live view as it runs: what each of its nodes hands on, how busy it is, and what it keeps. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { answerOf, api } from '../../api/client';
import type { Schemas } from '../../api/wire';
import { formatNumber, formatRate } from '../../shared/format';
import { sentence } from '../../shared/panel';
import { memoryOf } from './words';

type PlanNode = Schemas['PlanNode'];
const ASK_EVERY_MS = 2_000;

export function LivePlan({ view }: { view: string }) {
  const [isOpen, setOpen] = useState(false);
  const { data, error } = useQuery({
    queryKey: ['plan of view', view],
    queryFn: () => answerOf(api.GET('/api/v1/views/{view}/plan', { params: { path: { view } } })),
    refetchInterval: ASK_EVERY_MS,
    enabled: isOpen,
  });
  return (
    <details className="mb-2" onToggle={event => setOpen(event.currentTarget.open)}>
      <summary className="text-muted">Plan</summary>
      {error !== null && <p role="alert">{sentence(error.message)}</p>}
      {data && <p>{data.lifetime}</p>}
      <ol aria-label={`Plan of ${view}, from the result down to what it reads`}>
        {data?.nodes.map(node => (
          <li
            key={node.number}
            className="my-1 border-l border-line pl-2"
            style={{ marginLeft: `${12 * node.depth}px` }}
          >
            <span className="block break-words">
              {node.text}
              {node.repeated && '; the same as above'}
            </span>
            <span className="block text-label text-muted">{factsOf(node)}</span>
          </li>
        ))}
      </ol>
    </details>
  );
}

function factsOf(node: PlanNode): string {
  const facts = [
    node.changes_per_second == null ? null : `${formatRate(node.changes_per_second)} changes/s`,
    node.busy_share == null ? null : `${formatNumber(100 * node.busy_share, 1)} % of a worker`,
    node.state_rows
      ? `keeps ${formatNumber(node.state_rows)} rows, ${memoryOf(node.state_bytes ?? 0)}`
      : null,
    node.shared_by.length === 0 ? null : `shared by ${node.shared_by.join(', ')}`,
  ];
  return facts.filter(it => it !== null).join(' · ');
}
