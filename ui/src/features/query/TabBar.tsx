/** The tabs of the page: chosen, named, closed and put in another order, by mouse and by keys. */
import { Plus, X } from 'lucide-react';
import { useState } from 'react';
import { cn } from '../../shared/ui/cn';
import { type QueryTab, type Tabs, type TabsEvent, titleOf } from './tabs';

interface TabBarProps {
  all: Tabs;
  send: (event: TabsEvent) => void;
  onOpen: () => void;
  onClose: (id: string) => void;
}

export function TabBar({ all, send, onOpen, onClose }: TabBarProps) {
  const [naming, setNaming] = useState<string | null>(null);
  const [dragged, setDragged] = useState<string | null>(null);
  const { tabs, active } = all;
  const move = (id: string, by: number) => {
    const at = tabs.findIndex(it => it.id === id);
    const others = tabs.filter(it => it.id !== id);
    send({ type: 'moved', id, before: others[Math.max(0, at + by)]?.id ?? null });
  };
  return (
    <nav aria-label="Query tabs" className="flex min-w-0 items-center gap-1">
      <ul className="flex min-w-0 overflow-x-auto">
        {tabs.map(tab => (
          <li
            key={tab.id}
            className={cn(
              'group flex shrink-0 items-center border-b-2 border-transparent',
              tab.id === active ? 'border-accent' : 'text-muted',
              dragged !== null && dragged !== tab.id && 'hover:bg-hover',
            )}
            draggable={naming !== tab.id}
            onDragStart={event => {
              event.dataTransfer.effectAllowed = 'move';
              setDragged(tab.id);
            }}
            onDragEnd={() => setDragged(null)}
            onDragOver={event => dragged !== null && event.preventDefault()}
            onDrop={event => {
              event.preventDefault();
              if (dragged === null || dragged === tab.id) return;
              const [from, to] = [dragged, tab.id].map(id => tabs.findIndex(it => it.id === id)) as [
                number,
                number,
              ];
              move(dragged, to - from);
              setDragged(null);
            }}
          >
            {naming === tab.id ? (
              <Name
                tab={tab}
                onDone={name => {
                  setNaming(null);
                  if (name !== null) send({ type: 'named', id: tab.id, name });
                }}
              />
            ) : (
              <button
                type="button"
                className="max-w-52 truncate py-1.5 pr-1 pl-3 hover:text-text"
                aria-current={tab.id === active}
                title="F2 or double click: name it. Alt + arrow keys: move it. Delete: close it"
                onClick={() => send({ type: 'chosen', id: tab.id })}
                onDoubleClick={() => setNaming(tab.id)}
                onKeyDown={event => {
                  if (event.key === 'F2') setNaming(tab.id);
                  else if (event.altKey && event.key === 'ArrowLeft') move(tab.id, -1);
                  else if (event.altKey && event.key === 'ArrowRight') move(tab.id, 1);
                  else if (event.key === 'Delete') onClose(tab.id);
                  else return;
                  event.preventDefault();
                }}
              >
                {titleOf(tab)}
                {(tab.state.run.status === 'running' || tab.state.run.status === 'stopping') && ' …'}
              </button>
            )}
            <button
              type="button"
              className={cn(
                'mr-1 inline-flex size-6 items-center justify-center rounded text-muted hover:bg-hover hover:text-text focus-visible:opacity-100',
                tab.id !== active && 'opacity-0 group-hover:opacity-100 pointer-coarse:opacity-100',
              )}
              aria-label={`Close ${titleOf(tab)}`}
              onClick={() => onClose(tab.id)}
            >
              <X size={13} aria-hidden="true" />
            </button>
          </li>
        ))}
      </ul>
      <button
        type="button"
        className="inline-flex size-6 shrink-0 items-center justify-center rounded text-muted hover:bg-hover hover:text-text"
        aria-label="New tab"
        title="New tab"
        onClick={onOpen}
      >
        <Plus size={15} aria-hidden="true" />
      </button>
    </nav>
  );
}

function Name({ tab, onDone }: { tab: QueryTab; onDone: (name: string | null) => void }) {
  const [name, setName] = useState(tab.name ?? titleOf(tab));
  return (
    <input
      // biome-ignore lint/a11y/noAutofocus: it was opened to type into it.
      autoFocus
      aria-label="Name of the tab"
      className="mx-1 h-6 w-40 rounded border border-line bg-ground px-1"
      value={name}
      onFocus={({ target }) => target.select()}
      onChange={({ target }) => setName(target.value)}
      onBlur={() => onDone(name)}
      onKeyDown={event => {
        if (event.key === 'Enter') onDone(name);
        else if (event.key === 'Escape') onDone(null);
        else return;
        event.preventDefault();
        event.stopPropagation();
      }}
    />
  );
}
