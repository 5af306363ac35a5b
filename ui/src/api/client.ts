/**
 * Asks the API. What goes wrong becomes an `ApiError` that says what happened and what to do about it.
 */
import createClient from 'openapi-fetch';
import type { paths } from './schema';
import type { Schemas } from './wire';

/** The folder the page lies in, which is also where the API is. All pages of it have one-part addresses. */
export const BASE = new URL('.', document.baseURI).href;

export class ApiError extends Error {
  readonly code: string;
  readonly hint: string;
  readonly line: number | null;
  readonly column: number | null;
  /** Place in a filter that was refused, in characters, and the filter as it was probably meant. */
  readonly place: readonly [from: number, to: number] | null;
  readonly fix: string | null;
  /** The name in a statement that is not there, and what may be meant. */
  readonly written: string | null;
  readonly candidates: readonly string[];

  constructor(problem: Partial<Schemas['ProblemBody']>, status: number) {
    super(problem.detail ?? problem.title ?? `the server answered HTTP ${status}`);
    this.code = problem.code ?? '';
    this.hint = problem.hint ?? '';
    this.line = problem.line ?? null;
    this.column = problem.column ?? null;
    this.place = problem.from == null || problem.to == null ? null : [problem.from, problem.to];
    this.fix = problem.fix ?? null;
    this.written = problem.written ?? null;
    this.candidates = problem.candidates ?? [];
  }
}

const signedOut = new Set<() => void>();

/** Calls whenever a request is refused because nobody is signed in, or one whose role is too low; returns how to end that. */
export function onSignedOut(call: () => void): () => void {
  signedOut.add(call);
  return () => signedOut.delete(call);
}

/** Tell those who want to know that what the page knows of its user is over. */
export function tellSignedOut(): void {
  for (const call of signedOut) call();
}

/** An answer, after those who want to know were told if it is for another user than the page knows. */
function noted(response: Response, url: string): Response {
  const isSigningIn = url.endsWith('/api/v1/session');
  if ((response.status === 401 || response.status === 403) && !isSigningIn) tellSignedOut();
  return response;
}

const client = createClient<paths>({
  baseUrl: BASE.replace(/\/$/, ''),
  // Whatever `fetch` is when it is asked, as for all other requests.
  fetch: async request => noted(await fetch(request), request.url),
});

/** The body of an answer, or an `ApiError`. */
export async function answerOf<Data>(
  asked: Promise<{ data?: Data; error?: unknown; response: Response }>,
): Promise<Data> {
  let got: { data?: Data; error?: unknown; response: Response };
  try {
    got = await asked;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(
      { detail: 'the server cannot be reached', hint: 'check that it is running, and its log' },
      0,
    );
  }
  if (got.response.ok) return got.data as Data;
  throw new ApiError((got.error ?? {}) as Partial<Schemas['ProblemBody']>, got.response.status);
}

export const api = client;

/**
 * Rows for a statement. The server ends a query whose asker has gone, so the signal cancels it there too; who gave it an id
 * can end it and have the rows it has so far.
 */
export async function askSql(
  query: string,
  { signal, id }: { signal?: AbortSignal; id?: string } = {},
): Promise<Schemas['SqlAnswer']> {
  const url = `${BASE}api/v1/sql`;
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(id === undefined ? {} : { 'x-query-id': id }) },
    body: JSON.stringify({ query }),
    signal: signal ?? null,
  });
  const response = noted(answer, url);
  const body = exactly(await response.text());
  if (!response.ok) throw new ApiError(body as object, response.status);
  return body as Schemas['SqlAnswer'];
}

/** JSON whose whole numbers are what they are: those that no number of a script can hold are texts of their digits. */
export function exactly(text: string): unknown {
  const quoted = (token: string) =>
    token.startsWith('"') || Number.isSafeInteger(Number(token)) ? token : `"${token}"`;
  const safe = /\d{16}/.test(text)
    ? text.replace(/"(?:[^"\\]|\\.)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g, quoted)
    : text;
  try {
    return JSON.parse(safe);
  } catch {
    return {};
  }
}

/** End a running query, which then answers with the rows it has so far. Tells whether there was one. */
export async function endQuery(id: string): Promise<boolean> {
  const response = await fetch(`${BASE}api/v1/queries/${id}`, { method: 'DELETE' }).catch(() => null);
  return response?.ok ?? false;
}

/** Have the server read a filter; an `ApiError` says what is wrong with it. */
export async function checkFilter(where: string, signal?: AbortSignal): Promise<true> {
  // Over a moment, so that a good one costs nothing.
  const query = { where, from: '0', to: '1', limit: '1' };
  await answerOf(api.GET('/api/v1/logs', { params: { query }, ...(signal && { signal }) }));
  return true;
}

export type Format = 'csv' | 'jsonl' | 'arrow' | 'parquet';

export const CONTENT_TYPES: Record<Format, string> = {
  csv: 'text/csv',
  jsonl: 'application/x-ndjson',
  arrow: 'application/vnd.apache.arrow.stream',
  parquet: 'application/vnd.apache.parquet',
};

/** Have the server write a file, and hand it to the person. Tells whether rows were left out. */
export async function download(query: string, format: Format, name: string): Promise<boolean> {
  const url = `${BASE}api/v1/sql`;
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: CONTENT_TYPES[format] },
    body: JSON.stringify({ query }),
  });
  const response = noted(answer, url);
  if (!response.ok) throw new ApiError(await response.json().catch(() => ({})), response.status);
  handOver(await response.blob(), `${name}.${format}`);
  return response.headers.get('tidelake-truncated') === 'true';
}

/** Give the person a file. */
export function handOver(content: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** The same request for a shell. */
export function asCurl(query: string, format: Format | 'json'): string {
  const accept = format === 'json' ? 'application/json' : CONTENT_TYPES[format];
  const body = JSON.stringify({ query }).replaceAll("'", "'\\''");
  return `curl -s ${BASE}api/v1/sql -H 'content-type: application/json' -H 'accept: ${accept}' -d '${body}'`;
}
