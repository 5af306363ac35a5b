/**
 * A status as shape, colour and word together, so that none of them has to be seen for the others.
 */
import type { ReactNode } from 'react';
import { cn } from './ui/cn';

export type Tone = 'ok' | 'warn' | 'critical' | 'stale' | 'live' | 'quiet';

const DISC = <circle cx="6" cy="6" r="4" />;
const RING = { fill: 'none', stroke: 'currentColor', strokeWidth: 1.5 };
/** Drawn, since few fonts have all of them. */
const SHAPES: Record<Tone, ReactNode> = {
  ok: DISC,
  live: DISC,
  warn: <path d="M6 1.5 11 10.5H1Z" />,
  critical: <rect x="2" y="2" width="8" height="8" />,
  stale: <circle cx="6" cy="6" r="3.5" {...RING} strokeDasharray="2 1.6" />,
  quiet: <circle cx="6" cy="6" r="3.5" {...RING} />,
};
const COLOURS: Record<Tone, string> = {
  ok: 'text-ok',
  warn: 'text-warn',
  critical: 'text-critical',
  stale: 'text-stale',
  live: 'text-accent',
  quiet: 'text-muted',
};

export function Mark({ tone, word, className }: { tone: Tone; word: string; className?: string }) {
  return (
    <span className={cn('whitespace-nowrap', COLOURS[tone], className)} data-tone={tone}>
      <Shape tone={tone} className={tone === 'live' ? 'live-dot' : ''} />
      {word}
    </span>
  );
}

/** Only the shape, where the word stands beside it already. */
export function Shape({ tone, className }: { tone: Tone; className?: string }) {
  return (
    <svg
      viewBox="0 0 12 12"
      fill="currentColor"
      className={cn('mr-[0.35em] inline-block size-[0.8em] align-[-0.05em]', COLOURS[tone], className)}
      aria-hidden="true"
    >
      {SHAPES[tone]}
    </svg>
  );
}

export function toneOfHealth(health: string): Tone {
  switch (health) {
    case 'ok':
      return 'ok';
    case 'starting':
      return 'quiet';
    case 'degraded':
      return 'warn';
    case 'down':
      return 'critical';
    default:
      return 'stale';
  }
}

export function toneOfLevel(level: string | null): Tone {
  switch (level?.toUpperCase()) {
    case 'ERROR':
    case 'FATAL':
    case 'CRITICAL':
      return 'critical';
    case 'WARN':
    case 'WARNING':
      return 'warn';
    default:
      return 'ok';
  }
}
