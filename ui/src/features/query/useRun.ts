/** Runs one query at a time; another run or Cancel ends the one before, on the server too. */
import { useCallback, useEffect, useRef, useState } from 'react';
import { ApiError, askSql } from '../../api/client';
import type { Schemas } from '../../api/wire';
import { remember } from './past';

export type Answer = Schemas['SqlAnswer'];

export type Run =
  | { status: 'idle' }
  | { status: 'running'; statement: string; from: number; began_ms: number }
  | { status: 'done'; statement: string; from: number; answer: Answer }
  | { status: 'failed'; statement: string; from: number; error: ApiError }
  | { status: 'cancelled'; statement: string; from: number; after_ms: number };

export function useRun() {
  const [run, setRun] = useState<Run>({ status: 'idle' });
  const running = useRef<AbortController | null>(null);

  const cancel = useCallback(() => {
    const current = running.current;
    if (current === null) return;
    running.current = null;
    // The server ends a query whose asker has gone.
    current.abort();
    setRun(before =>
      before.status === 'running'
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
  useEffect(() => cancel, [cancel]);

  const start = useCallback(
    async (statement: string, from: number) => {
      if (statement.trim() === '') return;
      cancel();
      const mine = new AbortController();
      running.current = mine;
      const began_ms = Date.now();
      setRun({ status: 'running', statement, from, began_ms });
      try {
        const answer = await askSql(statement, mine.signal);
        if (running.current !== mine) return;
        remember({ query: statement, at_ms: began_ms, took_ms: answer.elapsed_ms, rows: answer.rows.length });
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
      running.current = null;
    },
    [cancel],
  );
  return { run, start, cancel };
}
