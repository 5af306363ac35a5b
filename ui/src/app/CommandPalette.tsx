/**
 * Everything one can do, found by typing: pages, ranges, views, themes, freezing.
 */
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { answerOf, api } from '../api/client';
import { docsUrl } from '../shared/docs';
import { formatDate, formatSpan } from '../shared/format';
import { useNow, useStream } from '../shared/live';
import { useGo, useRange } from '../shared/nav';
import { RANGES, rangeWords, spanOf } from '../shared/search';
import { chooseTheme } from '../shared/theme';
import { readRange } from '../shared/timetext';
import { cn } from '../shared/ui/cn';
import { Dialog } from '../shared/ui/dialog';
import { chooseZone, useZone, zoneName } from '../shared/zone';
import { copyLink } from './links';
import { PAGES } from './pages';

interface Command {
  label: string;
  kind: string;
  run: () => void;
}

const SHOWN_MAX = 12;

export function CommandPalette({ open, onClose }: { open: boolean; onClose: () => void }) {
  return (
    <Dialog open={open} onClose={onClose} title="Command palette" className="top-[10vh]">
      {open && <Commands onClose={onClose} />}
    </Dialog>
  );
}

function Commands({ onClose }: { onClose: () => void }) {
  const all = useCommands();
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const typed = useTypedRange(text);
  const found = useMemo(() => {
    const known = search(all, text);
    return (typed === null ? known : [...known, typed]).slice(0, SHOWN_MAX);
  }, [all, text, typed]);
  const run = (command: Command | undefined) => {
    if (command === undefined) return;
    onClose();
    command.run();
  };
  return (
    <>
      <input
        // biome-ignore lint/a11y/noAutofocus: the palette was opened to type into it.
        autoFocus
        role="combobox"
        aria-expanded="true"
        aria-controls="commands"
        aria-label="Command"
        aria-activedescendant={found.length > 0 ? `command-${at}` : undefined}
        className="mb-2 h-9 w-full rounded border border-line bg-ground px-3 text-control"
        placeholder="logs, yesterday, 2024-05-12 14:00 .. 15:30, dark…"
        value={text}
        onChange={({ target }) => {
          setText(target.value);
          setAt(0);
        }}
        onKeyDown={event => {
          if (event.key === 'ArrowDown') setAt(Math.min(at + 1, found.length - 1));
          else if (event.key === 'ArrowUp') setAt(Math.max(at - 1, 0));
          else if (event.key === 'Enter') run(found[at]);
          else return;
          event.preventDefault();
        }}
      />
      <ul id="commands" role="listbox" aria-label="Commands">
        {found.map((command, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the field above has the keys.
          <li
            key={`${command.kind} ${command.label}`}
            id={`command-${index}`}
            role="option"
            aria-selected={index === at}
            className={cn(
              'flex cursor-pointer justify-between rounded px-3 py-1',
              index === at && 'bg-hover',
            )}
            onMouseMove={() => setAt(index)}
            onClick={() => run(command)}
          >
            {command.label}
            <span className="text-muted">{command.kind}</span>
          </li>
        ))}
      </ul>
      {found.length === 0 && <p className="px-3 text-muted">No results</p>}
    </>
  );
}

/** Any time or range that was typed, as a command. */
function useTypedRange(text: string): Command | null {
  const { choose } = useRange();
  const zone = useZone();
  const now_ms = useNow(60_000);
  return useMemo(() => {
    const read = readRange(text, { now_ms, zone });
    if (!read.ok || Object.keys(read.search).length === 0) return null;
    const { range } = read.search;
    const { from, to } = spanOf(read.search, now_ms, null);
    const label =
      range === undefined
        ? `${formatSpan(from, to, formatDate(now_ms))} ${zoneName(zone)}`
        : rangeWords(range);
    if (RANGES.some(known => known === range)) return null;
    return { label, kind: 'range', run: () => choose(read.search) };
  }, [text, choose, zone, now_ms]);
}

function useCommands(): Command[] {
  const go = useGo();
  const { choose, span } = useRange();
  const { from, to } = span;
  const { store, retryNow } = useStream();
  const { data } = useQuery({ queryKey: ['tables'], queryFn: () => answerOf(api.GET('/api/v1/tables')) });
  return useMemo(
    () => [
      ...PAGES.map(({ to, label }) => ({ label, kind: 'page', run: () => go({}, to) })),
      { label: 'Lake: tables, optimize, vacuum', kind: 'page', run: () => go({ tab: 'lake' }, '/pipeline') },
      ...RANGES.map(range => ({ label: rangeWords(range), kind: 'range', run: () => choose({ range }) })),
      { label: 'auto', kind: 'range', run: () => choose({}) },
      { label: 'Copy link', kind: 'do', run: () => void copyLink(null) },
      { label: 'Copy fixed link', kind: 'do', run: () => void copyLink({ from, to }) },
      {
        label: 'Documentation',
        kind: 'do',
        run: () => void window.open(docsUrl(), '_blank', 'noopener'),
      },
      { label: 'times in UTC', kind: 'zone', run: () => chooseZone('utc') },
      { label: 'local times', kind: 'zone', run: () => chooseZone('local') },
      {
        label: store.isFrozen() ? 'Resume' : 'Freeze all panels',
        kind: 'do',
        run: () => store.freeze(!store.isFrozen()),
      },
      { label: 'Reconnect', kind: 'do', run: retryNow },
      ...(['system', 'dark', 'light'] as const).map(theme => ({
        label: `${theme} theme`,
        kind: 'theme',
        run: () => chooseTheme(theme),
      })),
      ...(data?.tables ?? []).map(({ name, kind }) => ({
        label: name,
        kind,
        run: () => go({ q: `SELECT * FROM ${name} LIMIT 100` }, '/query'),
      })),
    ],
    [data, go, choose, from, to, store, retryNow],
  );
}

/** Commands that have all the words; those that begin with the text come first. */
function search(commands: readonly Command[], text: string): Command[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = commands.filter(({ label, kind }) =>
    words.every(word => `${label} ${kind}`.toLowerCase().includes(word)),
  );
  const begins = ({ label }: Command) => (label.toLowerCase().startsWith(text.toLowerCase()) ? 0 : 1);
  return fits.sort((a, b) => begins(a) - begins(b));
}
