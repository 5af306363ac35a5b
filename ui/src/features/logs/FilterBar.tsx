/**
 * The filter as it is applied: its parts to be removed, a field to add one, words to search for, and now or then.
 */

import { useQueryClient } from '@tanstack/react-query';
import { ChevronDown, X } from 'lucide-react';
import { useState } from 'react';
import { ApiError, answerOf, api, checkFilter, download, type Format } from '../../api/client';
import { looksLikeCondition, partOf, partsOf, withoutPart, withPart } from '../../shared/filter';
import { useGo, useSpan, useUrl } from '../../shared/nav';
import { Button } from '../../shared/ui/button';
import { Menu } from '../../shared/ui/menu';
import type { CatalogColumn } from './columns';
import { FilterInput, type Mistake, Mistaken } from './FilterInput';
import { SavedMenu } from './SavedMenu';

/** What the server said of a filter is kept by it. */
export function filterKey(where: string): readonly unknown[] {
  return ['filter', where];
}

export function FilterBar({ columns = [] }: { columns?: readonly CatalogColumn[] }) {
  const { where, past } = useUrl();
  const go = useGo();
  const queries = useQueryClient();
  const { fixed } = useSpan(10_000);
  const [text, setText] = useState('');
  const [mistake, setMistake] = useState<Mistake | null>(null);
  const parts = partsOf(where);
  const type = (next: string) => {
    setText(next);
    setMistake(null);
  };
  const apply = (part: string) => {
    go({ where: withPart(where, part) });
    type('');
  };
  const searchFor = (words: string) => apply(partOf('*', '~', words));
  const add = async (written: string) => {
    const typed = written.trim();
    if (typed === '') return;
    if (!looksLikeCondition(typed)) return searchFor(typed);
    // It is applied once the server has taken it; until then what is shown stays as it is.
    try {
      await queries.fetchQuery({
        queryKey: filterKey(typed),
        queryFn: () => checkFilter(typed),
        retry: false,
      });
      apply(typed);
    } catch (error) {
      const { place = null, fix = null } = error instanceof ApiError ? error : {};
      setText(typed);
      setMistake({
        text: typed,
        message: error instanceof Error ? error.message : String(error),
        place,
        fix,
      });
    }
  };
  return (
    <div className="flex shrink-0 flex-wrap items-center gap-2">
      <div role="group" aria-label="Which records" className="flex">
        <Button
          aria-pressed={!past && !fixed}
          className="rounded-r-none"
          onClick={() => go({ past: undefined, tab: undefined, from: undefined, to: undefined } as object)}
        >
          Live
        </Button>
        <Button
          aria-pressed={past === true || fixed}
          className="rounded-l-none border-l-0"
          onClick={() => go({ past: true, tab: undefined } as object)}
        >
          Stored
        </Button>
      </div>
      {parts.map(part => (
        <Button
          key={part}
          aria-label={`Remove the filter ${part}`}
          className="border-accent font-mono text-label"
          onClick={() => go({ where: withoutPart(where, part) } as object)}
        >
          {part} <X size={14} aria-hidden="true" />
        </Button>
      ))}
      <form
        className="flex min-w-48 flex-1 items-center gap-2"
        onSubmit={event => {
          event.preventDefault();
          void add(text);
        }}
      >
        <FilterInput
          text={text}
          onText={type}
          onSubmit={typed => void add(typed)}
          columns={columns}
          isWrong={mistake !== null}
        />
        <Button type="submit">Add</Button>
      </form>
      {parts.length > 0 && (
        <Button kind="quiet" onClick={() => go({ where: undefined } as object)}>
          Clear
        </Button>
      )}
      <SavedMenu />
      <ExportMenu />
      {mistake !== null && <Mistaken mistake={mistake} onUse={fix => void add(fix)} onSearch={searchFor} />}
    </div>
  );
}

function ExportMenu() {
  const { where } = useUrl();
  const { from, to } = useSpan(10_000);
  const [note, setNote] = useState('');
  const save = async (format: Format) => {
    setNote('writing…');
    try {
      const query = { from: String(from), to: String(to), limit: '1', ...(where ? { where } : {}) };
      const { sql } = await answerOf(api.GET('/api/v1/logs', { params: { query } }));
      // The same condition as the list, with every column and without the limit.
      const all = sql.replace(/^SELECT .*? FROM/s, 'SELECT * FROM').replace(/ LIMIT \d+$/, '');
      const cut = await download(all, format, 'tidelake-logs');
      setNote(cut ? 'saved; truncated at the export limit' : 'saved');
    } catch (error) {
      setNote(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <>
      <Menu
        trigger={
          <Button>
            Export <ChevronDown size={14} aria-hidden="true" />
          </Button>
        }
        items={[
          { label: 'CSV', onSelect: () => void save('csv') },
          { label: 'JSON lines', onSelect: () => void save('jsonl') },
          { label: 'Parquet', onSelect: () => void save('parquet') },
          { label: 'Arrow', onSelect: () => void save('arrow') },
        ]}
      />
      {note !== '' && (
        <span role="status" className="text-label text-muted">
          {note}
        </span>
      )}
    </>
  );
}
