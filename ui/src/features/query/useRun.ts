/**
 * Runs one query at a time; another run ends the one before, on the server too. Cancel asks the server to stop and takes the
 * rows it has so far; only a server that does not answer in time is left with nothing.
 */
import { useCallback, useEffect, useRef, useState } from 'react';
import { ApiError, askSql, endQuery } from '../../api/client';
import type { Schemas } from '../../api/wire';
import { remember } from './past';

export type Answer = Schemas['SqlAnswer'];

export type Run =
  | { status: 'idle' }
  | { status: 'running'; statement: string; from: number; began_ms: number }
  | { status: 'stopping'; statement: string; from: number; began_ms: number }
  /** Whole, up to the limit of rows, or, if it says so itself, partial. */
  | { status: 'done'; statement: string; from: number; answer: Answer }
  | { status: 'failed'; statement: string; from: number; error: ApiError }
  | { status: 'cancelled'; statement: string; from: number; after_ms: number };

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

export function useRun() {
  const [run, setRun] = useState<Run>({ status: 'idle' });
  const running = useRef<Running | null>(null);

  /** Without an answer. */
  const leave = useCallback(() => {
    const current = running.current;
    if (current === null) return;
    running.current = null;
    clearTimeout(current.patience);
    // The server ends a query whose asker has gone.
    current.asked.abort();
    setRun(before =>
      before.status === 'running' || before.status === 'stopping'
        ? {
            status: 'cancelled',
            statement: before.statement,
            from: before.from,
            after_ms: Date.now() - before.began_ms,
          }
        : before,
    );
  }, []);

  // Whoever leaves the page does not wait for the answer.
  useEffect(() => leave, [leave]);

  const cancel = useCallback(async () => {
    const current = running.current;
    if (current === null || current.patience !== undefined) return;
    current.patience = setTimeout(() => running.current === current && leave(), PARTIAL_WITHIN_MS);
    setRun(before => (before.status === 'running' ? { ...before, status: 'stopping' } : before));
    while (running.current === current && !(await endQuery(current.id)))
      await new Promise(resolve => setTimeout(resolve, END_AGAIN_MS));
  }, [leave]);

  const start = useCallback(
    async (statement: string, from: number) => {
      if (statement.trim() === '') return;
      leave();
      const mine: Running = { id: newId(), asked: new AbortController() };
      running.current = mine;
      const began_ms = Date.now();
      setRun({ status: 'running', statement, from, began_ms });
      try {
        const answer = await askSql(statement, { signal: mine.asked.signal, id: mine.id });
        if (running.current !== mine) return;
        if (!answer.partial)
          remember({
            query: statement,
            at_ms: began_ms,
            took_ms: answer.elapsed_ms,
            rows: answer.rows.length,
          });
        setRun({ status: 'done', statement, from, answer });
      } catch (caught) {
        if (running.current !== mine) return;
        const error =
          caught instanceof ApiError
            ? caught
            : new ApiError(
                { detail: 'the server cannot be reached', hint: 'run it again when the page is live' },
                0,
              );
        setRun({ status: 'failed', statement, from, error });
      }
      clearTimeout(mine.patience);
      running.current = null;
    },
    [leave],
  );
  return { run, start, cancel };
}

/** Not to be guessed by others, who could end the query. `randomUUID` is not there on a page without TLS. */
function newId(): string {
  const parts = crypto.getRandomValues(new Uint32Array(4));
  return `page-${[...parts].map(part => part.toString(36)).join('-')}`;
}
