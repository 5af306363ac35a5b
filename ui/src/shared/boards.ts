/** Boards as the server keeps them, for the page that shows them and for those that pin to them. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback, useState } from 'react';
import { answerOf, api } from '../api/client';
import type { Schemas } from '../api/wire';
import type { ChartChoice } from './result/choice';

export type Board = Schemas['NamedBoard'];
export type Panel = Schemas['BoardPanel'];

const KEY = ['boards'];

export function useBoards() {
  return useQuery({ queryKey: KEY, queryFn: () => answerOf(api.GET('/api/v1/boards')) });
}

/** Changes boards; what went wrong is told as a text. */
export function useChangeBoards(): {
  save: (name: string, panels: readonly Panel[]) => Promise<boolean>;
  remove: (name: string) => Promise<boolean>;
  problem: string;
} {
  const queries = useQueryClient();
  const [problem, setProblem] = useState('');
  const change = useCallback(
    async (asked: Promise<unknown>) => {
      try {
        await asked;
        setProblem('');
        return true;
      } catch (caught) {
        setProblem(caught instanceof Error ? caught.message : String(caught));
        return false;
      } finally {
        await queries.invalidateQueries({ queryKey: KEY });
      }
    },
    [queries],
  );
  const save = useCallback(
    (name: string, panels: readonly Panel[]) => {
      // Shown at once: what is dragged does not jump back until the server has answered.
      queries.setQueryData<Schemas['Boards']>(KEY, old =>
        old === undefined ? old : { ...old, boards: withBoard(old.boards, { name, panels: [...panels] }) },
      );
      return change(
        answerOf(
          api.PUT('/api/v1/boards/{board}', {
            params: { path: { board: name } },
            body: { panels: [...panels] },
          }),
        ),
      );
    },
    [queries, change],
  );
  const remove = useCallback(
    (name: string) =>
      change(answerOf(api.DELETE('/api/v1/boards/{board}', { params: { path: { board: name } } }))),
    [change],
  );
  return { save, remove, problem };
}

function withBoard(boards: readonly Board[], board: Board): Board[] {
  const known = boards.some(({ name }) => name === board.name);
  return known ? boards.map(it => (it.name === board.name ? board : it)) : [...boards, board];
}

/** A choice with all its parts, as a board has it. */
export function chosen(choice: ChartChoice): Panel['chart'] {
  return { ...choice, stacked: choice.stacked ?? false, log: choice.log ?? false };
}

export function panelOf(title: string, query: string, choice: ChartChoice): Panel {
  const [number = 0] = crypto.getRandomValues(new Uint32Array(1));
  return { id: number.toString(36), title, query, chart: chosen(choice), wide: false };
}

/** The panel put so many places further; where there is no such place, at the end. */
export function moved(panels: readonly Panel[], id: string, by: number): Panel[] {
  const at = panels.findIndex(panel => panel.id === id);
  const panel = panels[at];
  if (panel === undefined) return [...panels];
  const others = panels.filter(it => it !== panel);
  return others.toSpliced(Math.min(Math.max(at + by, 0), others.length), 0, panel);
}

/** The panel put in the place of another one. */
export function movedTo(panels: readonly Panel[], id: string, target: string): Panel[] {
  const [from, to] = [id, target].map(it => panels.findIndex(panel => panel.id === it)) as [number, number];
  return from < 0 || to < 0 ? [...panels] : moved(panels, id, to - from);
}
