/**
 * The last two minutes of one number as a small curve. It shows shape only, from zero to its own maximum;
 * the number above it is the value.
 */
import { HISTORY_MAX } from '../../api/state';

const HEIGHT = 20;

export function Sparkline({ values }: { values: readonly (number | null)[] }) {
  const points = pointsOf(values);
  return (
    <svg
      className="sparkline"
      viewBox={`0 0 ${HISTORY_MAX} ${HEIGHT}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <polyline points={points} vectorEffect="non-scaling-stroke" />
    </svg>
  );
}

/** The newest value is at the right edge; a missing one is left out. */
export function pointsOf(values: readonly (number | null)[]): string {
  const known = values.filter(value => value !== null);
  const top = Math.max(...known, 0) || 1;
  const left = HISTORY_MAX - values.length;
  return values
    .map((value, index) =>
      value === null ? '' : `${left + index + 1},${(HEIGHT - 1 - (value / top) * (HEIGHT - 2)).toFixed(1)}`,
    )
    .filter(point => point !== '')
    .join(' ');
}
