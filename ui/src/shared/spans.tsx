/**
 * Incidents over a chart: a shade from their begin to their end, and at the top a bar that tells what it is and leads to it. Only the bar
 * takes the pointer, so that under the shade the chart can be read and brushed.
 */
import { useState } from 'react';
import { type Placed, placedOf, type Span } from './marked';
import { useGo } from './nav';
import { cn } from './ui/cn';

/** Where the axis of time is, in pixels of the chart. */
export interface Frame {
  left: number;
  top: number;
  width: number;
  height: number;
  from_ms: number;
  to_ms: number;
}

/** A bar is at least so wide: a minute of a week is less than a pixel. */
const WIDTH_MIN_PX = 10;
const LANE_PX = 9;
/** Further ones share the last lane. */
const LANES_MAX = 3;

/** A finger needs more room than is drawn. */
const FINGER =
  "pointer-coarse:before:absolute pointer-coarse:before:-inset-2 pointer-coarse:before:content-['']";

const SHADES: Record<Span['tone'], string> = {
  critical: 'bg-critical/15 border-critical/60',
  warn: 'bg-warn/15 border-warn/60',
  muted: 'hidden',
};
const BARS: Record<Span['tone'], string> = {
  critical: 'bg-critical',
  warn: 'bg-warn',
  muted: 'h-[3px] bg-muted',
};

export function Spans({ spans, frame }: { spans: readonly Span[]; frame: Frame }) {
  const go = useGo();
  const [told, setTold] = useState<string | null>(null);
  const { left, top, width, height, from_ms, to_ms } = frame;
  if (width <= 0 || to_ms <= from_ms) return null;
  const placed = placedOf(spans, from_ms, to_ms);
  const shown = placed.find(it => it.incident === told);
  return (
    <div className="pointer-events-none absolute z-10" style={{ left, top, width, height }} data-spans>
      {placed.map(it => (
        <div
          key={it.incident}
          className={cn('absolute inset-y-0 border-x', SHADES[it.tone])}
          style={placeOf(it, width)}
        />
      ))}
      {placed.map(it => (
        <button
          key={it.incident}
          type="button"
          className={cn(
            'pointer-events-auto absolute flex cursor-pointer items-start rounded-[2px] pt-px',
            FINGER,
          )}
          style={{ ...placeOf(it, width), top: LANE_PX * Math.min(it.lane, LANES_MAX - 1), height: LANE_PX }}
          aria-label={`Incident: ${it.title}. ${it.text}`}
          data-span={it.tone}
          onPointerEnter={() => setTold(it.incident)}
          onPointerLeave={() => setTold(null)}
          onFocus={() => setTold(it.incident)}
          onBlur={() => setTold(null)}
          onClick={() => go({ incident: it.incident }, '/anomalies')}
        >
          <span className={cn('block h-[7px] w-full rounded-[2px]', BARS[it.tone])} />
        </button>
      ))}
      {shown !== undefined && <Told span={shown} width={width} />}
    </div>
  );
}

function placeOf({ left, right }: Placed, width: number): { left: number; width: number } {
  const wide = Math.max(WIDTH_MIN_PX, (right - left) * width);
  // One that just began is drawn within the chart.
  return { left: Math.max(0, Math.min(left * width, width - wide)), width: wide };
}

function Told({ span, width }: { span: Placed; width: number }) {
  const middle = (span.left + span.right) / 2;
  return (
    <div
      aria-hidden="true"
      className="absolute z-20 max-w-[min(100%,26rem)] rounded border border-line bg-panel px-2 py-1 text-label"
      style={{
        top: LANE_PX * LANES_MAX + 4,
        ...(middle < 0.5 ? { left: span.left * width } : { right: (1 - span.right) * width }),
      }}
    >
      <b className="font-medium">{span.title}</b>
      <br />
      {span.text}
    </div>
  );
}
