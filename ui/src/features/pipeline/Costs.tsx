/**
 * What each relation costs this process: the time of its workers, how unevenly they have it, and the memory of its state. What limits the pipeline is
 * marked.
 */
import { useState } from 'react';
import type { Pipeline } from '../../api/wire';
import { formatNumber, MISSING } from '../../shared/format';
import { Shape } from '../../shared/mark';
import { Button } from '../../shared/ui/button';
import { COST_ORDERS, type CostOrder, costsOf, memoryOf } from './words';

export function Costs({ pipeline }: { pipeline: Pipeline }) {
  const [order, setOrder] = useState<CostOrder>('busy');
  const percent = (share: number | null) => (share === null ? MISSING : `${formatNumber(100 * share, 1)} %`);
  return (
    <div className="overflow-x-auto px-3 pb-3">
      <fieldset className="mb-1 flex items-center gap-1">
        <legend className="sr-only">Order</legend>
        {COST_ORDERS.map(it => (
          <Button key={it} aria-pressed={it === order} onClick={() => setOrder(it)}>
            by {it === 'busy' ? 'time' : 'memory'}
          </Button>
        ))}
      </fieldset>
      <table className="w-full" aria-label="Costs of relations">
        <thead className="text-left text-muted">
          <tr>
            <th className="pr-3 font-normal">relation</th>
            <th className="pr-3 font-normal">kind</th>
            <th className="pr-3 text-right font-normal">busy</th>
            <th className="pr-3 text-right font-normal">busiest worker</th>
            <th className="pr-3 text-right font-normal">skew</th>
            <th className="pr-3 text-right font-normal">state rows</th>
            <th className="text-right font-normal">state</th>
          </tr>
        </thead>
        <tbody>
          {costsOf(pipeline, order).map(line => (
            <tr key={`${line.kind} ${line.name}`} className={line.limit === null ? undefined : 'text-warn'}>
              <td className="max-w-96 truncate pr-3" title={line.name}>
                {line.limit !== null && <Shape tone="warn" />}
                {line.name}
                {line.limit !== null && ` · ${line.limit}`}
              </td>
              <td className="pr-3 text-muted">{line.kind}</td>
              <td className="pr-3 text-right">{percent(line.busy)}</td>
              <td className="pr-3 text-right">{percent(line.busyMost)}</td>
              <td className="pr-3 text-right">
                {line.skew === null ? MISSING : `${formatNumber(line.skew, 1)}×`}
              </td>
              <td className="pr-3 text-right">{formatNumber(line.rows)}</td>
              <td className="text-right">{memoryOf(line.bytes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
