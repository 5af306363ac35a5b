/** Facts of the pipeline as a few words each. Pure functions; the components only draw. */
import type { Pipeline, Schemas } from '../../api/wire';
import { formatAge, formatNumber, formatRate, quantifyBytes } from '../../shared/format';

/** A part that is folded while all is well. */
export interface Summary {
  well: boolean;
  text: string;
}

/** A thread busier than this is at its limit. */
export const BUSY_LIMIT = 0.85;
/** Workers that do so many times the mean load hold the others up. */
const SKEW_LIMIT = 2;
/** Lag that is gone within a moment is the ordinary way from one look to the next. */
const LAG_SECONDS = 5;

export function partitionsSummary(sources: readonly Schemas['SourceReport'][]): Summary {
  const all = sources.flatMap(({ partitions }) => partitions);
  if (all.length === 0) return { well: true, text: 'no partitions known yet' };
  const behind = all.filter(({ lag, lag_seconds }) => (lag ?? 0) > 0 && (lag_seconds ?? 0) > LAG_SECONDS);
  const unknown = all.filter(({ lag }) => lag == null).length;
  const texts = [`${formatNumber(all.length)} ${all.length === 1 ? 'partition' : 'partitions'}`];
  if (behind.length > 0) {
    const lags = behind.map(({ lag_seconds }) => lag_seconds ?? 0);
    texts.push(`${formatNumber(behind.length)} behind by up to ${formatAge(1000 * Math.max(...lags))}`);
  } else if (unknown === 0) texts.push('all caught up');
  if (unknown > 0) texts.push(`the end of ${formatNumber(unknown)} is not known yet`);
  return { well: behind.length === 0, text: texts.join(', ') };
}

export interface Load {
  name: string;
  busy: number;
  /** How many threads it stands for. */
  threads: number;
}

/** Workers and readers one by one; the threads that serve queries, and all others, as one line each. */
export function loadsOf(threads: readonly Schemas['ThreadReport'][]): Load[] {
  const single = threads.filter(({ role }) => role === 'worker' || role === 'reader');
  const pooled = (role: string, name: string): Load[] => {
    const all = threads.filter(thread => thread.role === role);
    const busy = all.reduce((sum, thread) => sum + thread.busy, 0);
    return all.length === 0 ? [] : [{ name, busy, threads: all.length }];
  };
  const order = ['worker', 'reader'];
  return [
    ...[...single]
      .sort((a, b) => order.indexOf(a.role) - order.indexOf(b.role) || b.busy - a.busy)
      .map(({ name, busy }) => ({ name, busy, threads: 1 })),
    ...pooled('query', 'queries'),
    ...pooled('other', 'other threads'),
  ];
}

/** How many times the mean load the busiest worker does; `null` with one worker, or while all are idle. */
export function skewOf(threads: readonly Schemas['ThreadReport'][]): number | null {
  const workers = threads.filter(({ role }) => role === 'worker').map(({ busy }) => busy);
  const mean = workers.reduce((sum, busy) => sum + busy, 0) / Math.max(1, workers.length);
  return workers.length > 1 && mean > 0.01 ? Math.max(...workers) / mean : null;
}

export function workersSummary({ threads, allocated_bytes }: Pick<Pipeline, 'threads' | 'allocated_bytes'>) {
  const workers = threads.filter(({ role }) => role === 'worker');
  const busiest = Math.max(0, ...workers.map(({ busy }) => busy));
  const skew = skewOf(threads);
  const memory = quantifyBytes(allocated_bytes);
  const texts = [
    `${formatNumber(workers.length)} ${workers.length === 1 ? 'worker' : 'workers'}, busiest ${formatNumber(100 * busiest)} %`,
  ];
  if (skew !== null) texts.push(`skew ${formatNumber(skew, 1)}×`);
  texts.push(`memory ${memory.value} ${memory.unit}`);
  // A skew of idle workers holds nobody up.
  const skewed = (skew ?? 1) >= SKEW_LIMIT && busiest > 0.5;
  return { well: busiest <= BUSY_LIMIT && !skewed, text: texts.join(', ') } satisfies Summary;
}

export function commitsSummary({ commit, commits_open }: Pick<Pipeline, 'commit' | 'commits_open'>): Summary {
  if (commit == null) return { well: commits_open < 2, text: 'no commits yet' };
  const texts = [
    `commit ${formatNumber(commit.number)}, ${formatAge(commit.age_seconds * 1000)} ago, took ${formatNumber(commit.duration_ms)} ms`,
    `${formatNumber(Object.keys(commit.versions).length)} tables`,
  ];
  if (commits_open > 1) texts.push(`${formatNumber(commits_open)} commits wait`);
  return { well: commits_open < 2, text: texts.join(', ') };
}

/** The second line of a node: what is known of it, and nothing else. */
export function factsOf(node: Schemas['Node'], letters: number): string[] {
  if (node.kind === 'lake') return [`commit ${node.version ?? 'none yet'}`];
  const facts: string[] = [];
  if (node.per_second != null) facts.push(`${formatRate(node.per_second)}/s`);
  if (node.busy != null && node.busy >= 0.005) facts.push(`${formatNumber(100 * node.busy)} % busy`);
  if (node.busy == null && node.busy_share_max_worker != null && node.busy_share_max_worker >= 0.005)
    facts.push(`${formatNumber(100 * node.busy_share_max_worker)} % busy`);
  if (node.state_bytes != null && node.state_bytes >= 1_000_000) facts.push(memoryOf(node.state_bytes));
  if (node.kind === 'source' && node.bytes_per_second != null) {
    const { value, unit } = quantifyBytes(node.bytes_per_second);
    facts.push(`${value} ${unit}/s`);
  }
  if (node.kind === 'view' && node.rows != null)
    facts.push(`${formatNumber(node.rows)} ${node.rows === 1 ? 'row' : 'rows'}`);
  if (node.kind === 'dead letters') facts.push(`${formatNumber(letters)} in all`);
  if (facts.length === 0) facts.push(node.kind);
  return facts;
}

export function memoryOf(bytes: number): string {
  const { value, unit } = quantifyBytes(bytes);
  return `${value} ${unit}`;
}

/** Why a part limits the pipeline, in a word or two; `null` if it does not. */
export function limitOf({ limits }: { limits?: Schemas['Limit'] | null }): string | null {
  if (limits === 'time') return 'busiest';
  if (limits === 'memory') return 'most memory';
  return null;
}

/** What a relation costs, or several that share operators do together. */
export interface CostLine {
  name: string;
  /** Of which it is a share; a source, a table, a view, or `shared`. */
  kind: string;
  busy: number | null;
  busyMost: number | null;
  skew: number | null;
  rows: number;
  bytes: number;
  limit: string | null;
}

export const COST_ORDERS = ['busy', 'memory'] as const;
export type CostOrder = (typeof COST_ORDERS)[number];

/** What every relation costs, and what is shared, the dearest first. */
export function costsOf({ nodes, shared }: Pick<Pipeline, 'nodes' | 'shared'>, order: CostOrder): CostLine[] {
  const own = nodes
    .filter(({ state_bytes }) => state_bytes != null)
    .map(node => ({
      name: node.name,
      kind: node.kind,
      busy: node.busy_share ?? null,
      busyMost: node.busy_share_max_worker ?? null,
      skew: node.busy_skew ?? null,
      rows: node.state_rows ?? 0,
      bytes: node.state_bytes ?? 0,
      limit: limitOf(node),
    }));
  const common = shared.map(cost => ({
    name: cost.relations.join(', '),
    kind: 'shared',
    busy: cost.busy_share ?? null,
    busyMost: cost.busy_share_max_worker ?? null,
    skew: cost.busy_skew ?? null,
    rows: cost.state_rows,
    bytes: cost.state_bytes,
    limit: limitOf(cost),
  }));
  const weight = (line: CostLine) => (order === 'memory' ? line.bytes : (line.busyMost ?? 0));
  return [...own, ...common].sort((a, b) => weight(b) - weight(a) || (a.name < b.name ? -1 : 1));
}

export function costsSummary(
  pipeline: Pick<Pipeline, 'nodes' | 'shared' | 'memory_max_bytes' | 'resident_bytes'>,
): Summary {
  const lines = costsOf(pipeline, 'memory');
  const limit = lines.find(line => line.limit !== null);
  const sum = lines.reduce((sum, line) => sum + line.bytes, 0);
  const texts = [`state ${memoryOf(sum)}`];
  const { memory_max_bytes: most, resident_bytes: used } = pipeline;
  if (most != null) texts.push(`process ${memoryOf(used)} of ${memoryOf(most)}`);
  if (limit !== undefined) texts.push(`${limit.limit}: ${limit.name}`);
  return { well: limit === undefined, text: texts.join(', ') };
}

/** A headline without the state, which colour and shape tell already: `Degraded: 2 commits wait` is `2 commits wait`. */
export function troubleOf({ health, headline }: Pick<Schemas['Node'], 'health' | 'headline'>): string | null {
  if (health === 'ok' || headline == null || headline === '') return null;
  return headline.replace(/^(Degraded|Down): /, '');
}
