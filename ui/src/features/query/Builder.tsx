/** Puts a query together by clicking, for people without SQL; the text it writes can be changed after. */
import { X } from 'lucide-react';
import { useState } from 'react';
import type { Schemas } from '../../api/wire';
import { Sql } from '../../shared/receipt';
import { type Built, sqlOf } from '../../shared/result/statement';
import { Button } from '../../shared/ui/button';

const FUNCTIONS = ['count', 'sum', 'avg', 'min', 'max', 'count distinct'];
const OPERATORS = ['=', '<>', '>', '>=', '<', '<=', 'LIKE'];
const FIELD = 'h-7 rounded border border-line bg-panel px-1';

interface BuilderProps {
  catalog: Schemas['Tables'];
  onUse: (sql: string, run: boolean) => void;
}

export function Builder({ catalog, onUse }: BuilderProps) {
  const tables = catalog.tables.filter(({ columns }) => columns.length > 0);
  const [built, setBuilt] = useState<Built>({
    table: tables[0]?.name ?? '',
    columns: [],
    aggregates: [{ function: 'count', column: '' }],
    filters: [],
    order: '',
    descending: true,
    limit: 100,
  });
  const set = (change: Partial<Built>) => setBuilt({ ...built, ...change });
  const columns = tables.find(({ name }) => name === built.table)?.columns ?? [];
  const isText = (column: string) => columns.find(({ name }) => name === column)?.type === 'text';
  const names = columns.map(({ name }) => name);
  const outputs = [
    ...built.columns,
    ...built.aggregates.map(it =>
      it.column === ''
        ? 'n'
        : it.function === 'count distinct'
          ? `distinct_${it.column}`
          : `${it.function}_${it.column}`,
    ),
  ];
  const sql = sqlOf(built);
  return (
    <div className="flex flex-col gap-3">
      <Line name="From">
        <Choice
          label="Table"
          value={built.table}
          options={tables.map(({ name }) => name)}
          onChange={table =>
            setBuilt({
              ...built,
              table,
              columns: [],
              filters: [],
              order: '',
              aggregates: [{ function: 'count', column: '' }],
            })
          }
        />
      </Line>
      <Line name="For each">
        {built.columns.map(column => (
          <Button
            key={column}
            onClick={() => set({ columns: built.columns.filter(it => it !== column) })}
            aria-label={`Remove ${column}`}
          >
            {column} <X size={14} aria-hidden="true" />
          </Button>
        ))}
        <Choice
          label="Add a column"
          value=""
          options={['', ...names.filter(name => !built.columns.includes(name))]}
          empty="+ column"
          onChange={column => column !== '' && set({ columns: [...built.columns, column] })}
        />
      </Line>
      <Line name="Compute">
        {built.aggregates.map((it, at) => {
          const change = (next: Partial<typeof it>) =>
            set({
              aggregates: built.aggregates.map((old, index) => (index === at ? { ...old, ...next } : old)),
            });
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: the same figure may be there twice.
            <span key={at} className="flex items-center gap-1">
              <Choice
                label="Figure"
                value={it.function}
                options={FUNCTIONS}
                onChange={name =>
                  change({ function: name, column: name === 'count' ? '' : it.column || (names[0] ?? '') })
                }
              />
              {it.function !== 'count' && (
                <Choice
                  label="Of"
                  value={it.column}
                  options={names}
                  onChange={column => change({ column })}
                />
              )}
              <Button
                kind="quiet"
                aria-label="Remove this figure"
                onClick={() => set({ aggregates: built.aggregates.filter((_, index) => index !== at) })}
              >
                <X size={14} aria-hidden="true" />
              </Button>
            </span>
          );
        })}
        <Button
          onClick={() =>
            set({
              aggregates: [
                ...built.aggregates,
                {
                  function: 'avg',
                  column: columns.find(({ type }) => type === 'double')?.name ?? names[0] ?? '',
                },
              ],
            })
          }
        >
          + figure
        </Button>
      </Line>
      <Line name="Where">
        {built.filters.map((it, at) => {
          const change = (next: Partial<typeof it>) =>
            set({ filters: built.filters.map((old, index) => (index === at ? { ...old, ...next } : old)) });
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: the same test may be there twice.
            <span key={at} className="flex items-center gap-1">
              <Choice
                label="Column"
                value={it.column}
                options={names}
                onChange={column => change({ column, isText: isText(column) })}
              />
              <Choice
                label="Comparison"
                value={it.operator}
                options={OPERATORS}
                onChange={operator => change({ operator })}
              />
              <input
                aria-label="Value"
                className={FIELD}
                value={it.value}
                onChange={({ target }) => change({ value: target.value })}
              />
              <Button
                kind="quiet"
                aria-label="Remove this test"
                onClick={() => set({ filters: built.filters.filter((_, index) => index !== at) })}
              >
                <X size={14} aria-hidden="true" />
              </Button>
            </span>
          );
        })}
        <Button
          onClick={() => {
            const column = names[0] ?? '';
            set({
              filters: [...built.filters, { column, operator: '=', value: '', isText: isText(column) }],
            });
          }}
        >
          + test
        </Button>
      </Line>
      <Line name="Order">
        <Choice
          label="Order by"
          value={built.order}
          options={['', ...(built.aggregates.length > 0 || built.columns.length > 0 ? outputs : names)]}
          empty="any"
          onChange={order => set({ order })}
        />
        <label className="flex items-center gap-1">
          <input
            type="checkbox"
            checked={built.descending}
            onChange={({ target }) => set({ descending: target.checked })}
          />{' '}
          largest first
        </label>
        <label className="flex items-center gap-1">
          at most
          <input
            className={`${FIELD} w-20`}
            type="number"
            min={1}
            max={10_000}
            value={built.limit}
            onChange={({ target }) => set({ limit: Math.max(1, Number(target.value) || 1) })}
          />
          rows
        </label>
      </Line>
      <Sql text={sql} />
      <div className="flex gap-2">
        <Button kind="main" onClick={() => onUse(sql, true)}>
          Run query
        </Button>
        <Button onClick={() => onUse(sql, false)}>Open in editor</Button>
      </div>
    </div>
  );
}

function Line({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div className="flex flex-wrap items-center gap-2">
      <span className="w-16 text-muted">{name}</span>
      {children}
    </div>
  );
}

interface ChoiceProps {
  label: string;
  value: string;
  options: readonly string[];
  empty?: string;
  onChange: (value: string) => void;
}

function Choice({ label, value, options, empty = '', onChange }: ChoiceProps) {
  return (
    <select
      aria-label={label}
      className={FIELD}
      value={value}
      onChange={({ target }) => onChange(target.value)}
    >
      {options.map(option => (
        <option key={option} value={option}>
          {option === '' ? empty : option}
        </option>
      ))}
    </select>
  );
}
