/** What this dataflow could show if it had one view more, each with the SQL that adds it. */
import { useState } from 'react';
import { DocLink } from '../../shared/docs';
import type { Page } from '../../shared/page';
import { Button } from '../../shared/ui/button';

export function Suggestions({ page }: { page: Page }) {
  const [open, setOpen] = useState<string | null>(null);
  const chosen = page.suggestions.find(({ title }) => title === open);
  if (page.suggestions.length === 0) return null;
  return (
    <section
      aria-label="Views to add"
      className="rounded border border-line border-dashed px-3 py-2 md:col-span-2"
    >
      <div className="flex flex-wrap items-center gap-2">
        <h2 className="text-label text-muted">With one more view this page also shows:</h2>
        {page.suggestions.map(({ title }) => (
          <Button
            key={title}
            aria-expanded={title === open}
            onClick={() => setOpen(title === open ? null : title)}
          >
            {title}
          </Button>
        ))}
      </div>
      {chosen !== undefined && <Statement key={chosen.title} sql={chosen.sql} />}
    </section>
  );
}

function Statement({ sql }: { sql: string }) {
  const [copied, setCopied] = useState<'no' | 'yes' | 'failed'>('no');
  const copy = () =>
    navigator.clipboard.writeText(sql).then(
      () => setCopied('yes'),
      () => setCopied('failed'),
    );
  return (
    <div className="mt-2">
      <p className="text-label text-muted">
        Add it to dataflow.sql and restart: it is filled from the records that are stored.{' '}
        <DocLink chapter="changes">Changing a dataflow</DocLink>
      </p>
      <pre className="mt-1 overflow-x-auto rounded bg-ground p-2 font-mono text-label" tabIndex={0}>
        {sql}
      </pre>
      <div className="mt-1 flex items-center gap-2">
        <Button onClick={() => void copy()}>Copy SQL</Button>
        <span role="status" className="text-label text-muted">
          {copied === 'yes' ? 'Copied' : copied === 'failed' ? 'Select the text and copy it' : ''}
        </span>
      </div>
    </div>
  );
}
