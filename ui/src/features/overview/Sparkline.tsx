/** A small curve without axes: only whether it rises. Less than a fifth of the value is drawn as the little it is. */
const WIDTH = 120;
const HEIGHT = 20;

export function Sparkline({ values, label }: { values: readonly (number | null)[]; label: string }) {
  const known = values.filter(value => value !== null);
  if (known.length < 2) return <div className="h-5" />;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const span = Math.max(high - low, high / 5, 1e-9);
  const middle = (low + high) / 2;
  const points = values.flatMap((value, at) => {
    if (value === null) return [];
    const x = (at / (values.length - 1)) * WIDTH;
    const y = HEIGHT / 2 - ((value - middle) / span) * (HEIGHT - 4);
    return [`${x.toFixed(1)},${y.toFixed(1)}`];
  });
  return (
    <svg
      className="h-5 w-full"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <polyline
        points={points.join(' ')}
        fill="none"
        stroke="var(--series-1)"
        strokeWidth="1.5"
        vectorEffect="non-scaling-stroke"
      />
    </svg>
  );
}
