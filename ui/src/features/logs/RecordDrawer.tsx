/**
 * One record with all its fields, beside the list, until it is closed. Each value can be kept, left out, or copied.
 */
import { useQuery } from '@tanstack/react-query';
import { CircleMinus, CirclePlus, Copy, Route, X } from 'lucide-react';
import { useEffect, useState } from 'react';
import { answerOf, api } from '../../api/client';
import { partOf } from '../../shared/filter';
import { textOf } from '../../shared/format';
import type { Pick } from '../../shared/logline';
import { useGo } from '../../shared/nav';
import { Button } from '../../shared/ui/button';
import type { CatalogColumn } from './columns';

/** Longer values are cut until asked for. */
const VALUE_MAX = 2_000;
const AROUND_MS = 30_000;

interface RecordDrawerProps {
  id: string;
  /** The columns of the log. */
  known?: readonly CatalogColumn[];
  onPick: Pick;
}

export function RecordDrawer({ id, known = [], onPick }: RecordDrawerProps) {
  const go = useGo();
  const [partition = 0, offset = 0] = id.split('-').map(Number);
  const { data, error } = useQuery({
    queryKey: ['record', id],
    queryFn: () =>
      answerOf(
        api.GET('/api/v1/records/{partition}/{offset}', {
          params: { path: { partition: String(partition), offset: String(offset) } },
        }),
      ),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const close = () => go({ record: undefined } as object);
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => event.key === 'Escape' && go({ record: undefined } as object);
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, [go]);
  const ids = new Set(known.filter(({ role }) => role === 'id').map(({ name }) => name));
  /** All that one of them did, whatever else was filtered for. */
  const follow = (name: string, value: unknown) =>
    go({
      tab: 'timeline',
      where: partOf(name, '=', typeof value === 'number' ? value : String(value)),
      past: undefined,
    } as object);
  const time = data?.fields.find(({ type }) => type === 'timestamp')?.value;
  const at = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  return (
    <aside
      aria-label="Record"
      className="fixed inset-x-0 bottom-0 z-30 flex max-h-[70vh] flex-col rounded border border-line bg-panel md:static md:max-h-none md:w-[min(36vw,460px)] md:shrink-0"
    >
      <header className="flex items-center gap-2 border-b border-line px-3 py-1">
        <h2 className="text-control font-medium">Record</h2>
        <span className="text-muted">
          partition {partition}, offset {offset}
        </span>
        <Button kind="quiet" className="ml-auto" onClick={close} aria-label="Close the record">
          <X size={14} aria-hidden="true" />
        </Button>
      </header>
      {error !== null && (
        <p role="alert" className="p-3">
          {error.message}. {'hint' in error ? String(error.hint) : ''}
        </p>
      )}
      {data === undefined && error === null && <p className="p-3 text-muted">Loading…</p>}
      {data && (
        <>
          <div className="min-h-0 flex-1 overflow-auto">
            <table className="w-full text-label">
              <tbody>
                {data.fields
                  .filter(({ value }) => value !== null)
                  .map(({ name, value }) => (
                    <Field
                      key={name}
                      name={name}
                      value={value}
                      onPick={onPick}
                      onTimeline={ids.has(name) ? () => follow(name, value) : undefined}
                    />
                  ))}
              </tbody>
            </table>
          </div>
          <footer className="flex flex-wrap gap-2 border-t border-line px-3 py-2">
            {!Number.isNaN(at) && (
              <Button
                onClick={() =>
                  go({
                    past: true,
                    range: undefined,
                    from: new Date(at - AROUND_MS).toISOString(),
                    to: new Date(at + AROUND_MS).toISOString(),
                  } as object)
                }
              >
                Show 30 s around it
              </Button>
            )}
            <Button
              onClick={() =>
                void navigator.clipboard?.writeText(
                  JSON.stringify(
                    Object.fromEntries(data.fields.map(({ name, value }) => [name, value])),
                    null,
                    2,
                  ),
                )
              }
            >
              Copy as JSON
            </Button>
            <span className="ml-auto text-label text-muted">
              from {data.from === 'live' ? 'the live tail' : 'the lake'}
            </span>
          </footer>
        </>
      )}
    </aside>
  );
}

interface FieldProps {
  name: string;
  value: unknown;
  onPick: Pick;
  /** Show what one of these did; only of what names one. */
  onTimeline: (() => void) | undefined;
}

function Field({ name, value, onPick, onTimeline }: FieldProps) {
  const [whole, setWhole] = useState(false);
  const text = textOf(value);
  const cut = !whole && text.length > VALUE_MAX;
  const comparable = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
  const act = (word: string, run: () => void, Icon: typeof Copy) => (
    <button
      type="button"
      className="p-1 text-muted hover:text-accent"
      aria-label={`${word} ${name} ${text.slice(0, 40)}`}
      title={word}
      onClick={run}
    >
      <Icon size={14} aria-hidden="true" />
    </button>
  );
  return (
    <tr className="align-top hover:bg-hover">
      <th scope="row" className="px-3 py-0.5 text-left font-normal whitespace-nowrap text-muted">
        {name}
      </th>
      <td className="py-0.5 font-mono break-all">
        {cut ? `${text.slice(0, VALUE_MAX)}… ` : text}
        {cut && (
          <button type="button" className="text-accent" onClick={() => setWhole(true)}>
            show all {text.length} characters
          </button>
        )}
      </td>
      <td className="px-2 whitespace-nowrap">
        <span className="flex justify-end">
          {onTimeline !== undefined && act('Timeline of', onTimeline, Route)}
          {comparable && act('Only', () => onPick(name, value, false), CirclePlus)}
          {comparable && act('Without', () => onPick(name, value, true), CircleMinus)}
          {act('Copy', () => void navigator.clipboard?.writeText(text), Copy)}
        </span>
      </td>
    </tr>
  );
}
