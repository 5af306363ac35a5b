/** An answer as a chart: lines over time, one per key or figure, else bars. */
import { useMemo, useState } from 'react';
import type { Column, Row } from '../../api/wire';
import { Chart, type Series } from '../../shared/chart';
import { BARS_MAX, chartOf } from '../../shared/chosen';
import { formatAny, formatNumber } from '../../shared/format';

export function ResultChart({ columns, rows }: { columns: readonly Column[]; rows: readonly Row[] }) {
  const [wanted, setWanted] = useState<string | null>(null);
  const chart = useMemo(() => chartOf(columns, rows, wanted), [columns, rows, wanted]);
  if (chart.kind === 'none') return <p className="p-3 text-muted">{chart.why}</p>;
  const choice = chart.figures.length > 1 && chart.figure !== null && (
    <label className="shrink-0 px-3 pt-2 text-label text-muted">
      figure{' '}
      <select
        className="h-6 rounded border border-line bg-panel text-text"
        value={chart.figure}
        onChange={({ target }) => setWanted(target.value)}
      >
        {chart.figures.map(name => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
  if (chart.kind === 'time') {
    const series = chart.lines.map(
      ({ label, values, isOther }, at): Series => ({
        label,
        values,
        colour: isOther ? 'muted' : at,
        spansGaps: !chart.gaps,
      }),
    );
    return (
      <div className="flex h-full flex-col">
        {choice}
        <div className="min-h-0 flex-1">
          <Chart
            times={chart.times}
            series={series}
            unit=""
            summary={`${chart.figure ?? 'Figures'} over time: ${chart.lines.map(({ label }) => label).join(', ')}.`}
          />
        </div>
      </div>
    );
  }
  const most = chart.bars.reduce((most, { value }) => Math.max(most, Math.abs(value ?? 0)), 1e-9);
  return (
    <div className="h-full overflow-auto pb-3" tabIndex={0}>
      {choice}
      <ul className="px-3 pt-2">
        {chart.bars.map(({ label, value }, at) => (
          <li
            // biome-ignore lint/suspicious/noArrayIndexKey: rows may have the same label.
            key={at}
            className="grid grid-cols-[minmax(80px,280px)_1fr_96px] items-center gap-2"
          >
            <span className="truncate text-right text-muted" title={label}>
              {label}
            </span>
            <span
              className="h-4 rounded-sm"
              style={{ width: `${(100 * Math.abs(value ?? 0)) / most}%`, background: 'var(--series-1)' }}
            />
            <span>{formatAny(value)}</span>
          </li>
        ))}
      </ul>
      {rows.length > BARS_MAX && (
        <p className="px-3 text-muted">
          The first {BARS_MAX} of {formatNumber(rows.length)} rows.
        </p>
      )}
    </div>
  );
}
