/**
 * Everything one can do, found by typing: pages, ranges, views, themes, freezing.
 */
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { answerOf, api } from '../api/client';
import { useStream } from '../shared/live';
import { useGo } from '../shared/nav';
import { RANGE_WORDS, RANGES } from '../shared/search';
import { chooseTheme } from '../shared/theme';
import { cn } from '../shared/ui/cn';
import { Dialog } from '../shared/ui/dialog';
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
  const found = useMemo(() => search(all, text).slice(0, SHOWN_MAX), [all, text]);
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
        placeholder="logs, last 24 h, top_endpoints, dark…"
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

function useCommands(): Command[] {
  const go = useGo();
  const { store, retryNow } = useStream();
  const { data } = useQuery({ queryKey: ['tables'], queryFn: () => answerOf(api.GET('/api/v1/tables')) });
  return useMemo(
    () => [
      ...PAGES.map(({ to, label }) => ({ label, kind: 'page', run: () => go({}, to) })),
      ...RANGES.map(range => ({
        label: RANGE_WORDS[range],
        kind: 'range',
        run: () => go({ range, from: undefined, to: undefined } as object),
      })),
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
      { label: 'Server errors in the log', kind: 'log', run: () => go({ where: 'status >= 500' }, '/logs') },
      ...(data?.tables ?? []).map(({ name, kind }) => ({
        label: name,
        kind,
        run: () => go({ q: `SELECT * FROM ${name} LIMIT 100` }, '/query'),
      })),
    ],
    [data, go, store, retryNow],
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
