/** What can be asked: tables with their columns, samples, saved queries, and what was asked before. */

import { useQuery, useQueryClient } from '@tanstack/react-query';
import { X } from 'lucide-react';
import { useState } from 'react';
import { answerOf, api } from '../../api/client';
import type { Schemas } from '../../api/wire';
import { ChangeButton } from '../../shared/change';
import { formatNumber, formatTime } from '../../shared/format';
import { Shape } from '../../shared/mark';
import { useMayChange } from '../../shared/session';
import { Button } from '../../shared/ui/button';
import { zoneName } from '../../shared/zone';
import { pastQueries } from './past';
import { samplesOf } from './samples';

interface CatalogProps {
  catalog: Schemas['Tables'] | undefined;
  text: string;
  onPick: (query: string) => void;
}

export function Catalog({ catalog, text, onPick }: CatalogProps) {
  return (
    <aside
      aria-label="Queries and tables"
      className="order-last flex w-full shrink-0 flex-col gap-3 overflow-y-auto rounded border border-line bg-panel p-3 md:order-first md:w-60"
    >
      <Group name="Samples" open>
        {samplesOf(catalog).map(({ name, query }) => (
          <Entry key={name} onClick={() => onPick(query)}>
            {name}
          </Entry>
        ))}
      </Group>
      <Saved text={text} onPick={onPick} />
      <Group name="Tables" open>
        {catalog?.tables.map(table => (
          <Table key={table.name} table={table} onPick={onPick} />
        ))}
      </Group>
      <Group name="History">
        {pastQueries().map(({ query, at_ms, took_ms, rows }) => (
          <Entry key={query} onClick={() => onPick(query)}>
            <span className="block truncate font-mono text-label">{query}</span>
            <span className="block text-label text-muted">
              {formatTime(at_ms)} {zoneName()} · {formatNumber(took_ms)} ms · {formatNumber(rows)} rows
            </span>
          </Entry>
        ))}
      </Group>
    </aside>
  );
}

function Group({
  name,
  open = false,
  children,
}: {
  name: string;
  open?: boolean;
  children: React.ReactNode;
}) {
  return (
    <details open={open}>
      <summary className="text-label text-muted">{name}</summary>
      <ul className="mt-1">{children}</ul>
    </details>
  );
}

function Entry({ onClick, children }: { onClick: () => void; children: React.ReactNode }) {
  return (
    <li>
      <button
        type="button"
        className="w-full truncate rounded px-1 py-0.5 text-left hover:bg-hover"
        onClick={onClick}
      >
        {children}
      </button>
    </li>
  );
}

function Table({ table, onPick }: { table: Schemas['TableBody']; onPick: (query: string) => void }) {
  return (
    <li>
      <details>
        <summary
          className="truncate rounded px-1 hover:bg-hover"
          title={table.comment == null ? table.kind : `${table.kind}: ${table.comment}`}
        >
          {table.name}
          {table.kind === 'live view' && (
            <span className="text-accent" title="live">
              {' '}
              <Shape tone="live" />
            </span>
          )}
          {table.rows != null && <span className="text-label text-muted"> {formatNumber(table.rows)}</span>}
        </summary>
        <div className="pl-3">
          <Button
            kind="quiet"
            className="h-6 px-1"
            onClick={() => onPick(`SELECT * FROM ${table.name} LIMIT 100`)}
          >
            Show rows
          </Button>
          <ul className="text-label">
            {table.columns.map(({ name, type, role, unit, comment }) => (
              <li
                key={name}
                className="flex justify-between gap-2"
                title={[name, role, unit, comment].filter(it => it != null && it !== '').join(' · ')}
              >
                <span className="truncate">{name}</span>
                <span className="shrink-0 text-muted">
                  {type}
                  {unit != null && ` ${unit}`}
                </span>
              </li>
            ))}
          </ul>
        </div>
      </details>
    </li>
  );
}

function Saved({ text, onPick }: { text: string; onPick: (query: string) => void }) {
  const queries = useQueryClient();
  const mayChange = useMayChange();
  const [name, setName] = useState('');
  const [problem, setProblem] = useState('');
  const { data, error } = useQuery({
    queryKey: ['saved'],
    queryFn: () => answerOf(api.GET('/api/v1/saved-queries')),
  });
  const change = async (asked: Promise<unknown>) => {
    try {
      await asked;
      setProblem('');
      setName('');
    } catch (caught) {
      setProblem(caught instanceof Error ? caught.message : String(caught));
    }
    await queries.invalidateQueries({ queryKey: ['saved'] });
  };
  const path = (saved: string) => ({ params: { path: { name: saved } } });
  return (
    <details open>
      <summary className="text-label text-muted">Saved</summary>
      {error !== null && <p className="text-muted">{error.message}</p>}
      <ul className="mt-1">
        {data?.queries.map(saved => (
          <li key={saved.name} className="group flex items-center">
            <button
              type="button"
              className="min-w-0 flex-1 truncate rounded px-1 py-0.5 text-left hover:bg-hover"
              onClick={() => onPick(saved.query)}
            >
              {saved.name}
            </button>
            {mayChange && (
              <button
                type="button"
                className="px-1 text-muted opacity-0 group-hover:opacity-100 focus:opacity-100"
                aria-label={`Remove the saved query ${saved.name}`}
                onClick={() =>
                  void change(answerOf(api.DELETE('/api/v1/saved-queries/{name}', path(saved.name))))
                }
              >
                <X size={14} aria-hidden="true" />
              </button>
            )}
          </li>
        ))}
      </ul>
      <form
        className="mt-1 flex gap-1"
        onSubmit={event => {
          event.preventDefault();
          void change(
            answerOf(
              api.PUT('/api/v1/saved-queries/{name}', { ...path(name.trim()), body: { query: text } }),
            ),
          );
        }}
      >
        {mayChange && (
          <input
            aria-label="Name to save the query under"
            className="h-7 min-w-0 flex-1 rounded border border-line bg-panel px-2"
            placeholder="save as…"
            value={name}
            onChange={({ target }) => setName(target.value)}
          />
        )}
        <ChangeButton type="submit" disabled={name.trim() === '' || text.trim() === ''}>
          {mayChange ? 'Save' : 'Save this query'}
        </ChangeButton>
      </form>
      {problem !== '' && (
        <p role="alert" className="text-critical">
          {problem}
        </p>
      )}
    </details>
  );
}
