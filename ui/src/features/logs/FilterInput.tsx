/**
 * The field in which a filter is written: columns, operators and frequent values are suggested as one types, and a mistake is
 * shown below, at its place, with what was probably meant.
 */
import { useQuery } from '@tanstack/react-query';
import { type KeyboardEvent, useId, useRef, useState } from 'react';
import { flushSync } from 'react-dom';
import { answerOf, api } from '../../api/client';
import { type Suggestion, suggestionsAt, taken } from '../../shared/filterwords';
import { Button } from '../../shared/ui/button';
import { cn } from '../../shared/ui/cn';
import type { CatalogColumn } from './columns';

/** What the server found wrong with what was typed. */
export interface Mistake {
  text: string;
  message: string;
  place: readonly [from: number, to: number] | null;
  fix: string | null;
}

interface FilterInputProps {
  text: string;
  onText: (text: string) => void;
  onSubmit: (text: string) => void;
  columns: readonly CatalogColumn[];
  isWrong: boolean;
}

const VALUES_STALE_MS = 30_000;

export function FilterInput({ text, onText, onSubmit, columns, isWrong }: FilterInputProps) {
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  const [cursor, setCursor] = useState(0);
  const [isOpen, setOpen] = useState(false);
  /** Which suggestion is chosen by the arrows. */
  const [at, setAt] = useState(-1);
  const place = suggestionsAt(text, cursor, columns, () => undefined);
  const { data: values } = useQuery({
    queryKey: ['frequent values', place.valuesOf?.name],
    queryFn: ({ signal }) =>
      answerOf(
        api.GET('/api/v1/values/{column}', {
          params: { path: { column: place.valuesOf?.name ?? '' } },
          signal,
        }),
      ),
    enabled: isOpen && place.valuesOf !== null && place.valuesOf.role !== 'time',
    staleTime: VALUES_STALE_MS,
  });
  const found = suggestionsAt(text, cursor, columns, column =>
    values?.column === column ? values.values.map(({ value }) => value) : undefined,
  );
  const shown = isOpen ? found.options : [];
  const take = (suggestion: Suggestion) => {
    const next = taken(text, found, suggestion);
    // At once: a frame later, what was typed meanwhile would be behind the caret.
    flushSync(() => {
      onText(next.text);
      setAt(-1);
      setCursor(next.cursor);
    });
    field.current?.focus();
    field.current?.setSelectionRange(next.cursor, next.cursor);
  };
  const follow = () => setCursor(field.current?.selectionStart ?? text.length);
  const pressed = (event: KeyboardEvent<HTMLInputElement>) => {
    const chosen = shown[at];
    if (event.key === 'ArrowDown' && !isOpen) setOpen(true);
    else if (event.key === 'ArrowDown' && shown.length > 0) setAt((at + 1) % shown.length);
    else if (event.key === 'ArrowUp' && shown.length > 0) setAt(at <= 0 ? shown.length - 1 : at - 1);
    else if (event.key === 'Escape' && shown.length > 0) setOpen(false);
    else if ((event.key === 'Enter' || event.key === 'Tab') && chosen !== undefined) take(chosen);
    else if (
      event.key === 'Tab' &&
      !event.shiftKey &&
      text !== '' &&
      shown[0] !== undefined &&
      found.from < cursor
    )
      take(shown[0]);
    else if (event.key === 'Enter') {
      setOpen(false);
      onSubmit(text);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div className="relative min-w-0 flex-1">
      <input
        ref={field}
        data-focus="slash"
        aria-label="Add a filter or words to search for"
        aria-autocomplete="list"
        aria-controls={shown.length > 0 ? id : undefined}
        aria-activedescendant={at >= 0 && shown[at] !== undefined ? `${id}-${at}` : undefined}
        autoComplete="off"
        spellCheck={false}
        className="h-7 w-full rounded border border-line bg-panel px-2 font-mono text-label"
        placeholder={placeholderOf(columns)}
        value={text}
        aria-invalid={isWrong}
        onChange={({ target }) => {
          onText(target.value);
          setCursor(target.selectionStart ?? target.value.length);
          setAt(-1);
          setOpen(true);
        }}
        onKeyDown={pressed}
        onSelect={follow}
        onFocus={follow}
        onBlur={() => setOpen(false)}
        onClick={() => {
          follow();
          setOpen(true);
        }}
      />
      {shown.length > 0 && (
        <div
          id={id}
          role="listbox"
          aria-label="Suggestions"
          className="absolute top-full left-0 z-40 mt-1 max-h-80 w-80 max-w-full overflow-auto rounded border border-line bg-panel py-1 font-mono text-label shadow-lg"
        >
          {shown.map((suggestion, index) => (
            <div
              key={suggestion.label}
              id={`${id}-${index}`}
              role="option"
              aria-selected={index === at}
              tabIndex={-1}
              className={cn(
                'flex cursor-pointer justify-between gap-4 px-2 py-0.5 hover:bg-hover',
                index === at && 'bg-hover',
              )}
              // Before the field loses the focus.
              onPointerDown={event => {
                event.preventDefault();
                take(suggestion);
              }}
            >
              <span className="truncate">{suggestion.label}</span>
              <span className="shrink-0 text-muted">{suggestion.detail}</span>
            </div>
          ))}
        </div>
      )}
    </div>
  );
}

/** A condition over columns that are there. */
function placeholderOf(columns: readonly CatalogColumn[]): string {
  const of = (...roles: string[]) => columns.find(({ role }) => roles.includes(role))?.name;
  const status = of('status');
  const text = of('key', 'text');
  const examples = [
    ...(status === undefined ? [] : [`${status} IN (500, 503)`]),
    ...(text === undefined ? [] : [`NOT ${text} ~ 'word'`]),
  ];
  const number = of('money', 'measure', 'duration');
  if (examples.length < 2 && number !== undefined) examples.push(`${number} >= 100`);
  return examples.length === 0
    ? 'words to search for, or a condition'
    : `words to search for, or a condition: ${examples.join(' AND ')}`;
}

interface MistakenProps {
  mistake: Mistake;
  onUse: (text: string) => void;
  onSearch: (text: string) => void;
}

export function Mistaken({ mistake, onUse, onSearch }: MistakenProps) {
  const { text, message, place, fix } = mistake;
  const characters = [...text];
  const [from, to] = place ?? [0, 0];
  const part = (start: number, end?: number) => characters.slice(start, end).join('');
  return (
    <div role="alert" className="flex w-full flex-wrap items-center gap-x-2 gap-y-1">
      {place !== null && (
        <code className="font-mono text-label whitespace-pre-wrap" data-mistake>
          {part(0, from)}
          <mark className="rounded-sm bg-transparent text-critical underline decoration-wavy underline-offset-4">
            {part(from, to) || ' '}
          </mark>
          {part(Math.max(from, to))}
        </code>
      )}
      <span className="text-critical">{/[.?!]$/.test(message) ? message : `${message}.`}</span>
      {fix !== null && (
        <Button className="h-6 font-mono text-label" onClick={() => onUse(fix)}>
          Use {fix}
        </Button>
      )}
      <Button kind="quiet" className="h-6" onClick={() => onSearch(text)}>
        Search for the text “{text}” instead
      </Button>
    </div>
  );
}
