/** What was so much earlier is drawn behind the same step, or not at all. */
import { expect, it } from 'vitest';
import { columnsOf, ghostsOf, type Series, spokenPoint } from './chartPlot';
import { ghostOf } from './over';

const DAY_MS = 86_400_000;

it('puts each step beside the same one earlier', () => {
  const times = [100_000, 100_060, 100_120];
  const earlier = [13_600, 13_720, 13_780];
  expect(ghostOf(times, earlier, [1, 3, 4], DAY_MS)).toEqual([1, null, 3]);
  expect(ghostOf(times, [], [], DAY_MS)).toEqual([null, null, null]);
});

const series: Series[] = [
  { label: '2xx', colour: 0, values: [1, 2], ghost: [5, null] },
  { label: '4xx', colour: 1, values: [3, 4] },
  { label: '5xx', colour: 'critical', values: [1, 1], ghost: [2, 2] },
];

it('draws ghosts after all that is drawn of now, stacked where that is', () => {
  const props = { times: [0, 60], series, unit: '/s', summary: '' };
  expect(columnsOf(props)).toEqual([
    [0, 60],
    [1, 2],
    [3, 4],
    [1, 1],
    [5, null],
    [2, 2],
  ]);
  expect(ghostsOf(series, true)).toEqual([
    [5, null],
    [7, 2],
  ]);
  const band = { low: [0, 0], high: [9, 9] };
  expect(columnsOf({ ...props, band }).slice(4)).toEqual([
    [0, 0],
    [9, 9],
    [5, null],
    [2, 2],
  ]);
});

it('says a point with its ghost and with what is marked there', () => {
  const span = {
    incident: 'a',
    from_ms: 30_000,
    to_ms: 90_000,
    tone: 'warn',
    title: 'Errors above expected',
    text: '',
  } as const;
  const props = { times: [0, 60], series, unit: '/s', summary: '', ghostName: 'yesterday', spans: [span] };
  expect(spokenPoint(props, 0)).toBe(
    '1970-01-01 00:00:00 UTC, 2xx 1 /s (yesterday 5), 4xx 3 /s, 5xx 1 /s (yesterday 2), incident: Errors above expected',
  );
});
