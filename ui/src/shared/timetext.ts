/**
 * Times as people type them: `10m`, `now-2h`, `yesterday`, `2024-05-12..20`, `2024-05-12 14:00 .. 15:30`, `last week`,
 * ISO. What cannot be read is answered with what is wrong and what to write instead. Pure functions.
 */
import { type Range, type RangeSearch, rangeLength_ms } from './search';
import { type Clock, clockOf, instantOf, type Zone } from './zone';

/** What a text is read against. */
export interface Reading {
  now_ms: number;
  zone: Zone;
  /** The oldest record, for a range without a begin; `null` while it is not known. */
  oldest_ms?: number | null;
}

export type RangeRead = { ok: true; search: RangeSearch } | Refused;
export type TimeRead = { ok: true; ms: number } | Refused;

interface Refused {
  ok: false;
  /** What is wrong, as a sentence. */
  error: string;
  /** What to write, as a sentence. */
  hint: string;
}

const EXAMPLES = 'Write 10m, yesterday, 2024-05-12, or 2024-05-12 14:00 .. 15:30.';
const TIME_EXAMPLES = 'Write 2024-05-12 14:00, 14:00, yesterday, or now-2h.';

/** A typed range of time. Nothing is the range that is chosen by itself. */
export function readRange(text: string, reading: Reading): RangeRead {
  const typed = tidy(text);
  if (typed === '' || typed === 'auto' || typed === 'live') return { ok: true, search: {} };
  if (typed === 'all' || typed === 'all data') return { ok: true, search: { range: 'all' } };
  return attempt(() => {
    const length = lengthOf(typed);
    if (length !== null) return { ok: true, search: { range: length } };
    const ends = splitEnds(typed);
    return { ok: true, search: ends === null ? alone(typed, reading) : between(ends, reading) };
  });
}

/** A typed point in time. A day is its midnight. */
export function readTime(text: string, reading: Reading): TimeRead {
  return attempt(() => {
    const typed = tidy(text);
    if (typed === '') return refuse('There is no time.', TIME_EXAMPLES);
    const [ms] = periodOf(typed, reading, null, TIME_EXAMPLES);
    return { ok: true, ms };
  });
}

/** From the first instant of a period to the first after it, in milliseconds. Of a point in time both are the same. */
type Period = readonly [from: number, to: number];

class Refusal extends Error {
  constructor(readonly refused: Refused) {
    super(refused.error);
  }
}

function refuse(error: string, hint: string): never {
  throw new Refusal({ ok: false, error, hint });
}

function attempt<Read>(read: () => Read): Read | Refused {
  try {
    return read();
  } catch (error) {
    if (error instanceof Refusal) return error.refused;
    throw error;
  }
}

function tidy(text: string): string {
  return (
    text
      .trim()
      .replace(/[\u2013\u2014\u2212]/g, '-')
      .replace(/\s+/g, ' ')
      // Elsewhere an M is months, and an m minutes.
      .replace(/(\d) ?M\b/g, '$1 months')
      .toLowerCase()
  );
}

const UNITS: Record<string, 's' | 'm' | 'h' | 'd' | 'w'> = {
  ...{ s: 's', sec: 's', secs: 's', second: 's', seconds: 's' },
  ...{ m: 'm', min: 'm', mins: 'm', minute: 'm', minutes: 'm' },
  ...{ h: 'h', hr: 'h', hrs: 'h', hour: 'h', hours: 'h' },
  ...{ d: 'd', day: 'd', days: 'd' },
  ...{ w: 'w', wk: 'w', week: 'w', weeks: 'w' },
};

const LENGTH_MAX_MS = 100 * 366 * 86_400_000;

function durationOf(count: string, unit: string): Exclude<Range, 'all'> {
  if (unit === 'am' || unit === 'pm') refused(`${count}${unit}`, EXAMPLES);
  const known = UNITS[unit];
  const write = `Write ${Number(count) || 10}m, ${Number(count) || 10}h or ${Number(count) || 10}d.`;
  if (known === undefined) {
    if (/^mo/.test(unit)) refuse('Months differ in length.', `Write ${30 * Number(count)}d.`);
    if (/^y/.test(unit)) refuse('Years differ in length.', `Write ${365 * Number(count)}d.`);
    refuse(`“${unit}” is not a unit of time.`, write);
  }
  const range: Exclude<Range, 'all'> = `${Number(count)}${known}`;
  const length_ms = rangeLength_ms(range);
  if (length_ms === 0) refuse(`“${count}${unit}” has no length.`, 'Write 1m or more.');
  if (!(length_ms <= LENGTH_MAX_MS)) refuse(`“${count}${unit}” is longer than 100 years.`, 'Write all.');
  return range;
}

/** `10m`, `10 minutes`, `last 10 min`, `last hour`, `past day`, `now-10m`: so long, up to now. */
function lengthOf(typed: string): Range | null {
  const found = /^(?:(?:last|past|newest) |now ?- ?|-)?(\d+) ?([a-z]+)$/.exec(typed);
  if (found !== null) return durationOf(found[1] ?? '', found[2] ?? '');
  if (/^(last|past) hour$/.test(typed)) return '1h';
  if (/^(last|past) (minute|min)$/.test(typed)) return '1m';
  if (typed === 'past day') return '24h';
  if (typed === 'past week') return '7d';
  return null;
}

/** Both ends of `a .. b`, `a to b`, `a - b`, ISO's `a/b`; one of them may be empty. */
function splitEnds(typed: string): readonly [string, string] | null {
  const found =
    /^(.*?) ?\.\.+ ?(.*)$/.exec(typed) ??
    /^(?:from )?(.+?) (?:to|until|till) (.+)$/.exec(typed) ??
    /^(?:since|from) (.+)()$/.exec(typed) ??
    /^(?:()(?:until|till|before)) (.+)$/.exec(typed) ??
    /^(\d{4}-.+)\/(\d{4}-.+)$/.exec(typed) ??
    /^(.+?) - (.+)$/.exec(typed) ??
    /^(\d{1,2}:\d\d(?::\d\d)?)-(\d{1,2}:\d\d(?::\d\d)?)$/.exec(typed);
  return found === null ? null : [(found[1] ?? '').trim(), (found[2] ?? '').trim()];
}

/** What one time stands for: a day is that day, an hour and minute the hour that begins there. */
function alone(typed: string, reading: Reading): RangeSearch {
  const [from, to] = periodOf(typed, reading, null, EXAMPLES);
  // What is not over yet goes on.
  if (from < to) return from < reading.now_ms && reading.now_ms < to ? { from: iso(from) } : fixed(from, to);
  if (from >= reading.now_ms && /^now/.test(typed))
    refuse('A range needs a length.', 'Write 10m, or now-2h .. now-1h.');
  if (/ ago$/.test(typed)) return { from: iso(from) };
  return fixed(from, from + 3_600_000);
}

function between([first, last]: readonly [string, string], reading: Reading): RangeSearch {
  if (first === '' && last === '') refuse('The range has neither begin nor end.', EXAMPLES);
  const isOpen = last === '' || last === 'now';
  if (first === '') {
    const [, to] = periodOf(last, reading, null, EXAMPLES);
    const oldest = reading.oldest_ms ?? null;
    if (oldest === null) refuse('The range has no begin.', `Write 2024-05-12 .. ${last}.`);
    return ordered(oldest, to, 'the oldest record', last);
  }
  if (isOpen) {
    const length = /^(?:now ?- ?|-)(\d+) ?([a-z]+)$/.exec(first);
    if (length !== null) return { range: durationOf(length[1] ?? '', length[2] ?? '') };
    const [from] = periodOf(first, reading, null, EXAMPLES);
    if (from >= reading.now_ms)
      refuse(`${first} has not come yet.`, 'Write a time before now, or both ends of the range.');
    return { from: iso(from) };
  }
  const begin = periodOf(first, reading, null, EXAMPLES);
  const [, to] = periodOf(last, reading, { of: first, ms: begin[0] }, EXAMPLES);
  return ordered(begin[0], to, first, last);
}

function ordered(from: number, to: number, first: string, last: string): RangeSearch {
  if (from < to) return fixed(from, to);
  if (from === to) refuse(`The range has no length: both ends are ${last}.`, 'Move one of them.');
  refuse(`The range ends before it begins: ${last} is before ${first}.`, 'Write the earlier time first.');
}

function fixed(from: number, to: number): RangeSearch {
  return { from: iso(from), to: iso(to) };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** The begin of the same range: its end may leave out what it shares with it. */
interface Begin {
  of: string;
  ms: number;
}

function periodOf(typed: string, reading: Reading, begin: Begin | null, examples: string): Period {
  return (
    relative(typed, reading) ??
    named(typed, reading) ??
    instant(typed) ??
    dated(typed, reading, begin) ??
    refused(typed, examples)
  );
}

/** `now`, `now-2h`, `now-1d/d` with the unit it is cut to, `2h ago`. */
function relative(typed: string, { now_ms, zone }: Reading): Period | null {
  if (typed === 'now') return [now_ms, now_ms];
  const found =
    /^now(?: ?([+-]) ?(\d+) ?([a-z]+))?(?:\/([a-z]+))?$/.exec(typed) ??
    /^(-)(\d+) ?([a-z]+)$/.exec(typed) ??
    /^()(\d+) ?([a-z]+) ago$/.exec(typed);
  if (found === null) return null;
  const [, sign = '', count, unit, cut] = found;
  const by = count === undefined ? 0 : rangeLength_ms(durationOf(count, unit ?? ''));
  const at = now_ms + (sign === '+' ? by : -by);
  if (cut === undefined) return [at, at];
  const known = UNITS[cut];
  if (known === undefined || known === 's') refuse(`“/${cut}” is not a unit.`, 'Write now/d or now-1w/w.');
  return unitAt(known, clockOf(at, zone), zone);
}

/** The minute, hour, day or week, from Monday on, that has this time. */
function unitAt(unit: 'm' | 'h' | 'd' | 'w', { year, month, day, hour, minute }: Clock, zone: Zone): Period {
  const make = (clock: Partial<Clock>) => instantOf({ year, month, day, ...clock }, zone);
  switch (unit) {
    case 'm':
      return [make({ hour, minute }), make({ hour, minute: minute + 1 })];
    case 'h':
      return [make({ hour }), make({ hour: hour + 1 })];
    case 'd':
      return [make({}), make({ day: day + 1 })];
    case 'w': {
      const monday = day - ((new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 6) % 7);
      return [make({ day: monday }), make({ day: monday + 7 })];
    }
  }
}

const WEEKDAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];

/** `today`, `yesterday at 14:00`, `last week`, `this month`, `monday`. */
function named(typed: string, { now_ms, zone }: Reading): Period | null {
  const clock = clockOf(now_ms, zone);
  const { year, month, day } = clock;
  const weekday = (new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 6) % 7;
  const at = /^(today|yesterday|tomorrow|[a-z]+day)(?: at|,)? (\d{1,2}:\d\d.*)$/.exec(typed);
  if (at !== null) {
    const start = named(at[1] ?? '', { now_ms, zone });
    const time = timeOfDay(at[2] ?? '');
    if (start === null || time === null) return null;
    const ms = instantOf({ ...clockOf(start[0], zone), ...time }, zone);
    return [ms, ms];
  }
  const dayAt = (by: number): Period => [
    instantOf({ year, month, day: day + by }, zone),
    instantOf({ year, month, day: day + by + 1 }, zone),
  ];
  if (typed === 'today') return dayAt(0);
  if (typed === 'yesterday') return dayAt(-1);
  if (typed === 'tomorrow') return dayAt(1);
  if (typed === 'midnight') return [dayAt(0)[0], dayAt(0)[0]];
  const known = WEEKDAYS.findIndex(it => typed === it || typed === `last ${it}` || typed === it.slice(0, 3));
  if (known >= 0) return dayAt(-((weekday - known + 7) % 7 || (typed.startsWith('last ') ? 7 : 0)));
  const found = /^(this|last|previous) (hour|day|week|month|year)$/.exec(typed);
  if (found === null) return null;
  const by = found[1] === 'this' ? 0 : -1;
  switch (found[2]) {
    case 'hour':
      return unitAt('h', { ...clock, hour: clock.hour + by }, zone);
    case 'day':
      return dayAt(by);
    case 'week': {
      const monday = day - weekday + 7 * by;
      return [
        instantOf({ year, month, day: monday }, zone),
        instantOf({ year, month, day: monday + 7 }, zone),
      ];
    }
    case 'month':
      return [instantOf({ year, month: month + by }, zone), instantOf({ year, month: month + by + 1 }, zone)];
    default:
      return [instantOf({ year: year + by }, zone), instantOf({ year: year + by + 1 }, zone)];
  }
}

/** ISO with its own zone, and seconds or milliseconds since 1970. */
function instant(typed: string): Period | null {
  if (/^\d{10}$/.test(typed)) return [1000 * Number(typed), 1000 * Number(typed)];
  if (/^\d{13}$/.test(typed)) return [Number(typed), Number(typed)];
  const found = /^(\d{4}-\d\d-\d\d)[t ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?) ?(z|utc|[+-]\d\d(?::?\d\d)?)$/.exec(
    typed,
  );
  if (found === null) return null;
  const [, date = '', time = '', zone = ''] = found;
  dayOf(date);
  if (timeOfDay(time) === null) return null;
  const shift =
    zone === 'z' || zone === 'utc' ? 'Z' : `${zone.slice(0, 3)}:${zone.slice(3).replace(':', '') || '00'}`;
  const ms = Date.parse(`${date}T${time}${shift}`);
  return Number.isNaN(ms) ? null : [ms, ms];
}

/** Dates and times of day. What the end of a range leaves out is as at its begin. */
function dated(typed: string, { now_ms, zone }: Reading, begin: Begin | null): Period | null {
  const now = clockOf(now_ms, zone);
  const base = begin === null ? now : clockOf(begin.ms, zone);
  const whole = /^(?:(.+?)(?: at|,)?[t ])?(\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?)$/.exec(typed);
  if (whole !== null) {
    const [, date, clock = ''] = whole;
    const time = timeOfDay(clock);
    if (time === null) return null;
    if (date === undefined)
      return onNearestDay(time, base, begin === null ? null : begin.ms, { now_ms, zone });
    const on = dateOf(date, base, now, begin);
    if (on?.precision !== 'day') return null;
    const ms = instantOf({ year: on.year, month: on.month, day: on.day, ...time }, zone);
    return [ms, ms];
  }
  const on = dateOf(typed, base, now, begin);
  if (on === null) return null;
  const { year, month, day } = on;
  switch (on.precision) {
    case 'year':
      return [instantOf({ year }, zone), instantOf({ year: year + 1 }, zone)];
    case 'month':
      return [instantOf({ year, month }, zone), instantOf({ year, month: month + 1 }, zone)];
    default:
      return [instantOf({ year, month, day }, zone), instantOf({ year, month, day: day + 1 }, zone)];
  }
}

/** A time of day without a date: the newest there was, or the first after the begin of its range. */
function onNearestDay(
  time: Partial<Clock>,
  { year, month, day }: Dated,
  begin_ms: number | null,
  { now_ms, zone }: Reading,
): Period {
  const at = (by: number) => instantOf({ year, month, day: day + by, ...time }, zone);
  const ms = begin_ms === null ? (at(0) > now_ms ? at(-1) : at(0)) : at(0) < begin_ms ? at(1) : at(0);
  return [ms, ms];
}

interface Dated {
  year: number;
  month: number;
  day: number;
  precision?: 'year' | 'month' | 'day';
}

/** `2024`, `2024-05`, `2024-05-12`, `05-12`; at the end of a range `12` too, or a month after one. */
function dateOf(typed: string, base: Dated, now: Dated, begin: Begin | null): Dated | null {
  const day = /^(\d{4})-(\d{1,2})-(\d{1,2})$/.exec(typed);
  if (day !== null) return { ...dayOf(typed), precision: 'day' };
  const month = /^(\d{4})-(\d{1,2})$/.exec(typed);
  if (month !== null) return { ...monthOf(Number(month[1]), Number(month[2])), precision: 'month' };
  if (/^(19|20|21)\d\d$/.test(typed)) return { year: Number(typed), month: 1, day: 1, precision: 'year' };
  const short = /^(\d{1,2})-(\d{1,2})$/.exec(typed);
  if (short !== null) {
    const [mm, dd] = [Number(short[1]), Number(short[2])];
    // Of two years the one in which it is past, or in which the range begins.
    const isLater = begin === null && (mm > now.month || (mm === now.month && dd > now.day));
    return { ...checked(base.year - (isLater ? 1 : 0), mm, dd), precision: 'day' };
  }
  if (begin === null || !/^\d{1,2}$/.test(typed)) return null;
  if (/^\d{4}-\d{1,2}$/.test(begin.of)) return { ...monthOf(base.year, Number(typed)), precision: 'month' };
  return { ...checked(base.year, base.month, Number(typed)), precision: 'day' };
}

function dayOf(typed: string): Dated {
  const [year = 0, month = 0, day = 0] = typed.split('-').map(Number);
  return checked(year, month, day);
}

function monthOf(year: number, month: number): Dated {
  if (month < 1 || month > 12) refuse(`There is no month ${month}.`, `Write ${year}-01 to ${year}-12.`);
  return { year, month, day: 1 };
}

function checked(year: number, month: number, day: number): Dated {
  monthOf(year, month);
  const last = new Date(Date.UTC(year, month, 0)).getUTCDate();
  const text = `${year}-${String(month).padStart(2, '0')}`;
  if (day < 1 || day > last) refuse(`${text} has no day ${day}.`, `Write ${text}-01 to ${text}-${last}.`);
  return { year, month, day };
}

function timeOfDay(typed: string): Pick<Clock, 'hour' | 'minute' | 'second' | 'ms'> | null {
  const found = /^(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?$/.exec(typed);
  if (found === null) return null;
  const [hour, minute, second] = [Number(found[1]), Number(found[2]), Number(found[3] ?? 0)];
  const isEnd = hour === 24 && minute === 0 && second === 0;
  if ((hour > 23 && !isEnd) || minute > 59 || second > 59)
    refuse(`${typed} is not a time of day.`, 'Write 00:00 to 23:59.');
  return { hour, minute, second, ms: Number((found[4] ?? '').padEnd(3, '0').slice(0, 3)) };
}

/** The commonest other ways to write a time are answered with ours. */
function refused(typed: string, examples: string): never {
  const us = /^(\d{1,2})\/(\d{1,2})\/(\d{4})/.exec(typed);
  const german = /^(\d{1,2})\.(\d{1,2})\.(\d{4})/.exec(typed);
  const slashed = /^(\d{4})[/.](\d{1,2})[/.](\d{1,2})/.exec(typed);
  const two = (text = '') => text.padStart(2, '0');
  if (us !== null)
    refuse(
      `“${typed}” can be read in two ways.`,
      `Write ${us[3]}-${two(us[1])}-${two(us[2])}, the month before the day.`,
    );
  if (german !== null)
    refuse(
      `“${typed}” is not in the form year-month-day.`,
      `Write ${german[3]}-${two(german[2])}-${two(german[1])}.`,
    );
  if (slashed !== null)
    refuse(
      `“${typed}” is not in the form year-month-day.`,
      `Write ${slashed[1]}-${two(slashed[2])}-${two(slashed[3])}.`,
    );
  const half = /^(.* )?(\d{1,2})(?::(\d\d))? ?(am|pm)$/i.exec(typed);
  if (half !== null) {
    const hour = (Number(half[2]) % 12) + (/p/i.test(half[4] ?? '') ? 12 : 0);
    refuse('Times of day have 24 hours.', `Write ${half[1] ?? ''}${two(String(hour))}:${half[3] ?? '00'}.`);
  }
  if (/^\d{1,2}$/.test(typed)) refuse(`“${typed}” has no unit.`, `Write ${typed}m, ${typed}h or ${typed}d.`);
  refuse(`“${typed}” is not a time.`, examples);
}
