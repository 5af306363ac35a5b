/** An answer as a chart: over time if there is a time, else as bars by its first text. */
import { useState } from 'react';
import type { Column, Row } from '../../api/wire';
import { Chart, type Series } from '../../shared/chart';
import { formatAny, numberOf, textOf } from '../../shared/format';

const NUMBERS = new Set(['int', 'bigint', 'double']);
const SERIES_MAX = 6;
const BARS_MAX = 60;

export function ResultChart({ columns, rows }: { columns: readonly Column[]; rows: readonly Row[] }) {
  const numbers = columns.filter(({ type }) => NUMBERS.has(type));
  const time = columns.find(({ type }) => type === 'timestamp' || type === 'date');
  const [chosen, setChosen] = useState<string | null>(null);
  const picked = numbers.find(({ name }) => name === chosen) ?? numbers[0];
  if (rows.length === 0 || picked === undefined)
    return <p className="p-3 text-muted">A chart needs at least one row and a column of numbers.</p>;
  if (time !== undefined) return <OverTime time={time} numbers={numbers.slice(0, SERIES_MAX)} rows={rows} />;
  const label = columns.find(({ type }) => !NUMBERS.has(type)) ?? columns[0];
  const bars = rows.slice(0, BARS_MAX).map((row, at) => ({
    at,
    label: label === picked ? String(at + 1) : textOf(label && row[label.name]),
    value: numberOf(row[picked.name]),
  }));
  const most = Math.max(...bars.map(({ value }) => Math.abs(value ?? 0)), 1e-9);
  return (
    <div className="h-full overflow-auto p-3" tabIndex={0}>
      <label className="text-label text-muted">
        column{' '}
        <select
          className="h-6 rounded border border-line bg-panel text-text"
          value={picked.name}
          onChange={({ target }) => setChosen(target.value)}
        >
          {numbers.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <ul className="mt-2">
        {bars.map(({ at, label, value }) => (
          <li key={at} className="grid grid-cols-[minmax(80px,220px)_1fr_96px] items-center gap-2">
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
        <p className="text-muted">
          The first {BARS_MAX} of {rows.length} rows.
        </p>
      )}
    </div>
  );
}

function OverTime({
  time,
  numbers,
  rows,
}: {
  time: Column;
  numbers: readonly Column[];
  rows: readonly Row[];
}) {
  const sorted = rows
    .map(row => ({ row, at: Date.parse(String(row[time.name])) / 1000 }))
    .filter(({ at }) => !Number.isNaN(at))
    .sort((a, b) => a.at - b.at);
  const series = numbers.map(
    ({ name }, colour): Series => ({
      label: name,
      colour,
      values: sorted.map(({ row }) => numberOf(row[name])),
    }),
  );
  return (
    <Chart
      times={sorted.map(({ at }) => at)}
      series={series}
      unit=""
      summary={`${numbers.map(({ name }) => name).join(', ')} over ${time.name}, ${sorted.length} rows.`}
    />
  );
}
