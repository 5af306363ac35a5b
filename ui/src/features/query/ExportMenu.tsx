/**
 * An answer as a file. Files are written by the server, which runs the query for them; rows of a query that was stopped are
 * saved as they are, under a name that says so.
 */
import { ChevronDown } from 'lucide-react';
import { useState } from 'react';
import { ApiError, asCurl, CONTENT_TYPES, download, type Format, handOver } from '../../api/client';
import { rowsOf, type Shown } from '../../shared/result/shown';
import { csvOf, jsonLinesOf } from '../../shared/result/write';
import { Button } from '../../shared/ui/button';
import { Menu } from '../../shared/ui/menu';

export function ExportMenu({ statement, partial }: { statement: string; partial: Shown | null }) {
  const [note, setNote] = useState('');
  const keep = (format: 'csv' | 'jsonl', { columns, rows }: Shown) => {
    const text = format === 'csv' ? csvOf(columns, rows) : jsonLinesOf(columns, rows);
    handOver(new Blob([text], { type: CONTENT_TYPES[format] }), `tidelake-query-partial.${format}`);
    setNote(`saved ${rowsOf(rows.length)}, partial`);
  };
  const save = async (format: Format) => {
    setNote('writing…');
    try {
      const cut = await download(statement.replace(/;\s*$/, ''), format, 'tidelake-query');
      setNote(cut ? 'saved; truncated at the export limit' : 'saved');
    } catch (error) {
      setNote(error instanceof ApiError ? error.message : 'could not be saved');
    }
  };
  return (
    <>
      {note !== '' && <span role="status">{note}</span>}
      <Menu
        trigger={
          <Button className="h-6">
            Export <ChevronDown size={14} aria-hidden="true" />
          </Button>
        }
        items={[
          ...(partial === null
            ? []
            : [
                { label: 'Partial rows as CSV', onSelect: () => keep('csv', partial) },
                { label: 'Partial rows as JSON lines', onSelect: () => keep('jsonl', partial) },
              ]),
          { label: 'CSV', onSelect: () => void save('csv') },
          { label: 'JSON lines', onSelect: () => void save('jsonl') },
          { label: 'Parquet', onSelect: () => void save('parquet') },
          { label: 'Arrow', onSelect: () => void save('arrow') },
          {
            label: 'Copy as curl',
            onSelect: () => {
              void navigator.clipboard?.writeText(asCurl(statement, 'json'));
              setNote('copied');
            },
          },
        ]}
      />
    </>
  );
}
