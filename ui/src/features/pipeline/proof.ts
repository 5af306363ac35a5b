/** A proof in a few words. */
import type { Schemas } from '../../api/wire';
import { formatAge, formatDateTime, formatNumber, formatTime } from '../../shared/format';
import type { Tone } from '../../shared/mark';

type Known = Partial<Schemas['Verification']>;

export function proofOf({ running, newest }: Known, now_ms: number): { tone: Tone; word: string } {
  if (running) return { tone: 'live', word: `Verifying, ${formatAge(running.elapsed_seconds * 1000)}` };
  if (newest == null) return { tone: 'quiet', word: 'Not verified yet' };
  const { verdict, ended, checks } = newest;
  const isRecent = now_ms - Date.parse(ended) < 86_400_000;
  const at = isRecent ? formatTime(ended) : formatDateTime(ended);
  const count = (outcome: Schemas['CheckOutcome']) => checks.filter(it => it.outcome === outcome).length;
  const all = `${formatNumber(checks.length)} checks`;
  switch (verdict) {
    case 'proven':
      return { tone: 'ok', word: `Proved at ${at}, ${all}` };
    case 'partly':
      return {
        tone: 'warn',
        word: `Proved as far as possible at ${at}, ${formatNumber(count('unknown'))} of ${all} could not be made in full`,
      };
    case 'failed':
      return {
        tone: 'critical',
        word: `Not proved at ${at}, ${formatNumber(count('fails'))} of ${all} failed`,
      };
  }
}
