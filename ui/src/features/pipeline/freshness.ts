/**
 * How long records take to each stage of their way. The server measures up to its views and to the lake; the page adds its
 * own part, by the server's clock.
 */
import type { Pipeline } from '../../api/wire';

export interface Stage {
  name: string;
  /** What is measured. */
  about: string;
  p50: number | null;
  p99: number | null;
}

/** A value and an end of a list of delays in seconds; `null` without any. */
export function percentile(delays: readonly number[], share: number): number | null {
  const sorted = [...delays].sort((a, b) => a - b);
  return sorted[Math.round(share * (sorted.length - 1))] ?? null;
}

/** The stages one after the other, from the event to the page: each with its own part of the way. */
export function wayOf({ freshness }: Pick<Pipeline, 'freshness'>, page: readonly number[]): Stage[] {
  const told = (name: string) => freshness.find(stage => stage.name === name);
  const [read, view] = [told('read'), told('view')];
  const atView = view?.p50_seconds ?? null;
  // What the page has from its own clock begins where the view's delay begins.
  const behind = atView === null ? [] : page.map(seconds => Math.max(0, seconds - atView));
  return [
    {
      name: 'read',
      about: read?.about ?? '',
      p50: read?.p50_seconds ?? null,
      p99: read?.p99_seconds ?? null,
    },
    { name: 'view', about: view?.about ?? '', p50: atView, p99: view?.p99_seconds ?? null },
    {
      name: 'page',
      about: 'from the view until this page has it',
      p50: percentile(behind, 0.5),
      p99: percentile(behind, 0.99),
    },
  ];
}

/** Widths of the stages in percent, so that the shortest can still be seen; none without a stage that is known. */
export function widthsOf(stages: readonly Stage[]): number[] {
  const LEAST = 8;
  const known = stages.map(({ p50 }) => p50 ?? 0);
  const all = known.reduce((sum, seconds) => sum + seconds, 0);
  if (stages.every(({ p50 }) => p50 === null)) return stages.map(() => 0);
  const raw = stages.map(({ p50 }, at) =>
    p50 === null ? 0 : Math.max(LEAST, all === 0 ? LEAST : (100 * (known[at] ?? 0)) / all),
  );
  const sum = raw.reduce((total, width) => total + width, 0);
  return raw.map(width => (100 * width) / sum);
}
