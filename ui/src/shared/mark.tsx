/**
 * A status as shape, colour and word together, so that none of them has to be seen for the others.
 */
export type Tone = 'ok' | 'warn' | 'critical' | 'stale' | 'live' | 'quiet';

const SHAPES: Record<Tone, string> = { ok: '●', warn: '▲', critical: '■', stale: '◌', live: '●', quiet: '○' };

export function Mark({ tone, word }: { tone: Tone; word: string }) {
  return (
    <span className={`mark mark-${tone}`}>
      <span className="mark-shape" aria-hidden="true">
        {SHAPES[tone]}
      </span>
      {word}
    </span>
  );
}
