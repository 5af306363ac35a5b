/**
 * What people type as a time is read as they mean it, and what is not is answered with what to write.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSearch } from './search';
import { type Reading, readRange, readTime } from './timetext';

/** A Thursday. */
const NOW = '2024-05-16T10:20:30Z';
const UTC: Reading = { now_ms: Date.parse(NOW), zone: 'utc' };

const short = (iso?: string) => iso?.replace(/:00\.000Z$/, '').replace(/\.000Z$/, '');

/** A read range as text: its name, or both ends. */
function read(text: string, reading: Reading = UTC): string {
  const found = readRange(text, reading);
  if (!found.ok) return `${found.error} ${found.hint}`;
  const { range, from, to } = found.search;
  // What is read has to survive the address.
  expect(readSearch(found.search as Record<string, unknown>)).toEqual(found.search);
  return range ?? (from === undefined ? 'auto' : `${short(from)} .. ${short(to) ?? ''}`);
}

describe('readRange', () => {
  it.each([
    ['', 'auto'],
    ['live', 'auto'],
    ['all', 'all'],
    ['All data', 'all'],
    ['10m', '10m'],
    ['10 min', '10m'],
    [' 90  minutes ', '90m'],
    ['2H', '2h'],
    ['last 15 min', '15m'],
    ['past 3 days', '3d'],
    ['last hour', '1h'],
    ['past week', '7d'],
    ['30 sec', '30s'],
    ['2w', '2w'],
    ['now-2h', '2h'],
    ['now - 2h', '2h'],
    ['-2h', '2h'],
    ['now-2h..now', '2h'],
    ['-2h ..', '2h'],
  ])('%j is the newest %s', (text, range) => expect(read(text)).toBe(range));

  it.each([
    ['yesterday', '2024-05-15T00:00 .. 2024-05-16T00:00'],
    ['Yesterday', '2024-05-15T00:00 .. 2024-05-16T00:00'],
    ['last week', '2024-05-06T00:00 .. 2024-05-13T00:00'],
    ['last month', '2024-04-01T00:00 .. 2024-05-01T00:00'],
    ['last year', '2023-01-01T00:00 .. 2024-01-01T00:00'],
    ['monday', '2024-05-13T00:00 .. 2024-05-14T00:00'],
    ['friday', '2024-05-10T00:00 .. 2024-05-11T00:00'],
    ['last thursday', '2024-05-09T00:00 .. 2024-05-10T00:00'],
    ['now-1d/d', '2024-05-15T00:00 .. 2024-05-16T00:00'],
    ['now-1w/w', '2024-05-06T00:00 .. 2024-05-13T00:00'],
  ])('%j is %s', (text, range) => expect(read(text)).toBe(range));

  it.each([
    ['today', '2024-05-16T00:00 .. '],
    ['this week', '2024-05-13T00:00 .. '],
    ['this month', '2024-05-01T00:00 .. '],
    ['2024-05-16', '2024-05-16T00:00 .. '],
    ['2024', '2024-01-01T00:00 .. '],
    ['2h ago', '2024-05-16T08:20:30 .. '],
    ['2024-05-12 ..', '2024-05-12T00:00 .. '],
    ['2024-05-12 14:00 .. now', '2024-05-12T14:00 .. '],
    ['since 2024-05-12', '2024-05-12T00:00 .. '],
    ['since yesterday', '2024-05-15T00:00 .. '],
    ['yesterday 14:00 ..', '2024-05-15T14:00 .. '],
    ['now/d ..', '2024-05-16T00:00 .. '],
  ])('%j goes on: %s', (text, range) => expect(read(text)).toBe(range));

  it.each([
    ['2024-05-12', '2024-05-12T00:00 .. 2024-05-13T00:00'],
    ['2024-5-2', '2024-05-02T00:00 .. 2024-05-03T00:00'],
    ['2024-04', '2024-04-01T00:00 .. 2024-05-01T00:00'],
    ['2015', '2015-01-01T00:00 .. 2016-01-01T00:00'],
    ['05-12', '2024-05-12T00:00 .. 2024-05-13T00:00'],
    ['11-26', '2023-11-26T00:00 .. 2023-11-27T00:00'],
    ['2024-02-29', '2024-02-29T00:00 .. 2024-03-01T00:00'],
    ['2024-05-12..20', '2024-05-12T00:00 .. 2024-05-21T00:00'],
    ['2024-05-12 .. 2024-06-01', '2024-05-12T00:00 .. 2024-06-02T00:00'],
    ['2024-05-12 to 05-14', '2024-05-12T00:00 .. 2024-05-15T00:00'],
    ['2023-12-30..2024-01-02', '2023-12-30T00:00 .. 2024-01-03T00:00'],
    ['2024-01..03', '2024-01-01T00:00 .. 2024-04-01T00:00'],
    ['2024-05-12 14:00 .. 15:30', '2024-05-12T14:00 .. 2024-05-12T15:30'],
    ['2024-05-12 14:00..2024-05-13 01:00', '2024-05-12T14:00 .. 2024-05-13T01:00'],
    ['2024-05-12 22:00 .. 02:00', '2024-05-12T22:00 .. 2024-05-13T02:00'],
    ['2024-05-12 14:00 - 15:30', '2024-05-12T14:00 .. 2024-05-12T15:30'],
    ['2024-05-12 14:00 – 15:30', '2024-05-12T14:00 .. 2024-05-12T15:30'],
    ['from 2024-05-12 14:00 until 15:30', '2024-05-12T14:00 .. 2024-05-12T15:30'],
    ['2024-05-12 23:00 .. 24:00', '2024-05-12T23:00 .. 2024-05-13T00:00'],
    ['2024-05-12T14:00:05 .. 14:00:07', '2024-05-12T14:00:05 .. 2024-05-12T14:00:07'],
    ['2024-05-12 14:00', '2024-05-12T14:00 .. 2024-05-12T15:00'],
    ['09:00 .. 10:00', '2024-05-16T09:00 .. 2024-05-16T10:00'],
    ['9:00-10:00', '2024-05-16T09:00 .. 2024-05-16T10:00'],
    ['23:00', '2024-05-15T23:00 .. 2024-05-16T00:00'],
    ['23:00 .. 01:00', '2024-05-15T23:00 .. 2024-05-16T01:00'],
    ['yesterday 14:00 .. 15:00', '2024-05-15T14:00 .. 2024-05-15T15:00'],
    ['yesterday .. today', '2024-05-15T00:00 .. 2024-05-17T00:00'],
    ['now-2h .. now-1h', '2024-05-16T08:20:30 .. 2024-05-16T09:20:30'],
    ['2h ago .. 1h ago', '2024-05-16T08:20:30 .. 2024-05-16T09:20:30'],
    ['2024-05-12T14:00Z .. 2024-05-12T15:00+02:00', null],
    ['2024-05-12T14:00:00+02:00 .. 2024-05-12T14:00:00Z', '2024-05-12T12:00 .. 2024-05-12T14:00'],
    ['2024-05-12T14:00:00Z/2024-05-12T15:00:00Z', '2024-05-12T14:00 .. 2024-05-12T15:00'],
    ['1715522400 .. 1715526000', '2024-05-12T14:00 .. 2024-05-12T15:00'],
    ['1715522400000 .. 1715526000000', '2024-05-12T14:00 .. 2024-05-12T15:00'],
  ])('%j is %s', (text, range) => {
    if (range === null) expect(read(text)).toMatch(/^The range ends before it begins/);
    else expect(read(text)).toBe(range);
  });

  it('begins with the oldest record where it has no begin', () => {
    const oldest_ms = Date.parse('2015-05-17T10:05:03Z');
    expect(read('.. 2024-05-12', { ...UTC, oldest_ms })).toBe('2015-05-17T10:05:03 .. 2024-05-13T00:00');
    expect(read('until 2024-05-12', { ...UTC, oldest_ms })).toBe('2015-05-17T10:05:03 .. 2024-05-13T00:00');
    expect(read('.. 2024-05-12')).toMatch(/no begin/);
  });

  it.each([
    ['foo', '“foo” is not a time. Write 10m, yesterday, 2024-05-12, or 2024-05-12 14:00 .. 15:30.'],
    ['10', '“10” has no unit. Write 10m, 10h or 10d.'],
    ['10x', '“x” is not a unit of time. Write 10m, 10h or 10d.'],
    ['10M', 'Months differ in length. Write 300d.'],
    ['2 years', 'Years differ in length. Write 730d.'],
    ['0m', '“0m” has no length. Write 1m or more.'],
    ['99999999d', '“99999999d” is longer than 100 years. Write all.'],
    ['2024-02-30', '2024-02 has no day 30. Write 2024-02-01 to 2024-02-29.'],
    ['2024-13-01', 'There is no month 13. Write 2024-01 to 2024-12.'],
    ['2024-05-12 25:00', '25:00 is not a time of day. Write 00:00 to 23:59.'],
    ['2024-05-12 14:60 .. 15:00', '14:60 is not a time of day. Write 00:00 to 23:59.'],
    ['05/12/2024', '“05/12/2024” can be read in two ways. Write 2024-05-12, the month before the day.'],
    ['12.5.2024', '“12.5.2024” is not in the form year-month-day. Write 2024-05-12.'],
    ['2024/5/2', '“2024/5/2” is not in the form year-month-day. Write 2024-05-02.'],
    ['2pm', 'Times of day have 24 hours. Write 14:00.'],
    ['yesterday 12:30 am', 'Times of day have 24 hours. Write yesterday 00:30.'],
    [
      '2024-05-20..12',
      'The range ends before it begins: 12 is before 2024-05-20. Write the earlier time first.',
    ],
    [
      '..',
      'The range has neither begin nor end. Write 10m, yesterday, 2024-05-12, or 2024-05-12 14:00 .. 15:30.',
    ],
    ['2030-01-01 ..', '2030-01-01 has not come yet. Write a time before now, or both ends of the range.'],
    ['2024-05-12 14:00 .. 2024-05-12 14:00', null],
  ])('%j is refused', (text, said) => {
    if (said === null) expect(read(text)).toMatch(/^The range has no length/);
    else expect(read(text)).toBe(said);
  });
});

describe('in a zone of its own', () => {
  const before = process.env.TZ;
  beforeAll(() => {
    process.env.TZ = 'America/New_York';
  });
  afterAll(() => {
    process.env.TZ = before;
  });
  const local: Reading = { ...UTC, zone: 'local' };

  it.each([
    ['2024-05-12', '2024-05-12T04:00 .. 2024-05-13T04:00'],
    ['today', '2024-05-16T04:00 .. '],
    ['2024-05-12 14:00 .. 15:30', '2024-05-12T18:00 .. 2024-05-12T19:30'],
    // The day on which the clock goes forward has 23 hours, and that on which it goes back 25.
    ['2024-03-10', '2024-03-10T05:00 .. 2024-03-11T04:00'],
    ['2023-11-05', '2023-11-05T04:00 .. 2023-11-06T05:00'],
    ['2024-05-12T14:00:00Z .. 2024-05-12T15:00:00Z', '2024-05-12T14:00 .. 2024-05-12T15:00'],
    ['now-2h .. now-1h', '2024-05-16T08:20:30 .. 2024-05-16T09:20:30'],
  ])('%j is %s', (text, range) => expect(read(text, local)).toBe(range));
});

describe('readTime', () => {
  const at = (text: string) => {
    const found = readTime(text, UTC);
    return found.ok ? short(new Date(found.ms).toISOString()) : `${found.error} ${found.hint}`;
  };
  it.each([
    ['2024-05-12 14:00', '2024-05-12T14:00'],
    ['2024-05-12', '2024-05-12T00:00'],
    ['09:30', '2024-05-16T09:30'],
    ['11:30', '2024-05-15T11:30'],
    ['now-2h', '2024-05-16T08:20:30'],
    ['yesterday', '2024-05-15T00:00'],
    ['yesterday at 10:00', '2024-05-15T10:00'],
    ['', 'There is no time. Write 2024-05-12 14:00, 14:00, yesterday, or now-2h.'],
    ['noon', '“noon” is not a time. Write 2024-05-12 14:00, 14:00, yesterday, or now-2h.'],
  ])('%j is %s', (text, time) => expect(at(text)).toBe(time));
});
