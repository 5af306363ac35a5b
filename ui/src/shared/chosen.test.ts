import { describe, expect, it } from 'vitest';
import { chartOf } from './chosen';

const column = (name: string, type: string) => ({ name, type });
const at = (minute: number) => `2026-03-01T00:${String(minute).padStart(2, '0')}:00Z`;
const columns = [column('minute', 'timestamp'), column('endpoint', 'text'), column('n', 'bigint')];

describe('the chart of an answer', () => {
  it('has one line per key, and no line through all of them', () => {
    const rows = [0, 1].flatMap(minute => [
      { minute: at(minute), endpoint: '/a', n: 10 + minute },
      { minute: at(minute), endpoint: '/b', n: 5 },
    ]);
    const chart = chartOf(columns, rows, null);
    expect(chart).toMatchObject({ kind: 'time', figure: 'n' });
    if (chart.kind !== 'time') return;
    expect(chart.times).toHaveLength(2);
    expect(chart.lines.map(({ label, values }) => [label, values])).toEqual([
      ['/a', [10, 11]],
      ['/b', [5, 5]],
    ]);
  });

  it('keeps the eight largest keys and adds up the others, where adding says something', () => {
    const rows = Array.from({ length: 12 }, (_, key) => key).flatMap(key => [
      { minute: at(0), endpoint: `/${key}`, n: key, avg_time: key },
      { minute: at(1), endpoint: `/${key}`, n: key, avg_time: key },
    ]);
    const all = [...columns, column('avg_time', 'double')];
    const counts = chartOf(all, rows, 'n');
    expect(counts.kind === 'time' && counts.lines.at(-1)).toMatchObject({
      label: '4 others, together',
      values: [6, 6],
    });
    expect(counts.kind === 'time' && counts.lines).toHaveLength(9);
    const means = chartOf(all, rows, 'avg_time');
    expect(means.kind === 'time' && means.lines.at(-1)).toMatchObject({
      label: '4 others, their mean',
      values: [1.5, 1.5],
    });
  });

  it('takes a count that is not there for none, and a mean that is not there for unknown', () => {
    const rows = [
      { minute: at(0), endpoint: '/a', n: 1 },
      { minute: at(0), endpoint: '/b', n: 1 },
      { minute: at(1), endpoint: '/b', n: 1 },
    ];
    const counts = chartOf(columns, rows, null);
    expect(counts.kind === 'time' && counts.lines[1]).toMatchObject({ label: '/a', values: [1, 0] });
    const mean = [column('minute', 'timestamp'), column('endpoint', 'text'), column('mean', 'double')];
    const means = chartOf(
      mean,
      rows.map(({ n, ...row }) => ({ ...row, mean: n })),
      null,
    );
    expect(means.kind === 'time' && means.lines[1]).toMatchObject({ label: '/a', values: [1, null] });
  });

  it('takes a whole number of few values for a key where it tells the rows apart', () => {
    const rows = [200, 404, 503].flatMap(status => [
      { minute: at(0), status, n: 3 },
      { minute: at(1), status, n: 4 },
    ]);
    const all = [column('minute', 'timestamp'), column('status', 'int'), column('n', 'bigint')];
    const chart = chartOf(all, rows, null);
    expect(chart.kind === 'time' && chart.lines.map(({ label }) => label)).toEqual(['200', '404', '503']);
  });

  it('has one line per figure where a time has one row, oldest first', () => {
    const rows = [
      { minute: at(1), n: 2, errors: 0 },
      { minute: at(0), n: 1, errors: null },
    ];
    const all = [column('minute', 'timestamp'), column('n', 'bigint'), column('errors', 'bigint')];
    const chart = chartOf(all, rows, null);
    expect(chart.kind === 'time' && chart.lines.map(({ values }) => values)).toEqual([
      [1, 2],
      [null, 0],
    ]);
  });

  it('has bars without a time, and says what is missing without a number', () => {
    const rows = [{ endpoint: '/a', method: 'GET', n: 2 }];
    const all = [column('endpoint', 'text'), column('method', 'text'), column('n', 'bigint')];
    expect(chartOf(all, rows, null)).toMatchObject({
      kind: 'bars',
      bars: [{ label: '/a · GET', value: 2 }],
    });
    expect(chartOf([column('endpoint', 'text')], rows, null).kind).toBe('none');
    expect(chartOf(columns, [], null).kind).toBe('none');
  });
});
