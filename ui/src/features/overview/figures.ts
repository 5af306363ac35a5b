/**
 * The numbers of the tiles: of the newest seconds, or of a fixed range; and how they differ from an hour and a day ago. Pure
 * functions. What a dataflow does not count has no tile; a number that is not known is a dash, never a zero.
 */
import type { Metrics, Row } from '../../api/wire';
import { formatNumber, numberOf, quantifyBytes } from '../../shared/format';
import {
  type Column,
  type Counted,
  compact,
  FAILED_SHARE,
  type Page,
  rateOf,
  telling,
  titleOfColumn,
  written,
} from '../../shared/page';
import type { History } from './model';
import { usualOf } from './rates';
import type { TileName } from './world';

export interface Tile {
  name: string;
  label: string;
  value: string;
  unit: string;
  /** More digits, or why there is no value. */
  title?: string;
  curve: readonly (number | null)[];
  /** Short facts below. */
  notes: readonly string[];
  /** What the model of the world calls it. */
  watched?: TileName;
  /** The view it is from. */
  receipt: string | null;
}

type Values = readonly (number | null)[];

const HOUR_S = 3_600;
/** Beside rate, failures and what all dataflows have, so many figures have a tile. */
const FIGURES_MAX = 4;

export interface Observations {
  page: Page;
  metrics: Metrics | null;
  /** Earlier ones, oldest first. */
  before: readonly Metrics[];
  /** The row of the view of the newest seconds, else of the newest whole window. */
  row: Row | null;
  history: History | null;
}

/** The view that the tiles are of: of the newest seconds, else of whole windows. */
export function tilesFrom({ now, main }: Pick<Page, 'now' | 'main'>): Counted | null {
  return now ?? main ?? null;
}

/** Of the newest seconds. */
export function tilesOf({ page, metrics, before, row, history }: Observations): Tile[] {
  const from = tilesFrom(page);
  const isSliding = page.now != null;
  const shown = from === null ? [] : figuresShown(from);
  const fact = spanText(from, isSliding);
  const of = (name: string) => (row === null ? null : numberOf(row[name]));
  const notes = (now: number | null, column: string, by: number, usual: string | null): string[] => {
    if (!isSliding && from !== null) return fact === null ? [] : [fact];
    // Before the history came, nothing is known of then.
    if (history === null) return [];
    const ago = (values: Record<string, number> | null | undefined) => {
      const value = values?.[column];
      return value === undefined ? null : value / by;
    };
    const hour = changeOf(now, ago(history.hour_ago), '1 h');
    const day = ago(history.day_ago) === null ? null : changeOf(now, ago(history.day_ago), '1 d');
    return [hour, day, usual].filter(it => it !== null);
  };
  const usual = (name: string, decimals: (high: number) => number, count?: string) => {
    const range = usualOf(history, name, count);
    if (range === null) return null;
    const places = decimals(range.high);
    return `usual ${formatNumber(range.low, places)}–${formatNumber(range.high, places)}`;
  };
  const perSecond = metrics?.eventsPerSec ?? null;
  const rate = rateOf(perSecond);
  const tiles: Tile[] = [
    {
      name: 'events',
      label: 'Events',
      value: rate.value,
      unit: isSliding ? rate.unit : `${rate.unit} read`,
      curve: before.map(it => it.eventsPerSec),
      notes:
        isSliding && page.main != null
          ? notes(
              perSecond,
              page.main.count,
              history?.window_seconds ?? 60,
              usual(page.main.count, high => (high < 100 ? 1 : 0), page.main.count),
            )
          : [],
      watched: 'events',
      receipt: page.now?.view ?? null,
    },
  ];
  if (from?.failed != null) {
    const [all, failed] = [of(from.count), of(from.failed)];
    const share = all === null || failed === null || all === 0 ? null : (100 * failed) / all;
    tiles.push({
      name: 'errors',
      label: 'Error rate',
      value: formatNumber(share, 1),
      unit: '%',
      curve: wholeSteps(history, FAILED_SHARE),
      notes: notes(
        share,
        FAILED_SHARE,
        1,
        usual(FAILED_SHARE, () => 1),
      ),
      watched: 'errors',
      receipt: from.view,
      ...absent(share, metrics),
    });
  }
  const slow = from === null ? null : telling(from);
  for (const column of shown) {
    const value = of(column.name);
    const isRate = isSliding && column.adds_up && column.role === 'bytes';
    const seconds = from?.window_seconds ?? 60;
    const text = written(isRate && value !== null ? value / seconds : value, column);
    const range = usual(column.name, high => (high < 10 ? 1 : 0));
    tiles.push({
      name: column.name,
      label: titleOfColumn(column),
      value: text.value,
      unit: `${text.unit}${isRate ? '/s' : ''}${perOf(column, seconds, isRate)}`.trim(),
      curve: wholeSteps(history, column.name),
      notes: notes(value, column.name, 1, column === slow ? range : null),
      ...(column === slow && { watched: 'latency' as const }),
      receipt: from?.view ?? null,
      ...absent(value, metrics),
    });
  }
  const processed = quantifyBytes(metrics?.dataProcessed);
  tiles.push({
    name: 'volume',
    label: 'Data processed',
    value: processed.value,
    unit: processed.unit,
    curve: [],
    notes: [],
    title: 'Bytes read from all sources, ever',
    receipt: null,
  });
  const lastHour = sumOf(history?.overall[page.main?.count ?? ''], history, HOUR_S);
  const total = metrics?.totalRequests ?? null;
  tiles.push({
    name: 'total',
    label: `Total ${page.total?.noun ?? 'records'}`,
    value: compact(total),
    unit: '',
    curve: [],
    notes: lastHour === null ? [] : [`+${formatNumber(lastHour)} in 1 h`],
    title: formatNumber(total),
    receipt: page.total?.view ?? null,
  });
  return tiles;
}

/** What a column was in the steps that are over: one that is still open has counted only a part, and would look like a drop. */
function wholeSteps(history: History | null, column: string): (number | null)[] {
  if (history === null) return [];
  const { times, step_seconds, as_of, overall } = history;
  const asOf_s = Date.parse(as_of) / 1000;
  return (overall[column] ?? []).filter((_, at) => (times[at] ?? 0) + step_seconds <= asOf_s);
}

function absent(value: number | null, metrics: Metrics | null): Pick<Tile, 'title'> {
  return value === null && metrics !== null ? { title: 'No records of this time have it.' } : {};
}

/** What a figure that grows with time is counted over. */
function perOf(column: Column, seconds: number, isRate: boolean): string {
  if (isRate || !(column.adds_up || column.statistic === 'distinct')) return '';
  return ` ${perSpan(seconds)}`;
}

function perSpan(seconds: number): string {
  if (seconds === 60) return '/min';
  if (seconds === 3_600) return '/h';
  if (seconds === 86_400) return '/d';
  return seconds % 60 === 0 ? `/${seconds / 60} min` : `/${seconds} s`;
}

function wholeOf(seconds: number): string {
  if (seconds === 60) return 'minutes';
  if (seconds === 3_600) return 'hours';
  if (seconds === 86_400) return 'days';
  return 'windows';
}

function spanText(from: Counted | null, isSliding: boolean): string | null {
  if (from === null || isSliding || from.window_seconds == null) return null;
  const seconds = from.window_seconds;
  if (seconds === 3_600) return 'newest whole hour';
  if (seconds === 60) return 'newest whole minute';
  if (seconds === 86_400) return 'newest whole day';
  return `newest whole ${seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`}`;
}

/** The figures worth a tile: mean and slowest durations, then one of each other kind, then what is left. */
export function figuresShown(counted: Pick<Counted, 'figures' | 'telling'>): Column[] {
  const { figures } = counted;
  const slow = telling(counted);
  const mean = figures.find(it => it.role === 'duration' && it.statistic === 'mean');
  const chosen: Column[] = [mean, slow].filter(it => it != null);
  const kinds = new Set(['duration']);
  const kindOf = (it: Column) => (it.statistic === 'distinct' ? 'distinct' : it.role);
  for (const it of figures) {
    if (kinds.has(kindOf(it))) continue;
    kinds.add(kindOf(it));
    chosen.push(it);
  }
  for (const it of figures)
    if (!chosen.includes(it) && it.role !== 'duration' && it.role !== 'bytes') chosen.push(it);
  return [...new Set(chosen)].slice(0, FIGURES_MAX);
}

/** Of a fixed range, from its history. */
export function tilesOfRange(history: History, main: Counted): Tile[] {
  const { overall, times, step_seconds } = history;
  const sum = (name: string) => sumOf(overall[name], history, Number.POSITIVE_INFINITY);
  const count = sum(main.count);
  const seconds = times.length * step_seconds;
  const rate = rateOf(count === null ? null : count / Math.max(1, seconds));
  const window = perSpan(history.window_seconds).slice(1);
  // A range may begin and end within a window, whose records are counted as a whole.
  const counted = `in the range, by whole ${wholeOf(history.window_seconds)}`;
  const tiles: Tile[] = [
    {
      name: 'events',
      label: 'Events',
      value: rate.value,
      unit: rate.unit,
      curve: (overall[main.count] ?? []).map(value => (value === null ? null : value / step_seconds)),
      notes: ['mean of the range'],
      receipt: null,
    },
  ];
  if (main.failed != null) {
    const failed = sum(main.failed);
    const share = count === null || failed === null || count === 0 ? null : (100 * failed) / count;
    tiles.push({
      name: 'errors',
      label: 'Error rate',
      value: formatNumber(share, 1),
      unit: '%',
      curve: overall[FAILED_SHARE] ?? [],
      notes: [`${formatNumber(failed)} failed ${main.noun}`],
      receipt: null,
    });
  }
  for (const column of figuresShown(main)) {
    const values = overall[column.name] ?? [];
    const value = column.adds_up ? sum(column.name) : worst(values);
    const text = written(value, column);
    tiles.push({
      name: column.name,
      label: titleOfColumn(column),
      value: text.value,
      unit: `${text.unit}${column.statistic === 'distinct' ? ` /${window}` : ''}`.trim(),
      curve: values,
      notes: [column.adds_up ? counted : `largest of any ${window} of the range`],
      receipt: null,
    });
  }
  tiles.push({
    name: 'total',
    label: `${main.noun.charAt(0).toUpperCase()}${main.noun.slice(1)}`,
    value: compact(count),
    unit: '',
    title: formatNumber(count),
    curve: [],
    notes: [counted],
    receipt: null,
  });
  return tiles;
}

function worst(values: Values): number | null {
  const known = values.filter(value => value !== null);
  return known.length === 0 ? null : known.reduce((most, value) => Math.max(most, value));
}

/** In words; a person reads "– 1 h" as "minus one hour". */
export function changeOf(now: number | null, before: number | null, ago: string): string | null {
  if (now === null) return null;
  if (before === null) return `no data ${ago} ago`;
  if (before === 0) return now === 0 ? `same as ${ago} ago` : `none ${ago} ago`;
  const percent = 100 * (now / before - 1);
  const size = Math.abs(percent);
  if (size > 999) return `${formatNumber(now / before)}× vs ${ago} ago`;
  if (size < 0.5) return `same as ${ago} ago`;
  return `${percent > 0 ? '+' : '−'}${formatNumber(size)} % vs ${ago} ago`;
}

/** The sum of the newest steps of so many seconds; `null` if nothing is known of them. */
function sumOf(values: Values | undefined, history: History | null, seconds: number): number | null {
  if (values === undefined || history === null) return null;
  const steps = Math.min(values.length, Math.ceil(seconds / history.step_seconds));
  const known = values.slice(values.length - steps).filter(value => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
}
