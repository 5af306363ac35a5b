/**
 * Which times are looked at: a list of ranges, a field that takes any as text, one step back or forward, and further out.
 */
import { ChevronLeft, ChevronRight, Undo2, ZoomOut } from 'lucide-react';
import { type ReactNode, useId, useState } from 'react';
import { formatDate, formatDateTime, formatLength, formatNear, formatSpan } from '../shared/format';
import { useMedia, useNow } from '../shared/live';
import { type RangeControl, useExtent, useRange, useUrl } from '../shared/nav';
import { RANGES, type RangeSearch, rangeWords, type Search, spanOf } from '../shared/search';
import { readRange } from '../shared/timetext';
import { Button } from '../shared/ui/button';
import { cn } from '../shared/ui/cn';
import { Popover } from '../shared/ui/popover';
import { Tooltip } from '../shared/ui/tooltip';
import { useZone, zoneName } from '../shared/zone';
import { ZoneChoice } from './ZoneSwitch';

export function RangePicker() {
  const control = useRange();
  const { span, isFixed, shift, zoomOut, undo, choose } = control;
  const wide = useMedia('(min-width: 1000px)');
  const zone = zoneName(useZone());
  const today = formatDate(useNow(1_000));
  const { from: since } = useUrl();
  const step = formatLength(span.to - span.from);
  return (
    <span className="flex min-w-0 flex-wrap items-center gap-x-2 gap-y-1">
      <span className="flex min-w-0 items-center">
        <Tool label={`Back by ${step}`} keys="Left arrow" onClick={() => shift(-1)}>
          <ChevronLeft size={16} aria-hidden="true" />
        </Tool>
        <Chooser control={control} />
        <Tool
          label={span.fixed ? `Forward by ${step}` : 'Forward: this range is the newest'}
          keys="Right arrow"
          disabled={!span.fixed}
          onClick={() => shift(1)}
        >
          <ChevronRight size={16} aria-hidden="true" />
        </Tool>
        <Tool label="Zoom out to twice the range" keys="-" onClick={zoomOut}>
          <ZoomOut size={14} aria-hidden="true" />
        </Tool>
        <Tool
          label={undo === null ? 'Undo: the range has not changed' : 'Undo the last change of the range'}
          keys="Backspace"
          disabled={undo === null}
          onClick={() => undo?.()}
        >
          <Undo2 size={14} aria-hidden="true" />
        </Tool>
      </span>
      {wide && !span.fixed && since === undefined && (
        <span className="text-muted" data-range>
          {formatSpan(span.from, span.to, today)} {zone}
        </span>
      )}
      {isFixed && (
        <Button className="h-6" onClick={() => choose({})}>
          Back to live
        </Button>
      )}
    </span>
  );
}

interface ToolProps {
  label: string;
  keys: string;
  disabled?: boolean;
  onClick: () => void;
  children: ReactNode;
}

/** A button without a word. One that can do nothing now still says what it is for. */
function Tool({ label, keys, disabled = false, onClick, children }: ToolProps) {
  return (
    <Tooltip text={`${label} (${keys})`}>
      <Button
        kind="quiet"
        className="h-6 justify-center px-1"
        aria-label={label}
        aria-disabled={disabled}
        onClick={() => !disabled && onClick()}
      >
        {children}
      </Button>
    </Tooltip>
  );
}

function Chooser({ control }: { control: RangeControl }) {
  const [open, setOpen] = useState(false);
  const search = useUrl();
  const today = formatDate(useNow(60_000));
  const zone = zoneName(useZone());
  const { span } = control;
  const name = nameOf(search, control, today);
  const hasTimes = span.fixed || search.from !== undefined;
  return (
    <Popover
      label="Time range"
      open={open}
      onOpenChange={setOpen}
      className="w-[min(96vw,430px)]"
      trigger={
        <Button
          className="h-auto min-w-0 text-left max-md:whitespace-normal md:h-6"
          aria-label={`Time range: ${name}${hasTimes ? ` ${zone}` : ''}`}
          data-range-button
        >
          {name}
          {hasTimes && <span className="text-muted"> {zone}</span>}
        </Button>
      }
    >
      {open && (
        <Choices
          control={control}
          onChoose={range => {
            setOpen(false);
            control.choose(range);
          }}
        />
      )}
    </Popover>
  );
}

/** What the range is called. */
function nameOf({ range, from, to }: Search, { span }: RangeControl, today: string): string {
  if (from !== undefined && to === undefined)
    return `since ${formatNear(span.from, today).replace(/:00$/, '')}`;
  if (span.fixed) {
    const name = to !== undefined ? '' : range === 'all' ? 'all data: ' : 'newest data: ';
    return `${name}${formatSpan(span.from, span.to, today)}`;
  }
  if (range !== undefined) return rangeWords(range);
  return span.range === null ? 'auto' : `auto · ${rangeWords(span.range)}`;
}

/** Ranges by name, as they would be typed. */
const NAMED = ['today', 'yesterday', 'last week'] as const;

interface ChoicesProps {
  control: RangeControl;
  onChoose: (range: RangeSearch) => void;
}

function Choices({ control: { span }, onChoose }: ChoicesProps) {
  const search = useUrl();
  const zone = useZone();
  const now_ms = useNow(1_000);
  const extent = useExtent();
  const id = useId();
  const hasPointer = useMedia('(pointer: fine)');
  const both = (from_ms: number, to_ms: number) => [formatDateTime(from_ms), formatDateTime(to_ms)] as const;
  const [[from, to], setEnds] = useState(() => both(span.from, span.to));
  const [line, setLine] = useState('');
  const reading = { now_ms, zone, oldest_ms: extent?.from ?? null };
  const isTyped = line.trim() !== '';
  const read = readRange(line, reading);
  const found = read.ok && isTyped ? spanOf(read.search, now_ms, extent) : null;
  const type = (text: string) => {
    setLine(text);
    const next = readRange(text, reading);
    if (!next.ok || text.trim() === '') return;
    const { from, to } = spanOf(next.search, now_ms, extent);
    setEnds(both(from, to));
  };
  const typeEnds = (from: string, to: string) => {
    setEnds([from, to]);
    setLine(`${from} .. ${to}`);
  };
  const byName = (text: string) => {
    const named = readRange(text, reading);
    if (named.ok) onChoose(named.search);
  };
  const isOn = (range: string | undefined) => search.from === undefined && search.range === range;
  const field = 'h-8 min-w-0 rounded border border-line bg-ground px-2 text-text';
  return (
    <div className="flex flex-col gap-3 text-body">
      <div role="group" aria-label="Ranges" className="grid grid-cols-3 gap-1 sm:grid-cols-4">
        <Choice label="auto" isOn={isOn(undefined)} onClick={() => onChoose({})} />
        {RANGES.map(range => (
          <Choice
            key={range}
            label={rangeWords(range)}
            isOn={isOn(range)}
            onClick={() => onChoose({ range })}
          />
        ))}
        {NAMED.map(text => (
          <Choice key={text} label={text} isOn={false} onClick={() => byName(text)} />
        ))}
      </div>
      <form
        className="flex flex-col gap-2"
        onSubmit={event => {
          event.preventDefault();
          if (read.ok && isTyped) onChoose(read.search);
        }}
      >
        <label className="flex flex-col gap-1">
          <span className="text-label text-muted">Any range, as text</span>
          <input
            // biome-ignore lint/a11y/noAutofocus: the range was opened to change it; a finger would bring up the keyboard.
            autoFocus={hasPointer}
            className={cn(field, !read.ok && 'border-critical')}
            placeholder="10m · yesterday · 2024-05-12 14:00 .. 15:30"
            spellCheck={false}
            autoComplete="off"
            aria-invalid={!read.ok}
            aria-describedby={`${id}-read`}
            value={line}
            onChange={({ target }) => type(target.value)}
          />
        </label>
        <div className="grid grid-cols-2 gap-2">
          <label className="flex min-w-0 flex-col gap-1">
            <span className="text-label text-muted">From, {zoneName(zone)}</span>
            <input
              className={field}
              spellCheck={false}
              autoComplete="off"
              value={from}
              onChange={({ target }) => typeEnds(target.value, to)}
            />
          </label>
          <label className="flex min-w-0 flex-col gap-1">
            <span className="text-label text-muted">To, {zoneName(zone)}</span>
            <input
              className={field}
              spellCheck={false}
              autoComplete="off"
              value={to}
              onChange={({ target }) => typeEnds(from, target.value)}
            />
          </label>
        </div>
        <div className="flex items-center gap-2">
          <p
            id={`${id}-read`}
            role="status"
            className={cn('min-w-0 flex-1 text-label', !read.ok && 'text-critical')}
          >
            {!read.ok ? (
              `${read.error} ${read.hint}`
            ) : found === null ? (
              <span className="text-muted">Enter applies it.</span>
            ) : (
              <>
                {formatSpan(found.from, found.to, formatDate(now_ms))} {zoneName(zone)} ·{' '}
                {formatLength(found.to - found.from)}
                {!found.fixed && ', live'}
              </>
            )}
          </p>
          <Button type="submit" kind="main" disabled={!read.ok || !isTyped}>
            Apply
          </Button>
        </div>
      </form>
      <ZoneChoice />
    </div>
  );
}

function Choice({ label, isOn, onClick }: { label: string; isOn: boolean; onClick: () => void }) {
  return (
    <Button kind="outline" className="justify-center px-1" aria-pressed={isOn} onClick={onClick}>
      {label}
    </Button>
  );
}
