/** Runs one query at a time; another run or Cancel ends the one before, on the server too. */
import { useCallback, useRef, useState } from 'react';
import { ApiError, BASE } from '../../api/client';
import type { Schemas } from '../../api/wire';
import { remember } from './past';

export type Answer = Schemas['SqlAnswer'];

export type Run =
  | { status: 'idle' }
  | { status: 'running'; statement: string; from: number; began_ms: number }
  | { status: 'done'; statement: string; from: number; answer: Answer }
  | { status: 'failed'; statement: string; from: number; error: ApiError }
  | { status: 'cancelled'; statement: string; from: number };

export async function ask(query: string, id: string, signal?: AbortSignal): Promise<Answer> {
  const response = await fetch(`${BASE}api/v1/sql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-query-id': id },
    body: JSON.stringify({ query }),
    signal: signal ?? null,
  });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(body, response.status);
  return body as Answer;
}

export function useRun() {
  const [run, setRun] = useState<Run>({ status: 'idle' });
  const running = useRef<{ id: string; controller: AbortController } | null>(null);

  const cancel = useCallback(() => {
    const current = running.current;
    if (current === null) return;
    running.current = null;
    current.controller.abort();
    void fetch(`${BASE}api/v1/queries/${current.id}`, { method: 'DELETE' }).catch(() => {});
    setRun(before => (before.status === 'running' ? { ...before, status: 'cancelled' } : before));
  }, []);

  const start = useCallback(
    async (statement: string, from: number) => {
      if (statement.trim() === '') return;
      cancel();
      const mine = { id: queryId(), controller: new AbortController() };
      running.current = mine;
      const began_ms = Date.now();
      setRun({ status: 'running', statement, from, began_ms });
      try {
        const answer = await ask(statement, mine.id, mine.controller.signal);
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

function queryId(): string {
  return `page-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`;
}
