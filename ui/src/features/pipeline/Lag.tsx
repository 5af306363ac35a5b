/**
 * How far each partition is behind, in records and in time, whether that grows, and when it ends. What is not known is
 * said in words and never counted as zero.
 */
import { ChevronDown } from 'lucide-react';
import { useState } from 'react';
import type { Pipeline, Schemas } from '../../api/wire';
import { formatAge, formatNumber, formatRate, MISSING, quantifyBytes } from '../../shared/format';

type Partition = Schemas['PartitionReport'] & { source: string; unit: string };

const TRENDS: Record<string, string> = {
  rising: 'rising',
  falling: 'falling',
  steady: 'steady',
  unknown: MISSING,
};
type Order = 'partition' | 'lag';

export function Lag({ pipeline }: { pipeline: Pipeline }) {
  const [order, setOrder] = useState<Order>('partition');
  const rows: Partition[] = pipeline.sources.flatMap(source =>
    source.partitions.map(partition => ({ ...partition, source: source.name, unit: source.unit })),
  );
  if (order === 'lag')
    rows.sort((a, b) => (b.lag ?? Number.POSITIVE_INFINITY) - (a.lag ?? Number.POSITIVE_INFINITY));
  const heading = (name: Order, text: string) => (
    <button
      type="button"
      className={order === name ? 'text-text' : 'hover:text-text'}
      onClick={() => setOrder(name)}
      title={`Sort by ${text}`}
    >
      {text}
      {order === name && <ChevronDown size={12} className="inline" aria-hidden="true" />}
    </button>
  );
  if (rows.length === 0) return <p className="px-3 pb-3 text-muted">No partitions known yet.</p>;
  return (
    <div className="overflow-x-auto">
      <table className="w-full whitespace-nowrap">
        <thead className="text-left text-label text-muted">
          <tr>
            <th className="px-3 font-normal">{heading('partition', 'partition')}</th>
            <th className="hidden px-2 text-right font-normal md:table-cell">next offset</th>
            <th className="hidden px-2 text-right font-normal md:table-cell">end</th>
            <th className="hidden px-2 text-right font-normal md:table-cell">committed</th>
            <th className="px-2 text-right font-normal">{heading('lag', 'lag')}</th>
            <th className="px-2 text-right font-normal">lag time</th>
            <th className="px-2 font-normal">trend</th>
            <th className="hidden px-2 text-right font-normal sm:table-cell">read</th>
            <th className="px-3 text-right font-normal">caught up in</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(row => (
            <Line key={`${row.source}/${row.partition}`} row={row} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Line({ row }: { row: Partition }) {
  const amount = (value: number | null | undefined) => {
    if (value == null) return MISSING;
    if (row.unit !== 'bytes') return formatNumber(value);
    const { value: size, unit } = quantifyBytes(value);
    return `${size} ${unit}`;
  };
  return (
    <tr className="h-6 hover:bg-hover" data-partition={row.partition}>
      <td className="px-3">
        {row.source}/{row.partition}
      </td>
      <td className="hidden px-2 text-right md:table-cell">{formatNumber(row.offset)}</td>
      <td className="hidden px-2 text-right md:table-cell">
        {row.end_offset == null ? 'not known yet' : formatNumber(row.end_offset)}
      </td>
      <td className="hidden px-2 text-right md:table-cell" data-cell="committed">
        {row.committed == null ? 'no commit yet' : formatNumber(row.committed)}
      </td>
      <td className="px-2 text-right" data-cell="lag">
        {amount(row.lag)}
      </td>
      <td className="px-2 text-right">
        {row.lag_seconds == null
          ? MISSING
          : `${row.lag_seconds_is_least ? '> ' : ''}${formatAge(row.lag_seconds * 1000)}`}
      </td>
      <td className={row.trend === 'rising' ? 'px-2 text-warn' : 'px-2 text-muted'}>{TRENDS[row.trend]}</td>
      <td className="hidden px-2 text-right sm:table-cell">
        {row.unit === 'bytes' ? amount(row.read_per_second) : formatRate(row.read_per_second)}
        {row.read_per_second != null && (
          <span className="text-muted">{row.unit === 'bytes' ? '/s' : ' /s'}</span>
        )}
      </td>
      <td className="px-3 text-right">
        {row.lag === 0 ? 'caught up' : row.eta_seconds == null ? MISSING : formatAge(row.eta_seconds * 1000)}
      </td>
    </tr>
  );
}
