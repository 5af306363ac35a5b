/** Asks for files to be written anew: of which tables, and in which order their rows lie. */
import { useState } from 'react';
import { ChangeButton } from '../../shared/change';
import { DocLink } from '../../shared/docs';
import { sentence } from '../../shared/panel';
import { Button } from '../../shared/ui/button';
import { Dialog } from '../../shared/ui/dialog';
import { type Table, useOptimize } from './upkeep';

/** As the server takes them. */
const ORDER_COLUMNS_MAX = 4;

interface OptimizeDialogProps {
  tables: readonly Table[];
  /** Which one is meant first; all if empty. */
  table: string;
  onClose: () => void;
}

export function OptimizeDialog({ tables, table: first, onClose }: OptimizeDialogProps) {
  const [table, setTable] = useState(first);
  const [order, setOrder] = useState<readonly string[]>([]);
  const optimize = useOptimize();
  const chosen = tables.find(({ name }) => name === table);
  const toggle = (column: string) =>
    setOrder(order.includes(column) ? order.filter(it => it !== column) : [...order, column]);
  const start = () =>
    optimize.mutate({ tables: table === '' ? [] : [table], zorder: [...order] }, { onSuccess: onClose });
  return (
    <Dialog open onClose={onClose} title="Optimize">
      <div className="flex flex-col gap-3">
        <p className="text-muted">
          The engine writes files anew with its next commits, beside everything else; no row changes. The
          files before stay for as long as versions are kept.{' '}
          <DocLink chapter="upkeep">More about upkeep</DocLink>
        </p>
        <label className="flex flex-wrap items-center gap-2">
          <span className="text-label text-muted">Table</span>
          <select
            className="h-7 max-w-full rounded border border-line bg-panel px-1"
            value={table}
            onChange={({ target }) => {
              setTable(target.value);
              setOrder([]);
            }}
          >
            <option value="">all tables</option>
            {tables.map(({ name }) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        {chosen === undefined ? (
          <p className="text-muted">Small files are put together, rows stay as they lie.</p>
        ) : (
          <fieldset>
            <legend className="text-label text-muted">
              Z-order: rows alike in these columns lie together, so that queries that filter by them skip
              files. Up to {ORDER_COLUMNS_MAX}; with none, small files are put together as they are.
            </legend>
            <div className="mt-1 flex flex-wrap gap-1">
              {chosen.order_columns.map(column => {
                const at = order.indexOf(column);
                return (
                  <Button
                    key={column}
                    className="h-6"
                    aria-pressed={at >= 0}
                    disabled={at < 0 && order.length >= ORDER_COLUMNS_MAX}
                    onClick={() => toggle(column)}
                  >
                    {column}
                    {at >= 0 && <span className="text-muted"> {at + 1}</span>}
                  </Button>
                );
              })}
            </div>
          </fieldset>
        )}
        {optimize.error && (
          <p role="alert" className="text-critical">
            {sentence(optimize.error.message)}
          </p>
        )}
        <div className="flex gap-2">
          <ChangeButton kind="main" disabled={optimize.isPending} onClick={start}>
            Optimize {table === '' ? 'all tables' : table}
          </ChangeButton>
          <Button onClick={onClose}>Close</Button>
        </div>
      </div>
    </Dialog>
  );
}
