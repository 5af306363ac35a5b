import { expect, it } from 'vitest';
import { clockLabels, tickRoom } from './chart';

/** Digits of the labels' font are about so wide. */
const DIGIT_PX = 6.2;

it('leaves room for half of the last label, however long it is', () => {
  for (const [span_s, step_s, width_px] of [
    [300, 30, 800],
    [300, 60, 340],
    [900, 120, 560],
    [21_600, 3_600, 560],
    [604_800, 86_400, 340],
  ] as const) {
    const [label = ''] = clockLabels([86_400 * 20_000 + step_s, 86_400 * 20_000 + 2 * step_s]);
    expect(tickRoom(span_s, width_px)).toBeGreaterThanOrEqual((label.length * DIGIT_PX) / 2);
  }
});

it('is the less where there are no seconds', () => {
  expect(tickRoom(3_600, 560)).toBeLessThan(tickRoom(60, 560));
});
