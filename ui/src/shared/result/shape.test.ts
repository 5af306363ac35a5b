import { describe, expect, it } from 'vitest';
import { choiceText, readChoice } from './choice';
import { addsUp, type MeantColumn } from './columns';
import { coloursOf } from './ResultChart';
import { shapeOf } from './shape';

const column = (name: string, type: string, role?: string, more: Partial<MeantColumn> = {}): MeantColumn => ({
  name,
  type,
  ...(role === undefined ? {} : { role }),
  ...more,
});
const at = (minute: number) => `2026-03-01T00:${String(minute).padStart(2, '0')}:00Z`;
const minute = column('minute', 'timestamp', 'time');
const place = column('place', 'text', 'key');
const n = column('n', 'bigint', 'count');
const rows = [0, 1].flatMap(it => [
  { minute: at(it), place: 'a', n: 10 + it, mean: 2 },
  { minute: at(it), place: 'b', n: 5, mean: 4 },
]);

describe('the chart of an answer', () => {
  it('has one line per key, and no line through all of them', () => {
    const shape = shapeOf([minute, place, n], rows, {});
    expect(shape).toMatchObject({ drawn: 'time', kind: 'line', x: 'minute', series: 'place', y: 'n' });
    expect(shape.drawn === 'time' && shape.lines.map(({ label, values }) => [label, values])).toEqual([
      ['a', [10, 11]],
      ['b', [5, 5]],
    ]);
  });

  it('adds up what can be added where a series is put together, and takes the mean of the rest', () => {
    const mean = column('mean', 'double', 'duration', { unit: 'ms' });
    const all = [minute, place, n, mean];
    const sum = shapeOf(all, rows, { series: '', y: 'n' });
    expect(sum.drawn === 'time' && sum.lines.map(({ values }) => values)).toEqual([[15, 16]]);
    const means = shapeOf(all, rows, { series: '', y: 'mean' });
    expect(means).toMatchObject({ drawn: 'time', unit: 'ms' });
    expect(means.drawn === 'time' && means.lines.map(({ values }) => values)).toEqual([[3, 3]]);
  });

  it('keeps the eight largest keys and one line for all others', () => {
    const many = Array.from({ length: 12 }, (_, key) => ({ minute: at(0), place: `p${key}`, n: key })).concat(
      Array.from({ length: 12 }, (_, key) => ({ minute: at(1), place: `p${key}`, n: key })),
    );
    const shape = shapeOf([minute, place, n], many, {});
    expect(shape.drawn === 'time' && shape.lines).toHaveLength(9);
    expect(shape.drawn === 'time' && shape.lines.at(-1)).toMatchObject({
      label: '4 others, together',
      values: [6, 6],
      isOther: true,
    });
  });

  it('draws no figures of different units on one axis', () => {
    const all = [
      minute,
      column('p50', 'double', 'duration', { unit: 'ms' }),
      column('p95', 'double', 'duration', { unit: 'ms' }),
      n,
    ];
    const single = [
      { minute: at(0), p50: 1, p95: 2, n: 1_000 },
      { minute: at(1), p50: 1, p95: 3, n: 1_000 },
    ];
    const shape = shapeOf(all, single, {});
    expect(shape.drawn === 'time' && shape.lines.map(({ label }) => label)).toEqual(['p50', 'p95']);
    const chosen = shapeOf(all, single, { y: 'n' });
    expect(chosen.drawn === 'time' && chosen.lines.map(({ label }) => label)).toEqual(['n']);
  });

  it('takes a status for a key and not for a figure', () => {
    const status = column('outcome', 'int', 'status');
    const counted = [200, 404, 503].map(outcome => ({ outcome, n: outcome }));
    expect(shapeOf([status, n], counted, {})).toMatchObject({ drawn: 'bars', x: 'outcome', y: 'n' });
  });

  it('takes whole numbers of few values for keys where nothing else tells the rows apart', () => {
    const hours = [0, 1].flatMap(day => [3, 4].map(hour => ({ minute: at(day), hour, n: 1 })));
    const shape = shapeOf([minute, column('hour', 'int'), n], hours, {});
    expect(shape.drawn === 'time' && shape.lines.map(({ label }) => label)).toEqual(['3', '4']);
  });

  it('is a heatmap of two keys, and of a time with steps of a scale', () => {
    const method = column('method', 'text', 'key');
    const two = [
      { place: 'a', method: 'x', n: 1 },
      { place: 'a', method: 'y', n: 2 },
      { place: 'b', method: 'y', n: 3 },
    ];
    const shape = shapeOf([place, method, n], two, {});
    expect(shape).toMatchObject({
      drawn: 'heatmap',
      columns: ['a', 'b'],
      rows: [
        { label: 'y', values: [2, 3] },
        { label: 'x', values: [1, null] },
      ],
    });
    const bin = column('step', 'int', 'bin');
    const steps = [0, 1].flatMap(it => [1, 2].map(step => ({ minute: at(it), step, n: step })));
    // Higher steps are above.
    expect(shapeOf([minute, bin, n], steps, {})).toMatchObject({
      drawn: 'heatmap',
      rows: [{ label: '2' }, { label: '1' }],
    });
  });

  it('is numbers for a single row, and a sentence without any', () => {
    expect(
      shapeOf([n, column('p95', 'double', 'duration', { unit: 'ms' })], [{ n: 3, p95: 1.5 }], {}),
    ).toMatchObject({
      drawn: 'number',
      numbers: [
        { label: 'n', value: 3 },
        { label: 'p95', value: 1.5, unit: 'ms' },
      ],
    });
    expect(shapeOf([place], [{ place: 'a' }], {})).toMatchObject({ drawn: 'none', kind: 'table' });
    expect(shapeOf([minute, n], [], {}).drawn).toBe('none');
  });

  it('follows what is chosen, and passes over columns that are not there', () => {
    expect(shapeOf([minute, place, n], rows, { kind: 'bars', x: 'place', series: '' })).toMatchObject({
      drawn: 'bars',
      bars: [
        { label: 'a', parts: [21] },
        { label: 'b', parts: [10] },
      ],
    });
    expect(shapeOf([minute, place, n], rows, { x: 'gone', series: 'gone', y: 'gone' })).toMatchObject({
      drawn: 'time',
      x: 'minute',
      y: 'n',
    });
    expect(shapeOf([minute, place, n], rows, { kind: 'heatmap' })).toMatchObject({
      drawn: 'heatmap',
      series: 'place',
    });
  });
});

it('knows what adds up', () => {
  expect(addsUp(n)).toBe(true);
  expect(addsUp(column('x', 'double', 'measure', { statistic: 'p95' }))).toBe(false);
  // The server knows statistics that no name tells.
  expect(addsUp(column('x', 'double', 'measure', { statistic: 'total', adds_up: true }))).toBe(true);
  expect(addsUp(column('x', 'double', 'measure', { statistic: 'sum', adds_up: false }))).toBe(false);
  // Of a column that is no statistic it says nothing.
  expect(addsUp(column('price', 'double', 'money', { statistic: null, adds_up: false }))).toBe(true);
  expect(addsUp(column('avg_price', 'double', 'money'))).toBe(false);
  expect(addsUp(column('price', 'double', 'money'))).toBe(true);
});

it('keeps red for failures, which only a status tells', () => {
  const lines = ['200', '503', '500', '404', '9 others'].map(label => ({
    label,
    isOther: label === '9 others',
  }));
  expect(coloursOf(lines, true)).toEqual([0, 'critical', 1, 'clientErrors', 'muted']);
  expect(coloursOf(lines, false)).toEqual([0, 1, 2, 3, 'muted']);
});

it('keeps a choice in an address', () => {
  for (const choice of [
    {},
    { kind: 'line' as const },
    { kind: 'area' as const, x: 'a;b=c', series: '', y: 'ü', stacked: true, log: true },
  ])
    expect(readChoice(choiceText(choice))).toEqual(choice);
  expect(readChoice('pie;x=%E0%A4%A;nothing;y')).toEqual({ x: '%E0%A4%A' });
});
