/**
 * Views in which a dataflow lists what its own rules found, window by window, and the matches in them: windows in a row,
 * alike in all keys, are one match.
 *
 * What a column is follows from its role. Nothing here knows the name of a column; a view is taken for one of rules by a
 * name that says so. Pure functions; Rules.tsx asks.
 */
import type { Schemas } from '../api/wire';
import { joined, partOf } from './filter';
import { formatMeasured, formatName, formatNumber, numberOf, textOf } from './format';
import { quoted, timeOf } from './sql';

type View = Schemas['ViewBody'];
type Column = View['columns'][number];

export interface RuleView {
  name: string;
  /** Columns with the begin and the end of a window; without an end it is a moment. */
  begin: string;
  end: string | null;
  /** The key that says which rule it was, if one does. */
  rule: string | null;
  /** What rows are told apart by, beside the rule. */
  keys: readonly string[];
  /** How many records a row stands for. */
  count: string | null;
  /** What was measured, at most a few. */
  figures: readonly Column[];
  /** Which of its rows a rule of windows made, by flags; `null` if it has none. */
  alarms: string | null;
  /** The keys by which records can be filtered. */
  recordColumns: readonly string[];
}

export interface Match {
  /** Tells it from all others of its view. */
  id: string;
  rule: string | null;
  keys: readonly { name: string; value: string }[];
  begin_ms: number;
  /** Where its newest window ends. */
  until_ms: number;
  isOngoing: boolean;
  windows: number;
  records: number | null;
  /** The largest of each figure, in the order of the view's. */
  figures: readonly (number | null)[];
}

const LISTS = /(^|_)(anomal(y|ies)|alerts?|violations?|breach(es)?|outliers?)(_|$)/i;
const SAYS_RULE = /(^|_)(rule|type|kind|reason|check|alert)(_|$)/i;
const KEYS = new Set(['key', 'level', 'status', 'id']);
const FIGURES = new Set(['share', 'measure', 'duration', 'bytes', 'money', 'count']);
const FIGURES_MAX = 3;
/** It goes on for so long after the end of its newest window. */
export const GOING_ON_MS = 120_000;
/** Windows further apart are of two matches: in seconds, and in windows. */
const GAP_SECONDS = 120;
const GAP_WINDOWS = 2;
const ROWS_MAX = 300;

/** The views of a dataflow that list what rules found. */
export function ruleViewsOf(views: readonly View[]): RuleView[] {
  return views.flatMap(({ name, columns, window_column, detector, record_columns }) => {
    if (detector != null || window_column == null || !LISTS.test(name)) return [];
    const times = columns.filter(it => it.role === 'time' && it.type === 'timestamp');
    const keys = columns.filter(it => KEYS.has(it.role)).map(it => it.name);
    const count = columns.find(it => it.role === 'count' && it.statistic === 'count')?.name ?? null;
    const rule = keys.find(it => SAYS_RULE.test(it)) ?? null;
    const flags = columns.filter(it => it.role === 'flag');
    const figures = columns.filter(it => FIGURES.has(it.role) && it.name !== count);
    return [
      {
        name,
        begin: window_column,
        end: times.find(it => it.name !== window_column)?.name ?? null,
        rule,
        keys: keys.filter(it => it !== rule),
        count,
        figures: figures.slice(0, FIGURES_MAX),
        alarms: flags.length === 0 ? null : flags.map(it => partOf(it.name, '=', true)).join(' OR '),
        recordColumns: record_columns ?? [],
      },
    ];
  });
}

/** The query of its matches in a span of time, newest first. */
export function matchesSql(view: RuleView, span: { from: number; to: number; fixed: boolean }): string {
  const keys = keysOf(view).map(quoted);
  const by = keys.length === 0 ? '' : `PARTITION BY ${keys.join(', ')} `;
  const end = quoted(view.end ?? view.begin);
  const columns = [
    ...keys,
    `date_part('epoch', ${quoted(view.begin)}) AS _begin`,
    `date_part('epoch', ${end}) AS _end`,
    `${view.count === null ? 'CAST(NULL AS BIGINT)' : quoted(view.count)} AS _records`,
    ...view.figures.map(({ name }, at) => `${quoted(name)} AS _figure${at}`),
  ];
  const until = span.fixed ? ` AND ${quoted(view.begin)} < ${timeOf(span.to)}` : '';
  const gap = `greatest(${GAP_WINDOWS} * (_end - _begin), ${GAP_SECONDS})`;
  const largest = view.figures.map((_, at) => `max(_figure${at}) AS _figure${at}`);
  const shown = [
    ...keys,
    'min(_begin) AS _begin',
    'max(_end) AS _end',
    'count(DISTINCT _begin) AS _windows',
    'sum(_records) AS _records',
    ...largest,
  ];
  return `SELECT ${shown.join(', ')}
FROM (
  SELECT *, sum(CASE WHEN _begin - _before <= ${gap} THEN 0 ELSE 1 END) OVER (${by}ORDER BY _begin) AS _run
  FROM (
    SELECT *, lag(_end) OVER (${by}ORDER BY _begin) AS _before
    FROM (
      SELECT ${columns.join(', ')}
      FROM ${quoted(view.name)}
      WHERE ${end} >= ${timeOf(span.from)}${until}
    )
  )
)
GROUP BY ${[...keys, '_run'].join(', ')}
ORDER BY _end DESC, _begin DESC
LIMIT ${ROWS_MAX}`;
}

/** Those that go on first, then the newest. */
export function matchesOf(
  view: RuleView,
  rows: readonly Readonly<Record<string, unknown>>[],
  now_ms: number,
): Match[] {
  const all = rows.map((row): Match => {
    const seconds = (name: string) => (numberOf(row[name]) ?? 0) * 1000;
    const until_ms = seconds('_end');
    const keys = view.keys.flatMap(name => (row[name] == null ? [] : [{ name, value: textOf(row[name]) }]));
    const rule = view.rule === null || row[view.rule] == null ? null : textOf(row[view.rule]);
    return {
      id: JSON.stringify([rule, keys.map(it => it.value), row._begin]),
      rule,
      keys,
      begin_ms: seconds('_begin'),
      until_ms,
      isOngoing: now_ms - until_ms < GOING_ON_MS,
      windows: numberOf(row._windows) ?? 1,
      records: numberOf(row._records),
      figures: view.figures.map((_, at) => numberOf(row[`_figure${at}`])),
    };
  });
  return all.sort((a, b) => Number(b.isOngoing) - Number(a.isOngoing) || b.begin_ms - a.begin_ms);
}

/**
 * A filter for the records behind a match, `undefined` for all of them. `isOfRecords` tells whether records are called by
 * a rule too; where they are not, the rule is only of the view.
 */
export function whereOf(
  view: RuleView,
  match: Match,
  isOfRecords: (rule: string) => boolean,
): string | undefined {
  const parts = match.keys
    .filter(it => view.recordColumns.includes(it.name))
    .map(it => partOf(it.name, '=', it.value));
  if (view.rule !== null && match.rule !== null && view.recordColumns.includes(view.rule)) {
    if (isOfRecords(match.rule)) parts.unshift(partOf(view.rule, '=', match.rule));
  }
  return joined(parts);
}

/** What it is called. */
export function titleOf({ rule, keys }: Match): string {
  const name = rule === null ? '' : formatName(rule);
  const values = keys.map(it => it.value).join(', ');
  const text = name === '' ? values : values === '' ? name : `${name}: ${values}`;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A figure with its unit, as its role says. */
export function figureText({ role, unit }: Pick<Column, 'role' | 'unit'>, value: number | null): string {
  if (value !== null && role === 'share' && unit !== '%') return `${formatMeasured(100 * value)} %`;
  const number = role === 'count' ? formatNumber(value) : formatMeasured(value);
  return value === null || unit == null ? number : `${number} ${unit}`;
}

function keysOf({ rule, keys }: RuleView): string[] {
  return rule === null ? [...keys] : [rule, ...keys];
}
