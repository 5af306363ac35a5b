/** Boards of one's own: panels that were pinned, live or asked for again and again, in an order of one's own. */
import { useQuery } from '@tanstack/react-query';
import { Plus, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { answerOf, api } from '../../api/client';
import { type Board, moved, movedTo, type Panel, useBoards, useChangeBoards } from '../../shared/boards';
import { ChangeButton } from '../../shared/change';
import { DocLink } from '../../shared/docs';
import { useGo, useUrl } from '../../shared/nav';
import { sentence } from '../../shared/panel';
import { useMayChange, useWhyNot } from '../../shared/session';
import { Button } from '../../shared/ui/button';
import { Dialog } from '../../shared/ui/dialog';
import { BoardPanel } from './BoardPanel';

export function BoardsPage() {
  const { board: wanted } = useUrl();
  const go = useGo();
  const { data, error } = useBoards();
  const { save, remove, problem } = useChangeBoards();
  const mayChange = useMayChange();
  const [naming, setNaming] = useState(false);
  const [removing, setRemoving] = useState(false);
  if (error !== null) {
    const hint = 'hint' in error ? String(error.hint) : '';
    return (
      <div role="alert" className="p-4">
        <p>{sentence(error.message)}</p>
        {hint !== '' && <p className="text-muted">{sentence(hint)}</p>}
      </div>
    );
  }
  if (data === undefined) return <p className="skeleton p-4 text-muted">Loading boards…</p>;
  const { boards, skipped } = data;
  const board = wanted === undefined ? boards[0] : boards.find(({ name }) => name === wanted);
  return (
    <div className="flex flex-col gap-3 px-4 py-3">
      <div className="flex flex-wrap items-center gap-2">
        <nav aria-label="Boards" className="flex min-w-0 flex-wrap gap-1">
          {boards.map(({ name }) => (
            <Button
              key={name}
              kind={name === board?.name ? 'outline' : 'quiet'}
              aria-current={name === board?.name}
              onClick={() => go({ board: name })}
            >
              {name}
            </Button>
          ))}
        </nav>
        <ChangeButton onClick={() => setNaming(true)}>
          <Plus size={14} aria-hidden="true" /> New board
        </ChangeButton>
        {board !== undefined && (
          <ChangeButton kind="quiet" className="ml-auto" onClick={() => setRemoving(true)}>
            <Trash2 size={14} aria-hidden="true" /> Delete board
          </ChangeButton>
        )}
      </div>
      {problem !== '' && (
        <p role="alert" className="text-critical">
          {sentence(problem)}
        </p>
      )}
      {skipped.map(({ file, reason }) => (
        <p key={file} className="text-warn">
          {file} is not shown: {reason}.
        </p>
      ))}
      {board === undefined ? (
        <Missing wanted={wanted} />
      ) : (
        <Panels key={board.name} board={board} onChange={panels => void save(board.name, panels)} />
      )}
      <Dialog
        open={naming && mayChange}
        onClose={() => setNaming(false)}
        title="New board"
        className="w-[min(92vw,380px)]"
      >
        <NewBoard
          taken={boards.map(({ name }) => name)}
          problem={problem}
          onMake={async name => {
            if (!(await save(name, []))) return;
            setNaming(false);
            go({ board: name });
          }}
        />
      </Dialog>
      <Dialog
        open={removing && mayChange && board !== undefined}
        onClose={() => setRemoving(false)}
        title={`Delete the board ${board?.name}?`}
        className="w-[min(92vw,380px)]"
      >
        <p className="mb-3">Its panels ({board?.panels.length ?? 0}) go with it. Queries and data stay.</p>
        <div className="flex gap-2">
          <Button
            kind="main"
            onClick={async () => {
              if (board !== undefined) await remove(board.name);
              setRemoving(false);
              go({ board: undefined } as object);
            }}
          >
            Delete
          </Button>
          <Button onClick={() => setRemoving(false)}>Cancel</Button>
        </div>
      </Dialog>
    </div>
  );
}

function Missing({ wanted }: { wanted: string | undefined }) {
  const go = useGo();
  const whyNot = useWhyNot();
  return (
    <div className="flex flex-col items-start gap-2 py-6 text-muted">
      <p>
        {wanted === undefined
          ? 'No boards yet. A board has panels, each a query and how its answer is shown.'
          : `There is no board “${wanted}”.`}
      </p>
      {whyNot === null ? (
        <>
          <p>
            Run a query and use Pin to put it on a board. <DocLink chapter="sql">What queries can do</DocLink>
          </p>
          <Button kind="main" onClick={() => go({}, '/query')}>
            Go to Query
          </Button>
        </>
      ) : (
        <p>Pinning a query to a board makes one. {whyNot}</p>
      )}
    </div>
  );
}

interface NewBoardProps {
  taken: readonly string[];
  problem: string;
  onMake: (name: string) => void;
}

function NewBoard({ taken, problem, onMake }: NewBoardProps) {
  const [name, setName] = useState('');
  const isTaken = taken.includes(name.trim());
  return (
    <form
      className="flex flex-col gap-3"
      onSubmit={event => {
        event.preventDefault();
        onMake(name.trim());
      }}
    >
      <label>
        <span className="text-label text-muted">Name</span>
        <input
          className="h-8 w-full rounded border border-line bg-ground px-2"
          value={name}
          onChange={({ target }) => setName(target.value)}
        />
      </label>
      {(isTaken || problem !== '') && (
        <p role="alert" className="text-critical">
          {isTaken ? 'There is a board of this name already.' : sentence(problem)}
        </p>
      )}
      <span>
        <Button type="submit" kind="main" disabled={name.trim() === '' || isTaken}>
          Create
        </Button>
      </span>
    </form>
  );
}

function Panels({ board, onChange }: { board: Board; onChange: (panels: Panel[]) => void }) {
  const { data: catalog } = useQuery({
    queryKey: ['tables'],
    queryFn: () => answerOf(api.GET('/api/v1/tables')),
  });
  const [dragged, setDragged] = useState<string | null>(null);
  const [over, setOver] = useState<string | null>(null);
  const [said, setSaid] = useState('');
  const mayChange = useMayChange();
  const { panels } = board;
  if (panels.length === 0)
    return (
      <p className="py-6 text-muted">
        No panels yet.{mayChange && ' Run a query and use Pin to put it here.'}
      </p>
    );
  const move = (panel: Panel, by: number) => {
    const next = moved(panels, panel.id, by);
    onChange(next);
    setSaid(`${panel.title} is panel ${next.findIndex(({ id }) => id === panel.id) + 1} of ${next.length}`);
  };
  const end = () => {
    setDragged(null);
    setOver(null);
  };
  return (
    <>
      <p className="sr-only" role="status">
        {said}
      </p>
      <ul className="grid gap-3 md:grid-cols-2">
        {panels.map(panel => (
          <li
            key={panel.id}
            className={panel.wide ? 'min-w-0 md:col-span-2' : 'min-w-0'}
            onDragOver={event => {
              if (dragged === null) return;
              event.preventDefault();
              setOver(panel.id);
            }}
            onDrop={event => {
              event.preventDefault();
              if (dragged !== null && dragged !== panel.id) onChange(movedTo(panels, dragged, panel.id));
              end();
            }}
          >
            <BoardPanel
              panel={panel}
              catalog={catalog}
              isTarget={over === panel.id && dragged !== null && dragged !== panel.id}
              onDrag={dragging => (dragging ? setDragged(panel.id) : end())}
              onMove={by => move(panel, by)}
              onChange={change =>
                onChange(panels.map(it => (it.id === panel.id ? { ...it, ...change } : it)))
              }
              onRemove={() => onChange(panels.filter(it => it.id !== panel.id))}
            />
          </li>
        ))}
      </ul>
    </>
  );
}
