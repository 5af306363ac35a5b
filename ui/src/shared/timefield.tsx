/** A field for a time as text, in the zone of the page. What cannot be read stays as it was typed, and says why. */
import { useEffect, useId, useState } from 'react';
import { formatDateTime } from './format';
import { useNow } from './live';
import { readTime } from './timetext';
import { cn } from './ui/cn';
import { useZone } from './zone';

interface TimeFieldProps {
  label: string;
  /** In milliseconds. */
  value: number;
  onChange: (ms: number) => void;
  className?: string;
}

export function TimeField({ label, value, onChange, className }: TimeFieldProps) {
  const zone = useZone();
  const now_ms = useNow(60_000);
  const shown = formatDateTime(value).replace(/:00$/, '');
  const [text, setText] = useState(shown);
  const [refused, setRefused] = useState<string | null>(null);
  const id = useId();
  useEffect(() => {
    setText(shown);
    setRefused(null);
  }, [shown]);
  const take = () => {
    if (text === shown) return setRefused(null);
    const read = readTime(text, { now_ms, zone });
    if (!read.ok) return setRefused(`${read.error} ${read.hint}`);
    setRefused(null);
    setText(shown);
    onChange(read.ms);
  };
  return (
    <span className="inline-flex flex-wrap items-center gap-1">
      <label htmlFor={id} className="text-muted">
        {label}
      </label>
      <input
        id={id}
        className={cn(
          'h-6 w-36 rounded border border-line bg-ground px-1 text-text',
          refused !== null && 'border-critical',
          className,
        )}
        spellCheck={false}
        autoComplete="off"
        value={text}
        aria-invalid={refused !== null}
        aria-describedby={refused === null ? undefined : `${id}-refused`}
        onChange={({ target }) => setText(target.value)}
        onBlur={take}
        onKeyDown={event => {
          if (event.key === 'Enter') take();
          else if (event.key === 'Escape' && text !== shown) {
            setText(shown);
            setRefused(null);
          } else return;
          event.preventDefault();
        }}
      />
      {refused !== null && (
        <span id={`${id}-refused`} role="alert" className="text-critical">
          {refused}
        </span>
      )}
    </span>
  );
}
