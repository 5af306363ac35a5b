/** Filters by name: to be applied, saved and removed. */
import { ChevronDown, X } from 'lucide-react';
import { useState } from 'react';
import { ChangeButton } from '../../shared/change';
import { useGo, useUrl } from '../../shared/nav';
import { useMayChange } from '../../shared/session';
import { Button } from '../../shared/ui/button';
import { Popover } from '../../shared/ui/popover';
import { useSavedFilters } from './savedFilters';

export function SavedMenu() {
  const { where } = useUrl();
  const go = useGo();
  const saved = useSavedFilters();
  const mayChange = useMayChange();
  const [isOpen, setOpen] = useState(false);
  const [name, setName] = useState('');
  if (saved === null || (saved.filters.length + saved.kept.length === 0 && where === undefined)) return null;
  return (
    <Popover
      label="Saved filters"
      className="flex w-80 flex-col gap-2"
      open={isOpen}
      onOpenChange={setOpen}
      trigger={
        <Button>
          Saved <ChevronDown size={14} aria-hidden="true" />
        </Button>
      }
    >
      <ul className="max-h-72 overflow-auto">
        {saved.filters.map(filter => (
          <li key={filter.name} className="flex items-center gap-1 rounded hover:bg-hover">
            <button
              type="button"
              className="min-w-0 flex-1 px-1 py-0.5 text-left"
              onClick={() => {
                go({ where: filter.where });
                setOpen(false);
              }}
            >
              {filter.name}
              <span className="block truncate font-mono text-label text-muted">{filter.where}</span>
            </button>
            {mayChange && (
              <Button
                kind="quiet"
                className="h-6"
                aria-label={`Remove the saved filter ${filter.name}`}
                onClick={() => void saved.remove(filter.name)}
              >
                <X size={14} aria-hidden="true" />
              </Button>
            )}
          </li>
        ))}
        {saved.filters.length === 0 && <li className="px-1 text-muted">No saved filters.</li>}
      </ul>
      {saved.kept.length > 0 && (
        <div className="flex flex-wrap items-center gap-2 border-line border-t pt-2">
          <span className="basis-full text-muted">
            {saved.kept.length === 1 ? 'One filter is' : `${saved.kept.length} filters are`} kept in this
            browser only: {saved.kept.map(it => it.name).join(', ')}
          </span>
          <ChangeButton onClick={() => void saved.move()}>Move to the server</ChangeButton>
          <Button kind="quiet" onClick={saved.forget}>
            Forget
          </Button>
        </div>
      )}
      {saved.problem !== '' && (
        <p role="alert" className="text-critical">
          {saved.problem}
        </p>
      )}
      {where !== undefined && (
        <form
          className="flex gap-2"
          onSubmit={event => {
            event.preventDefault();
            if (name.trim() === '') return;
            void saved.save({ name: name.trim(), where }).then(isSaved => isSaved && setName(''));
          }}
        >
          {mayChange && (
            <input
              aria-label="Name of the filter"
              placeholder="Save this filter as…"
              className="h-7 min-w-0 flex-1 rounded border border-line bg-panel px-2 text-label"
              value={name}
              maxLength={80}
              onChange={({ target }) => setName(target.value)}
            />
          )}
          <ChangeButton type="submit" disabled={name.trim() === ''}>
            {mayChange ? 'Save' : 'Save this filter'}
          </ChangeButton>
        </form>
      )}
    </Popover>
  );
}
