import { expect, it } from 'vitest';
import { compact, labelOf, nowOf, rateOf, telling, titleOfColumn, writtenText } from './page';
import { column, main } from './page.fixture';

it('calls figures by what they are', () => {
  expect(labelOf(column('response_time_p95', 'duration', 'p95'))).toBe('p95 response time');
  expect(labelOf(column('avg_response_time', 'duration', 'mean'))).toBe('mean response time');
  expect(labelOf(column('wait_max', 'duration', 'max'))).toBe('longest wait');
  expect(labelOf(column('paid_max', 'money', 'max'))).toBe('largest paid');
  expect(labelOf(column('turnover', 'money', 'sum'))).toBe('turnover');
  expect(labelOf(column('p95', 'duration', 'p95'))).toBe('p95 p95');
  expect(titleOfColumn(column('sessions', 'count', 'distinct'))).toBe('Sessions');
});

it.each([
  [1_234_567, 'bytes', 'bytes', '1.2 MB'],
  [0.123, 'share', undefined, '12.3 %'],
  [12.34, 'share', '%', '12.3 %'],
  [19.5, 'money', 'EUR', '19.50 EUR'],
  [2_500_000, 'money', 'EUR', '2.50 M EUR'],
  [12, 'duration', 'ms', '12 ms'],
  [3, 'count', undefined, '3'],
  [null, 'money', 'EUR', '–'],
])('writes %s of %s as people do', (value, role, unit, text) =>
  expect(writtenText(value, column('x', role, undefined, unit))).toBe(text),
);

it('says rare things per minute or hour', () => {
  expect(rateOf(24)).toEqual({ value: '24.0', unit: '/s' });
  expect(rateOf(0.05)).toEqual({ value: '3.0', unit: '/min' });
  expect(rateOf(0.0005).unit).toBe('/h');
  expect(compact(1_500)).toBe('1\u202f500');
});

it('takes the duration that tells slow ones best, and shares of what failed', () => {
  expect(telling(main)?.name).toBe('took_p95');
  expect(telling({ ...main, telling: null })).toBeNull();
  const row = { requests: 200, errors: 20, server_errors: 4, took_p95: 300 };
  expect(nowOf(main, row)).toEqual({ count: 200, failedShare: 10, graveShare: 2, slow: 300 });
  expect(nowOf({ ...main, failed: null }, row)?.failedShare).toBeNull();
});
