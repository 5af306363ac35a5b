/**
 * The filter as it is applied: its parts to be removed, a field to add one, words to search for, and now or then.
 */
import { useState } from 'react';
import { download, type Format } from '../../api/client';
import { partOf, partsOf, withoutPart, withPart } from '../../shared/filter';
import { useGo, useSpan, useUrl } from '../../shared/nav';
import { Button } from '../../shared/ui/button';
import { Menu } from '../../shared/ui/menu';

export function FilterBar({ error }: { error: string | null }) {
  const { where, past } = useUrl();
  const go = useGo();
  const { fixed } = useSpan(10_000);
  const [text, setText] = useState('');
  const parts = partsOf(where);
  const add = () => {
    const typed = text.trim();
    if (typed === '') return;
    // A comparison is taken as it is, anything else is looked for in all texts.
    const isComparison = /[=<>~]/.test(typed);
    go({ where: withPart(where, isComparison ? typed : partOf('*', '~', typed)) });
    setText('');
  };
  return (
    <div className="flex shrink-0 flex-wrap items-center gap-2">
      <div role="group" aria-label="Which records" className="flex">
        <Button
          aria-pressed={!past && !fixed}
          className="rounded-r-none"
          onClick={() => go({ past: undefined, from: undefined, to: undefined } as object)}
        >
          Live
        </Button>
        <Button
          aria-pressed={past === true || fixed}
          className="rounded-l-none border-l-0"
          onClick={() => go({ past: true })}
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
          {part} <span aria-hidden="true">✕</span>
        </Button>
      ))}
      <form
        className="flex min-w-48 flex-1 items-center gap-2"
        onSubmit={event => {
          event.preventDefault();
          add();
        }}
      >
        <input
          data-focus="slash"
          aria-label="Add a filter or words to search for"
          className="h-7 w-full rounded border border-line bg-panel px-2 font-mono text-label"
          placeholder="words, or a comparison: status >= 500, endpoint = '/api/users', user_agent ~ 'bot'"
          value={text}
          onChange={({ target }) => setText(target.value)}
        />
        <Button type="submit">Add</Button>
      </form>
      {parts.length > 0 && (
        <Button kind="quiet" onClick={() => go({ where: undefined } as object)}>
          Clear
        </Button>
      )}
      <ExportMenu />
      {error !== null && (
        <p role="alert" className="w-full text-critical">
          {error}
        </p>
      )}
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
      const params = new URLSearchParams({ from: String(from), to: String(to), limit: '1' });
      if (where) params.set('where', where);
      const response = await fetch(`api/v1/logs?${params}`);
      const { sql } = (await response.json()) as { sql: string };
      // The same condition as the list, with every column and without the limit.
      const query = sql.replace(/^SELECT .*? FROM/s, 'SELECT * FROM').replace(/ LIMIT \d+$/, '');
      const cut = await download(query, format, 'tidelake-logs');
      setNote(cut ? 'saved; cut off at the limit for exports' : 'saved');
    } catch (error) {
      setNote(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <>
      <Menu
        trigger={<Button>Export ▾</Button>}
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
