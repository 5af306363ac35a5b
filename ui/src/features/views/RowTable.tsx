/**
 * Rows of any view as a table: times as times, numbers to the right, everything else as text.
 */
import type { Column, Row } from '../../api/wire';
import { formatAny, formatDateTime, MISSING, numberOf, textOf } from '../../shared/format';

export function RowTable({ columns, rows }: { columns: readonly Column[]; rows: readonly Row[] }) {
  return (
    <table className="grid">
      <thead>
        <tr>
          {columns.map(column => (
            <th
              key={column.name}
              className={kindOf(column) === 'number' ? 'number' : undefined}
              title={column.type}
            >
              {column.name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a view may hold the same row twice, so rows have no key.
          <tr key={index}>
            {columns.map(column => (
              <Cell key={column.name} column={column} value={row[column.name]} />
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Cell({ column, value }: { column: Column; value: unknown }) {
  if (value === null || value === undefined) return <td className="muted">{MISSING}</td>;
  switch (kindOf(column)) {
    case 'time':
      return <td>{formatDateTime(value)}</td>;
    case 'number':
      return (
        <td className="number">{numberOf(value) === null ? textOf(value) : formatAny(numberOf(value))}</td>
      );
    case 'text':
      return <td className="mono">{textOf(value)}</td>;
  }
}

/** In the order of the columns, so that rows keep their places; times count from the newest. */
export function sorted(rows: Row[], columns: readonly Column[]): Row[] {
  return rows.sort((a, b) => {
    for (const column of columns) {
      const order = compare(a[column.name], b[column.name]);
      if (order !== 0) return kindOf(column) === 'time' ? -order : order;
    }
    return 0;
  });
}

function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const left = textOf(a);
  const right = textOf(b);
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function kindOf({ type }: Column): 'time' | 'number' | 'text' {
  if (/^(timestamp|datetime|date\b|time\b)/i.test(type)) return 'time';
  if (/^(u?int|float|double|decimal|number|numeric|real|(big|small|tiny)int)/i.test(type)) return 'number';
  return 'text';
}
