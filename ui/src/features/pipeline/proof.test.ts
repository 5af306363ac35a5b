/** What is said of a proof. */
import { expect, it } from 'vitest';
import type { Schemas } from '../../api/wire';
import { proofOf } from './proof';

const ENDED = '2026-03-01T02:57:10.000Z';
const check = (outcome: Schemas['CheckOutcome']): Schemas['VerificationCheck'] => ({
  name: 'rows',
  subject: 's',
  outcome,
  compared: '',
  findings: [],
  meaning: null,
});
const result = (verdict: Schemas['Verdict'], outcomes: Schemas['CheckOutcome'][]) => ({
  verdict,
  ended: ENDED,
  started: ENDED,
  elapsed_seconds: 1,
  commit: 1,
  epoch: 1,
  as_of: ENDED,
  checks: outcomes.map(check),
});
const said = (newest: Schemas['VerificationResult'] | null, later_ms = 1000) =>
  proofOf({ newest }, Date.parse(ENDED) + later_ms);

it('says when and by how much it was proved', () => {
  expect(said(result('proven', ['holds', 'note']))).toEqual({
    tone: 'ok',
    word: 'Proved at 02:57:10, 2 checks',
  });
  expect(said(result('proven', ['holds']), 2 * 86_400_000).word).toContain('2026-03-01 02:57:10');
  expect(said(result('partly', ['holds', 'unknown']))).toEqual({
    tone: 'warn',
    word: 'Proved as far as possible at 02:57:10, 1 of 2 checks could not be made in full',
  });
  expect(said(result('failed', ['fails', 'holds', 'fails']))).toEqual({
    tone: 'critical',
    word: 'Not proved at 02:57:10, 2 of 3 checks failed',
  });
  expect(said(null)).toEqual({ tone: 'quiet', word: 'Not verified yet' });
  const running = {
    started: ENDED,
    elapsed_seconds: 12,
    checks: 3,
    expected_checks: null,
    failed: 0,
    last: null,
  };
  expect(proofOf({ running, newest: null }, 0)).toEqual({ tone: 'live', word: 'Verifying, 12 s' });
});
