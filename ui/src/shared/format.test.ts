/**
 * How numbers, sizes and ages read, at their edges too.
 */
import { afterEach, describe, expect, it } from 'vitest';
import {
  formatAge,
  formatAny,
  formatDateTime,
  formatLength,
  formatMeasured,
  formatNear,
  formatNumber,
  formatSpan,
  formatTime,
  numberOf,
  quantifyBytes,
  signedPercent,
} from './format';
import { panelState } from './state';
import { chooseZone, clockOf, instantOf, offsetText, zoneName } from './zone';

/** Write the narrow space of grouped digits as an underscore, to be seen here. */
const seen = (text: string) => text.replaceAll('\u202f', '_');

describe('format', () => {
  it('groups digits and keeps missing numbers missing', () => {
    expect([0, 999, 8412, 1234567.4, -12345].map(value => seen(formatNumber(value)))).toEqual([
      '0',
      '999',
      '8_412',
      '1_234_567',
      '-12_345',
    ]);
    expect(seen(formatNumber(1234.56, 1))).toBe('1_234.6');
    expect([null, undefined, Number.NaN].map(value => formatNumber(value))).toEqual(['–', '–', '–']);
    expect([3, 0.1234, 40.26, 312.7, 0.00123].map(formatAny)).toEqual(['3', '0.12', '40.3', '313', '0.0012']);
  });

  it('writes sizes in the unit that reads best', () => {
    const sizes = [0, 999, 1000, 999_949, 999_960, 8.1e9].map(quantifyBytes);
    expect(sizes.map(({ value, unit }) => `${value} ${unit}`)).toEqual([
      '0 B',
      '999 B',
      '1.0 kB',
      '999.9 kB',
      '1.0 MB',
      '8.1 GB',
    ]);
  });

  it('writes ages', () => {
    expect([-5, 400, 12_300, 185_000, 18_600_000, 183_600_000].map(formatAge)).toEqual([
      '0.0 s',
      '0.4 s',
      '12 s',
      '3 min',
      '5 h 10 min',
      '2 d 3 h',
    ]);
  });

  it('writes times in UTC and leaves what is no time as it is', () => {
    expect(formatTime('2026-01-02T03:04:05.678+01:00', 'ms')).toBe('02:04:05.678');
    expect(formatTime('soon')).toBe('soon');
    expect(formatTime(null)).toBe('–');
  });

  it('reads numbers from digits but not from anything else', () => {
    expect([1, '2.5', '', 'x', null, Number.POSITIVE_INFINITY].map(numberOf)).toEqual([
      1,
      2.5,
      null,
      null,
      null,
      null,
    ]);
  });
});

describe('panelState', () => {
  const lost = { status: 'reconnecting', cause: 'gone', retryAt_ms: null } as const;

  it('keeps old data and dates it', () => {
    expect(panelState(lost, 3, 't')).toEqual({ name: 'error', asOf: 't', cause: 'gone' });
    expect(panelState({ status: 'stale', since_ms: 0 }, 3, 't')).toEqual({ name: 'stale', asOf: 't' });
  });

  it('tells loading, empty and live apart', () => {
    const names = [null, 0, 3].map(items => panelState({ status: 'live' }, items, 't').name);
    expect(names).toEqual(['loading', 'empty', 'live']);
    expect(panelState(lost, null, null)).toEqual({ name: 'error', asOf: null, cause: 'gone' });
  });
});

it('tells what was measured with three digits, whatever its size', () => {
  const values = [8288, 1532.4, 27.43, 2.5, 0.1319, 0.01271, 0.000004, 0, null];
  expect(values.map(formatMeasured)).toEqual([
    '8\u202f288',
    '1\u202f532',
    '27.4',
    '2.50',
    '0.132',
    '0.0127',
    '0.00000400',
    '0',
    '–',
  ]);
});

describe('times', () => {
  const before = process.env.TZ;
  const ms = (iso: string) => Date.parse(iso);
  afterEach(() => {
    process.env.TZ = before;
    chooseZone('utc');
  });

  it('tells from when to when, as short as it is clear', () => {
    const span = (from: string, to: string) => formatSpan(ms(from), ms(to), '2024-05-12');
    expect(span('2024-05-12T14:00:00Z', '2024-05-12T15:30:00Z')).toBe('14:00 – 15:30');
    expect(span('2024-05-12T14:00:05Z', '2024-05-12T15:30:00Z')).toBe('14:00:05 – 15:30');
    expect(span('2024-05-11T14:00:00Z', '2024-05-11T15:30:00Z')).toBe('2024-05-11 14:00 – 15:30');
    expect(span('2024-05-11T14:00:00Z', '2024-05-12T15:30:00Z')).toBe('2024-05-11 14:00 – 2024-05-12 15:30');
    expect(span('2024-05-11T00:00:00Z', '2024-05-12T00:00:00Z')).toBe('2024-05-11');
    expect(span('2024-05-06T00:00:00Z', '2024-05-13T00:00:00Z')).toBe('2024-05-06 – 2024-05-12');
    expect(formatNear(ms('2024-05-12T14:00:05Z'), '2024-05-12')).toBe('14:00:05');
    expect(formatNear(ms('2023-05-12T14:00:05Z'), '2024-05-12')).toBe('2023-05-12 14:00:05');
  });

  it('tells how long something is', () => {
    const lengths = [500, 1_000, 90_000, 3_600_000, 5_400_000, 90_000_000, 604_800_000];
    expect(lengths.map(formatLength)).toEqual([
      '500 ms',
      '1 s',
      '1 min 30 s',
      '1 h',
      '1 h 30 min',
      '1 d 1 h',
      '7 d',
    ]);
  });

  it('is in the zone that was chosen, summer and winter', () => {
    process.env.TZ = 'Europe/Berlin';
    const [summer, winter] = [ms('2024-07-01T22:30:00.250Z'), ms('2024-01-01T22:30:00Z')];
    expect(formatDateTime(summer)).toBe('2024-07-01 22:30:00');
    expect(zoneName()).toBe('UTC');
    chooseZone('local');
    expect(zoneName()).toBe('local');
    expect(formatDateTime(summer)).toBe('2024-07-02 00:30:00');
    expect(formatTime(summer, 'ms')).toBe('00:30:00.250');
    expect(formatTime(winter, 'min')).toBe('23:30');
    expect([summer, winter].map(offsetText)).toEqual(['UTC+2', 'UTC+1']);
    process.env.TZ = 'Asia/Kolkata';
    expect(offsetText(summer)).toBe('UTC+5:30');
    process.env.TZ = 'America/St_Johns';
    expect(offsetText(summer)).toBe('UTC-2:30');
  });

  it('is read back from what the clock shows', () => {
    for (const zone of ['UTC', 'Europe/Berlin', 'Pacific/Auckland']) {
      process.env.TZ = zone;
      for (const iso of ['2024-07-01T22:30:00.250Z', '2024-01-01T00:00:00Z', '2015-12-31T23:59:59.999Z'])
        expect(instantOf(clockOf(ms(iso), 'local'), 'local')).toBe(ms(iso));
    }
  });
});

it.each([
  [0.041, '+4 %'],
  [-0.1, '−10 %'],
  [0.004, '0 %'],
  [-0.004, '0 %'],
  [0, '0 %'],
])('a change of %d is %s', (share, text) => {
  expect(signedPercent(share)).toBe(text);
});
