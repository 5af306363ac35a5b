/** How far detectors are that do not judge yet. Pure functions. */
import type { Row } from '../../api/wire';
import type { Detector } from '../../shared/detected';
import { numberOf } from '../../shared/format';
import { quoted, textLiteral } from '../../shared/sql';

/** A series is judged once so many of its windows are known; shares of few events need more. */
const WINDOWS_NEEDED = 32;

/** Of each detector: windows of the series known longest, and windows that were judged. */
export function learningSql(detectors: readonly Detector[]): string {
  const parts = detectors.map(({ name, key }) => {
    const series = [...key.map(it => quoted(it.name)), 'metric'].join(', ');
    return `SELECT ${textLiteral(name)} AS detector, max(seen) AS seen, sum(judged) AS judged
FROM (SELECT count(*) AS seen, count(expected) AS judged FROM ${quoted(name)} GROUP BY ${series})`;
  });
  return parts.join('\nUNION ALL\n');
}

export interface Learning {
  detector: string;
  text: string;
}

/** Those that have judged no window yet. */
export function learningOf(rows: readonly Row[]): Learning[] {
  return rows.flatMap(row => {
    if ((numberOf(row.judged) ?? 0) > 0) return [];
    const seen = numberOf(row.seen) ?? 0;
    const text =
      seen < WINDOWS_NEEDED
        ? `learning: ${seen} of ${WINDOWS_NEEDED} windows`
        : 'learning: its windows have too few events so far';
    return [{ detector: String(row.detector), text }];
  });
}
