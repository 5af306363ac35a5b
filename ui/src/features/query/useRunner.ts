/**
 * Runs one query at a time for each tab; another run ends the one before, on the server too. Cancel asks the server to stop and
 * takes the rows it has so far; only a server that does not answer in time is left with nothing.
 */
import { useEffect, useMemo, useRef } from 'react';
import { ApiError, askSql, endQuery } from '../../api/client';
import type { Event } from './machine';
import { remember } from './past';

interface Running {
  id: string;
  asked: AbortController;
  /** Ends the wait for rows after a cancel. */
  patience?: ReturnType<typeof setTimeout>;
}

/** A cancelled query has so long to give the rows it has. */
const PARTIAL_WITHIN_MS = 5_000;
/** The server may not have heard of a query yet when it is cancelled. */
const END_AGAIN_MS = 100;

export interface Runner {
  start: (tab: string, statement: string, from: number) => Promise<void>;
  cancel: (tab: string) => Promise<void>;
  /** Without an answer. */
  leave: (tab: string) => void;
}

export function useRunner(send: (tab: string, event: Event) => void): Runner {
  const newest = useRef(send);
  newest.current = send;
  const runner = useMemo(() => runnerOf((tab, event) => newest.current(tab, event)), []);
  // Whoever leaves the page does not wait for answers.
  useEffect(() => runner.leaveAll, [runner]);
  return runner;
}

export function runnerOf(send: (tab: string, event: Event) => void): Runner & { leaveAll: () => void } {
  const all = new Map<string, Running>();

  const leave = (tab: string) => {
    const current = all.get(tab);
    if (current === undefined) return;
    all.delete(tab);
    clearTimeout(current.patience);
    // The server ends a query whose asker has gone.
    current.asked.abort();
    send(tab, { type: 'left', id: current.id, at_ms: Date.now() });
  };

  const cancel = async (tab: string) => {
    const current = all.get(tab);
    if (current === undefined || current.patience !== undefined) return;
    const isCurrent = () => all.get(tab) === current;
    current.patience = setTimeout(() => isCurrent() && leave(tab), PARTIAL_WITHIN_MS);
    send(tab, { type: 'stopping', id: current.id });
    while (isCurrent() && !(await endQuery(current.id)))
      await new Promise(resolve => setTimeout(resolve, END_AGAIN_MS));
  };

  const start = async (tab: string, statement: string, from: number) => {
    if (statement.trim() === '') return;
    leave(tab);
    const mine: Running = { id: newId(), asked: new AbortController() };
    const { id } = mine;
    all.set(tab, mine);
    const began_ms = Date.now();
    send(tab, { type: 'started', id, statement, from, at_ms: began_ms });
    try {
      const answer = await askSql(statement, { signal: mine.asked.signal, id });
      if (all.get(tab) !== mine) return;
      if (!answer.partial)
        remember({ query: statement, at_ms: began_ms, took_ms: answer.elapsed_ms, rows: answer.rows.length });
      send(tab, { type: 'answered', id, answer });
    } catch (caught) {
      if (all.get(tab) !== mine) return;
      const error =
        caught instanceof ApiError
          ? caught
          : new ApiError(
              { detail: 'the server cannot be reached', hint: 'Run it again when the page is live' },
              0,
            );
      const { message, hint, line, column, written, candidates } = error;
      send(tab, { type: 'refused', id, refusal: { message, hint, line, column, written, candidates } });
    }
    clearTimeout(mine.patience);
    all.delete(tab);
  };

  return { start, cancel, leave, leaveAll: () => [...all.keys()].forEach(leave) };
}

/** Not to be guessed by others, who could end the query. `randomUUID` is not there on a page without TLS. */
export function newId(): string {
  const parts = crypto.getRandomValues(new Uint32Array(4));
  return `page-${[...parts].map(part => part.toString(36)).join('-')}`;
}
