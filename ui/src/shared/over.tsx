/**
 * An earlier time behind a chart: yesterday, or the same day of last week, drawn as a quiet second line. Which one is in the
 * address, as `over`.
 *
 * A page that draws it asks for the same steps `useOver(to).before_ms` earlier and hands each series what came as its `ghost`:
 *
 *     const over = useOver(span.to);
 *     const earlier = useHistory(over && { from: span.from - over.before_ms, to: span.to - over.before_ms });
 *     <Chart ghostName={over?.name} series={[{ …, ghost: ghostOf(times, earlier.times, earlier.values, over.before_ms) }]} />
 */
import { useGo, useUrl } from './nav';
import { OVER_WORDS, OVERS, type Over, overMs } from './search';
import { Button } from './ui/button';
import { Tooltip } from './ui/tooltip';

export interface OverTime {
  over: Over;
  /** `yesterday`, `last week`: the name of the ghosts. */
  name: string;
  before_ms: number;
}

/** What is drawn behind a range that ends then; `null` while nothing is asked for. */
export function useOver(to_ms: number): OverTime | null {
  const { over } = useUrl();
  return over === undefined ? null : { over, name: OVER_WORDS[over], before_ms: overMs(over, to_ms) };
}

/** The values of each step so much earlier; `null` where there are none. Times are in seconds, both in order. */
export function ghostOf(
  times: readonly number[],
  earlier: readonly number[],
  values: readonly (number | null)[],
  before_ms: number,
): (number | null)[] {
  const at = new Map(earlier.map((time, index) => [time, values[index] ?? null]));
  return times.map(time => at.get(time - before_ms / 1000) ?? null);
}

/** Turns it on and off, beside the charts that draw it. */
export function OverSwitch() {
  const { over } = useUrl();
  const go = useGo();
  return (
    <span role="group" aria-label="Overlay of an earlier time" className="flex items-center gap-1">
      {OVERS.map(it => (
        <Tooltip
          key={it}
          text={it === 'day' ? 'Overlay the same time yesterday' : 'Overlay the same time last week'}
        >
          <Button
            kind="quiet"
            className="h-5 px-1 text-label aria-pressed:underline"
            aria-pressed={over === it}
            aria-label={`Overlay ${OVER_WORDS[it]}`}
            onClick={() => go({ over: over === it ? undefined : it } as object)}
          >
            {OVER_WORDS[it]}
          </Button>
        </Tooltip>
      ))}
    </span>
  );
}
