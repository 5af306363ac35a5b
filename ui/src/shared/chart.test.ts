import { expect, it } from 'vitest';
import { unitInWords } from './chart';
import { clockLabels, rangeOfValues, tickRoom, ticksOf, valueLabels } from './chartAxis';
import { chooseZone } from './zone';

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

it('labels some round times of any range, and the year of another one', () => {
  const start = Date.parse('2024-05-12T00:05:00Z') / 1000;
  for (const [length_s, most] of [
    [300, 6],
    [86_400, 8],
    [86_400 + 360, 8],
    [604_800, 5],
    [300_000_000, 6],
  ] as const) {
    const ticks = ticksOf(start, start + length_s, most);
    expect(ticks.length, `${length_s} s`).toBeGreaterThanOrEqual(2);
    expect(ticks.length, `${length_s} s`).toBeLessThanOrEqual(most + 1);
  }
  const day = Date.parse('2024-05-12T00:00:00Z') / 1000;
  expect(clockLabels([day, day + 86_400], 2024)).toEqual(['05-12', '05-13']);
  expect(clockLabels([day, day + 86_400], 2026)).toEqual(['2024-05-12', '2024-05-13']);
});

it('has zero and all values in its range, up to where it is cut', () => {
  expect(rangeOfValues(5, 100)).toEqual([0, 108]);
  expect(rangeOfValues(-100, 50)).toEqual([-108, 54]);
  expect(rangeOfValues(-100, -50)).toEqual([-108, 0]);
  expect(rangeOfValues(null, null)).toEqual([0, 1]);
  expect(rangeOfValues(0, 1_000, 25)).toEqual([0, 25]);
});

it('labels times that are round on the clock of the page', () => {
  const before = process.env.TZ;
  process.env.TZ = 'Asia/Kolkata';
  chooseZone('local');
  // From 23:00 to 01:00 there.
  const start = Date.parse('2024-05-12T17:30:00Z') / 1000;
  const ticks = ticksOf(start, start + 7_200, 4);
  expect(clockLabels(ticks, 2024)).toEqual(['23:00', '23:30', '05-13', '00:30', '01:00']);
  chooseZone('utc');
  process.env.TZ = before;
});

it.each([
  [
    [0, 2.5, 5, 7.5],
    ['0', '2.5', '5.0', '7.5'],
  ],
  [
    [0, 0.25, 0.5],
    ['0', '0.25', '0.50'],
  ],
  [
    [0.001, 0.002],
    ['0.001', '0.002'],
  ],
  [
    [-5, 0, 5],
    ['-5', '0', '5'],
  ],
  [
    [0, 5_000, 10_000],
    ['0', '5\u202f000', '10 k'],
  ],
  // Of a logarithmic axis, which leaves some out.
  [
    [0.1, 1, null, 100],
    ['0.10', '1', '', '100'],
  ],
  [[7.25], ['7.25']],
  [[], []],
])('labels %j of an axis of values with %j', (ticks, labels) => {
  expect(valueLabels(ticks)).toEqual(labels);
});

it('says what values are in', () => {
  const said = ['/s', '/min', '/h', '/5 min', 'MB/h', '%', 'ms', ''].map(unitInWords);
  expect(said).toEqual(['per second', 'per minute', 'per hour', 'per 5 min', 'MB per hour', '%', 'ms', '']);
});
