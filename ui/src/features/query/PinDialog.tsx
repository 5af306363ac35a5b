/** Puts a query with its chart on a board. */
import { useId, useState } from 'react';
import { panelOf, useBoards, useChangeBoards } from '../../shared/boards';
import { useGo } from '../../shared/nav';
import type { ChartChoice } from '../../shared/result/choice';
import { Button } from '../../shared/ui/button';
import { Dialog } from '../../shared/ui/dialog';

const FIELD = 'h-8 w-full rounded border border-line bg-ground px-2';
const NEW = '';
const FIRST_NAME = 'My board';

interface PinDialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  statement: string;
  choice: ChartChoice;
}

export function PinDialog({ open, onClose, ...rest }: PinDialogProps) {
  return (
    <Dialog open={open} onClose={onClose} title="Pin to a board" className="w-[min(92vw,420px)]">
      {open && <Form {...rest} onClose={onClose} />}
    </Dialog>
  );
}

function Form({ onClose, title: given, statement, choice }: Omit<PinDialogProps, 'open'>) {
  const { data, error } = useBoards();
  const { save, problem } = useChangeBoards();
  const go = useGo();
  const id = useId();
  const [picked, setPicked] = useState<string | null>(null);
  const [name, setName] = useState(FIRST_NAME);
  const [title, setTitle] = useState(given);
  const [pinned, setPinned] = useState<string | null>(null);
  const boards = data?.boards ?? [];
  const board = picked ?? boards[0]?.name ?? NEW;
  const pin = async () => {
    const target = board === NEW ? name.trim() : board;
    const panels = boards.find(it => it.name === target)?.panels ?? [];
    const done = await save(target, [...panels, panelOf(title.trim(), statement, choice)]);
    if (done) setPinned(target);
  };
  if (error !== null) return <p role="alert">{error.message}</p>;
  if (pinned !== null)
    return (
      <div className="flex flex-col gap-3">
        <p role="status">
          Pinned to <b className="font-medium">{pinned}</b>.
        </p>
        <div className="flex gap-2">
          <Button kind="main" onClick={() => go({ board: pinned }, '/boards')}>
            Open the board
          </Button>
          <Button onClick={onClose}>Stay here</Button>
        </div>
      </div>
    );
  return (
    <form
      className="flex flex-col gap-3"
      onSubmit={event => {
        event.preventDefault();
        void pin();
      }}
    >
      <label htmlFor={`${id}-title`}>
        <span className="text-label text-muted">Title</span>
        <input
          id={`${id}-title`}
          className={FIELD}
          value={title}
          onChange={({ target }) => setTitle(target.value)}
        />
      </label>
      <label htmlFor={`${id}-board`}>
        <span className="text-label text-muted">Board</span>
        <select
          id={`${id}-board`}
          className={FIELD}
          value={board}
          onChange={({ target }) => setPicked(target.value)}
        >
          {boards.map(({ name }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
          <option value={NEW}>New board…</option>
        </select>
      </label>
      {board === NEW && (
        <label htmlFor={`${id}-name`}>
          <span className="text-label text-muted">Name of the new board</span>
          <input
            id={`${id}-name`}
            className={FIELD}
            value={name}
            onChange={({ target }) => setName(target.value)}
          />
        </label>
      )}
      {problem !== '' && (
        <p role="alert" className="text-critical">
          {problem}
        </p>
      )}
      <div className="flex gap-2">
        <Button
          type="submit"
          kind="main"
          disabled={title.trim() === '' || (board === NEW && name.trim() === '')}
        >
          Pin
        </Button>
        <Button onClick={onClose}>Cancel</Button>
      </div>
    </form>
  );
}
