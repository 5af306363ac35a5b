/**
 * A status as shape, colour and word together, so that none of them has to be seen for the others.
 */
import { cn } from './ui/cn';

export type Tone = 'ok' | 'warn' | 'critical' | 'stale' | 'live' | 'quiet';

const SHAPES: Record<Tone, string> = { ok: '●', warn: '▲', critical: '■', stale: '◌', live: '●', quiet: '○' };
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
      <span className={cn('inline-block w-[1.2em]', tone === 'live' && 'live-dot')} aria-hidden="true">
        {SHAPES[tone]}
      </span>
      {word}
    </span>
  );
}

/** Only the shape, where the word stands beside it already. */
export function Shape({ tone }: { tone: Tone }) {
  return (
    <span className={cn('inline-block w-[1.1em]', COLOURS[tone])} aria-hidden="true">
      {SHAPES[tone]}
    </span>
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
