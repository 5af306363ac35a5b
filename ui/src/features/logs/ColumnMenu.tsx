/** Which columns the list shows, of all there are. */
import { ChevronDown } from 'lucide-react';
import { useState } from 'react';
import { formatNumber } from '../../shared/format';
import { Button } from '../../shared/ui/button';
import { Popover } from '../../shared/ui/popover';
import { withColumn, withoutColumn } from './columns';
import type { Lines } from './useLines';

export function ColumnMenu({ lines }: { lines: Lines }) {
  const [wanted, setWanted] = useState('');
  const word = wanted.trim().toLowerCase();
  const shown = new Set(lines.columns.map(({ column }) => column.name));
  const found = lines.known.filter(
    ({ name, comment }) => name.toLowerCase().includes(word) || (comment ?? '').toLowerCase().includes(word),
  );
  return (
    <Popover
      label="Columns"
      className="flex max-h-96 w-72 flex-col gap-2"
      trigger={
        <Button className="h-6">
          Columns <ChevronDown size={14} aria-hidden="true" />
        </Button>
      }
    >
      <input
        aria-label="Search columns"
        placeholder={`${formatNumber(lines.known.length)} columns`}
        className="h-7 w-full shrink-0 rounded border border-line bg-panel px-2 text-label"
        value={wanted}
        onChange={({ target }) => setWanted(target.value)}
      />
      <ul className="min-h-0 flex-1 overflow-auto">
        {found.map(column => (
          <li key={column.name}>
            <label className="flex cursor-pointer items-center gap-2 rounded px-1 py-0.5 hover:bg-hover">
              <input
                type="checkbox"
                checked={shown.has(column.name)}
                disabled={shown.size === 1 && shown.has(column.name)}
                onChange={({ target }) =>
                  lines.change(
                    target.checked
                      ? withColumn(lines.columns, column)
                      : withoutColumn(lines.columns, column.name),
                  )
                }
              />
              <span className="min-w-0 flex-1 truncate" title={column.comment ?? column.name}>
                {column.name}
              </span>
              <span className="text-label text-muted">
                {column.role === 'other' ? column.type : column.role}
              </span>
            </label>
          </li>
        ))}
        {found.length === 0 && <li className="text-muted">No results.</li>}
      </ul>
      {lines.isChanged && (
        <Button kind="quiet" onClick={lines.reset}>
          Default columns
        </Button>
      )}
    </Popover>
  );
}
