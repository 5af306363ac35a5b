import { expect, it } from 'vitest';
import { timeOf } from './logline';

it('has the milliseconds of today, and the whole date of any other day', () => {
  const today = '2026-11-27';
  expect(timeOf('2026-11-27T00:10:05.123000Z', today)).toEqual({ date: '', time: '00:10:05', rest: '.123' });
  expect(timeOf('2026-11-26T23:48:59.000000Z', today)).toEqual({
    date: '2026-11-26',
    time: '23:48:59',
    rest: '',
  });
  expect(timeOf('2015-05-17T10:05:03Z', today)).toMatchObject({ date: '2015-05-17', time: '10:05:03' });
  expect(timeOf(null, today)).toMatchObject({ date: '', time: '–' });
});
