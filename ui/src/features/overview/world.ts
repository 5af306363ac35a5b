/**
 * The state of the world: what is wrong now, since when, and how grave that is. Strip and tiles read the same model, so
 * that they cannot contradict each other.
 *
 *   what is observed → findings, of one moment → followed over time → one headline, and a mark for each tile
 *
 * A finding is followed by its identity: its begin never moves, what it says changes at most once in five seconds, and
 * what comes and goes within moments is not told. Pure functions; useWorld.ts feeds them.
 */
import type { Metrics, Pipeline } from '../../api/wire';
import {
  beginOf,
  type Detected,
  endOf,
  isActive,
  minuteText,
  rangeText,
  titleOf,
} from '../../shared/detected';
import { formatAge, formatDate, formatMeasured, formatNear, formatNumber } from '../../shared/format';
import type { Incident } from '../../shared/incidents';
import type { Tone } from '../../shared/mark';
import type { Now, Page } from '../../shared/page';
import { handledOf, isDismissed } from '../../shared/said';
import { zoneName } from '../../shared/zone';
import { catchingUp, isHeard, lakeBehind } from './behind';
import type { History } from './model';
import { figures, traffic } from './rates';
import type { Recent } from './seconds';

export type TileName = 'events' | 'errors' | 'latency';
type Grave = Extract<Tone, 'critical' | 'warn'>;

/** Something that is wrong at one moment. */
export interface Finding {
  /** The same thing has the same one at every moment. */
  id: string;
  tone: Grave;
  title: string;
  detail: string;
  /** When it began, if that can be told. */
  began_ms: number | null;
  /** Where to look. */
  goTo: 'pipeline' | 'anomalies' | 'incident' | 'dead letters' | 'traffic';
  /** Records it is about. */
  where?: string;
  /** The incident of a detector that it is. */
  incident?: string;
  severity?: number;
  /** Whether it says where. */
  placed?: boolean;
  /** Somebody sees to it, or it is muted: it is listed, but alarms nobody. */
  handled?: 'acknowledged' | 'muted';
  tile?: TileName;
  /** Whether since when says nothing of it: a share of all time, a distance. */
  timeless?: boolean;
  /** Told only after it has lasted so long, and until it has been gone for so long. */
  holds_ms: number;
  lingers_ms: number;
}

export interface Followed extends Finding {
  first_ms: number;
  seen_ms: number;
  begin_ms: number;
}

export interface Headline {
  id: string;
  tone: Tone;
  title: string;
  detail: string;
  since: string;
  more: number;
  goTo: Finding['goTo'] | null;
  where: string | undefined;
  incident: string | undefined;
  changed_ms: number;
}

export interface World {
  all: readonly Followed[];
  headline: Headline;
  /** The newest thing that is over. */
  last: { title: string; begin_ms: number; end_ms: number; incident?: string } | null;
}

export interface Observed {
  now_ms: number;
  pipeline: Pick<Pipeline, 'components' | 'cause' | 'sources' | 'commit' | 'commits_open'> | null;
  metrics: Pick<Metrics, 'eventsPerSec'> | null;
  /** What the dataflow has. */
  page: Page | null;
  /** What the view of the newest seconds says; `null` if there is none. */
  now: Now | null;
  /** What the last seconds say that chance does not explain; `null` before they were counted. */
  recent: Recent | null;
  /** The last hour, with what is expected. */
  history: History | null;
  /** What the rules found, oldest first; `null` before it is known, or if the dataflow has none. */
  incidents: readonly Incident[] | null;
  hasRules: boolean;
  /** What detectors found; `null` before it is known. */
  detected: readonly Detected[] | null;
}

const TEXT_EVERY_MS = 5_000;
const GRAVITY: Record<Grave, number> = { critical: 0, warn: 1 };
/** A larger share of records that cannot be decoded is told. */
const UNDECODED_SHARE = 0.01;
const UNDECODED_SHARE_GRAVE = 0.5;

export const BEFORE: World = {
  all: [],
  headline: {
    id: 'waiting',
    tone: 'stale',
    title: 'Loading status…',
    detail: '',
    since: '',
    more: 0,
    goTo: null,
    where: undefined,
    incident: undefined,
    changed_ms: 0,
  },
  last: null,
};

/** What is wrong at one moment. */
export function findingsOf(observed: Observed): Finding[] {
  const { pipeline } = observed;
  if (pipeline === null) return [];
  const behind = catchingUp(pipeline, observed.now_ms);
  const found: Finding[] = [];
  if (behind !== null)
    found.push({
      id: 'behind',
      tone: 'warn',
      title: behind.title,
      detail: behind.detail,
      began_ms: null,
      timeless: true,
      goTo: 'pipeline',
      holds_ms: 1_500,
      lingers_ms: 5_000,
    });
  found.push(...broken(pipeline, behind !== null), ...undecoded(pipeline));
  // While old records are read, rates and rules are of then.
  if (behind !== null) return found;
  const lake = lakeBehind(pipeline);
  if (lake !== null)
    found.push({ ...lake, id: 'lake behind', tone: 'warn', began_ms: null, goTo: 'pipeline', ...STEADY });
  return [...found, ...traffic(observed), ...figures(observed), ...rules(observed), ...detected(observed)];
}

const STEADY = { holds_ms: 3_000, lingers_ms: 10_000 };

function broken({ components, cause }: NonNullable<Observed['pipeline']>, behind: boolean): Finding[] {
  const found = components.flatMap(({ name, status, detail }): Finding[] => {
    if (status !== 'down' && status !== 'degraded') return [];
    // That it has much to read is said in full already.
    if (behind && status === 'degraded' && name.startsWith('source')) return [];
    const tone = status === 'down' ? 'critical' : 'warn';
    const title = `${name.charAt(0).toUpperCase()}${name.slice(1)} is ${status}`;
    return [
      {
        id: `part ${name}`,
        tone,
        title,
        detail,
        began_ms: null,
        goTo: 'pipeline',
        placed: true,
        ...STEADY,
        holds_ms: 0,
      },
    ];
  });
  if (found.length === 0 && cause)
    found.push({
      id: 'slow',
      tone: 'warn',
      title: 'Pipeline is slow',
      detail: cause.text,
      began_ms: null,
      goTo: 'pipeline',
      ...STEADY,
    });
  return found;
}

function undecoded({ sources, components }: NonNullable<Observed['pipeline']>): Finding[] {
  return sources.flatMap(({ name, records, undecoded }): Finding[] => {
    const share = undecoded / Math.max(1, records + undecoded);
    const told = components.some(
      it => it.name.includes(name) && it.status !== 'ok' && /dead letter|decode/i.test(it.detail),
    );
    if (share < UNDECODED_SHARE || told) return [];
    return [
      {
        id: `undecoded ${name}`,
        tone: share >= UNDECODED_SHARE_GRAVE ? 'critical' : 'warn',
        title: `${formatNumber(share * 100, share < 0.1 ? 1 : 0)} % of ${name} cannot be decoded`,
        detail: `${formatNumber(undecoded)} of ${formatNumber(records + undecoded)} records are dead letters`,
        began_ms: null,
        timeless: true,
        goTo: 'dead letters',
        ...STEADY,
      },
    ];
  });
}

function rules({ incidents }: Observed): Finding[] {
  return (incidents ?? [])
    .filter(({ end_ms }) => end_ms === null)
    .map(it => ({
      id: `rule ${it.id}`,
      tone: 'warn' as const,
      title: it.title,
      detail: it.detail,
      began_ms: it.begin_ms,
      goTo: 'anomalies' as const,
      ...(it.where !== null && { where: it.where }),
      holds_ms: 0,
      lingers_ms: 5_000,
    }));
}

/** A detector says how rare something is, not how grave. */
function detected({ detected, now_ms }: Observed): Finding[] {
  const active = (detected ?? []).filter(it => isActive(it) && !isDismissed(it));
  return active.map(it => ({
    id: `incident ${it.incident}`,
    tone: 'warn',
    title: titleOf(it),
    detail: `${formatMeasured(it.observed)}, expected ${rangeText(it.low, it.high)}${it.state === 'provisional' ? ' (provisional)' : ''}`,
    began_ms: beginOf(it),
    goTo: 'incident',
    incident: it.incident,
    severity: it.severity ?? 0,
    ...handled(it, now_ms),
    holds_ms: 0,
    lingers_ms: 5_000,
  }));
}

function handled(it: Detected, now_ms: number): Pick<Finding, 'handled'> {
  const by = handledOf(it, now_ms);
  return by === null ? {} : { handled: by };
}

/** The world a moment later. */
export function follow(before: World, observed: Observed): World {
  const { now_ms } = observed;
  const findings = findingsOf(observed);
  const known = new Map(before.all.map(it => [it.id, it]));
  const current = findings.map((it): Followed => {
    const old = known.get(it.id);
    known.delete(it.id);
    const begin_ms = Math.min(old?.begin_ms ?? it.began_ms ?? now_ms, it.began_ms ?? now_ms);
    return { ...it, first_ms: old?.first_ms ?? now_ms, seen_ms: now_ms, begin_ms: old?.begin_ms ?? begin_ms };
  });
  const dismissed = new Set((observed.detected ?? []).filter(isDismissed).map(it => it.incident));
  const isNone = ({ incident }: { incident?: string }) => incident !== undefined && dismissed.has(incident);
  // What was called no anomaly goes at once.
  const left = [...known.values()].filter(it => !isNone(it));
  // What went before it was told never was.
  const wasTold = left.filter(it => isTold(it, it.seen_ms));
  const all = [...current, ...wasTold.filter(it => now_ms - it.seen_ms < it.lingers_ms)];
  const ended = wasTold.filter(it => now_ms - it.seen_ms >= it.lingers_ms);
  const last = newest([
    before.last !== null && isNone(before.last) ? null : before.last,
    ...ended.map(it => ({
      title: it.title,
      begin_ms: it.begin_ms,
      end_ms: it.seen_ms,
      ...(it.incident !== undefined && { incident: it.incident }),
    })),
    ...(observed.incidents ?? []).flatMap(({ title, begin_ms, end_ms }) =>
      end_ms === null ? [] : [{ title, begin_ms, end_ms }],
    ),
    ...(observed.detected ?? [])
      .filter(it => it.state === 'closed' && !isDismissed(it))
      .map(it => ({
        title: titleOf(it),
        begin_ms: beginOf(it),
        end_ms: endOf(it),
        incident: it.incident,
      })),
  ]);
  return { all, last, headline: headlineOf(before.headline, all, last, observed) };
}

function newest(all: readonly World['last'][]): World['last'] {
  return all.reduce((most, it) => (it !== null && it.end_ms > (most?.end_ms ?? 0) ? it : most), null);
}

function isTold({ first_ms, holds_ms }: Followed, now_ms: number): boolean {
  return now_ms - first_ms >= holds_ms;
}

/**
 * What is told now, gravest first; of equals what detectors found, then what says where, then the older, so that none takes another's place by
 * turns. What is handled comes last.
 */
export function openOf({ all }: Pick<World, 'all'>, now_ms: number): Followed[] {
  return all
    .filter(it => isTold(it, now_ms))
    .sort(
      (a, b) =>
        Number(a.handled !== undefined) - Number(b.handled !== undefined) ||
        GRAVITY[a.tone] - GRAVITY[b.tone] ||
        Number(a.incident === undefined) - Number(b.incident === undefined) ||
        Number(b.placed ?? false) - Number(a.placed ?? false) ||
        a.begin_ms - b.begin_ms ||
        (a.id < b.id ? -1 : a.id > b.id ? 1 : 0),
    );
}

/** Whether a tile is outside of what is expected, and how gravely. */
export function toneOfTile(world: World, tile: TileName, now_ms: number): Grave | null {
  return openOf(world, now_ms).find(it => it.tile === tile)?.tone ?? null;
}

function headlineOf(
  before: Headline,
  all: readonly Followed[],
  last: World['last'],
  observed: Observed,
): Headline {
  const { now_ms } = observed;
  const open = openOf({ all }, now_ms);
  const [gravest, ...others] = open.filter(it => it.handled === undefined);
  // What is not told yet may be told in a moment: until something was, nothing is said to be well.
  const isOpen = before.id === 'waiting' && (all.length > open.length || !isHeard(observed.pipeline, now_ms));
  const next =
    gravest !== undefined
      ? told(gravest, others.length, observed)
      : isOpen
        ? BEFORE.headline
        : calm(last, open.length, observed);
  const same = JSON.stringify({ ...next, changed_ms: 0 }) === JSON.stringify({ ...before, changed_ms: 0 });
  if (same) return before;
  const isGraver =
    gravest !== undefined && gravest.id !== before.id && rankOf(next.tone) < rankOf(before.tone);
  if (!isGraver && before.id !== 'waiting' && now_ms - before.changed_ms < TEXT_EVERY_MS) return before;
  return { ...next, changed_ms: now_ms };
}

function rankOf(tone: Tone): number {
  return tone === 'critical' ? 0 : tone === 'warn' ? 1 : 2;
}

/** Old records may be all there are: then nothing has lasted longer than up to the newest of them. */
const ARCHIVE_MS = 72_000_000;

/** The newest time that anything is known of. */
function newestOf({ pipeline, now_ms }: Observed): number {
  const times = (pipeline?.sources ?? []).flatMap(({ watermark }) =>
    watermark == null ? [] : [Date.parse(watermark.at) + 1000 * watermark.allowance_seconds],
  );
  const newest = times.length === 0 ? now_ms : Math.max(...times);
  return newest < now_ms - ARCHIVE_MS ? newest : now_ms;
}

function told(it: Followed, more: number, observed: Observed): Headline {
  const { now_ms } = observed;
  const until_ms = newestOf(observed);
  const lasted = until_ms - it.begin_ms;
  const age = lasted < 60_000 ? '' : ` (${formatAge(lasted)})`;
  return {
    id: it.id,
    tone: it.tone,
    title: it.title,
    detail: it.detail,
    since: it.timeless ? '' : `since ${formatNear(it.begin_ms, formatDate(now_ms))} ${zoneName()}${age}`,
    more,
    goTo: it.goTo,
    where: it.where,
    incident: it.incident,
    changed_ms: 0,
  };
}

function calm(
  last: World['last'],
  handled: number,
  { pipeline, incidents, hasRules, detected, now_ms }: Observed,
): Headline {
  const nothing = { since: '', more: 0, goTo: null, where: undefined, incident: undefined, changed_ms: 0 };
  // Nothing is known to be right before it was looked at.
  if (pipeline === null || (hasRules && incidents === null) || detected === null) return BEFORE.headline;
  const healthy = pipeline.components.filter(({ status }) => status === 'ok').length;
  const starting = pipeline.components.find(({ status }) => status === 'starting');
  if (starting !== undefined)
    return {
      ...nothing,
      id: 'starting',
      tone: 'stale',
      title: 'Starting',
      detail: `${starting.name}: ${starting.detail}`,
    };
  const parts = `${healthy} of ${pipeline.components.length} components healthy`;
  if (handled > 0)
    return {
      ...nothing,
      id: 'handled',
      tone: 'ok',
      title: 'No new incidents',
      detail: `${formatNumber(handled)} acknowledged or muted · ${parts}`,
      goTo: 'incident',
    };
  const minutes = (ms: number) => minuteText(ms, formatDate(now_ms));
  const ended =
    last === null || now_ms - last.end_ms > 86_400_000
      ? ''
      : ` · last: ${minutes(last.begin_ms)}–${minutes(last.end_ms)} ${zoneName()} ${last.title.charAt(0).toLowerCase()}${last.title.slice(1)}`;
  return { ...nothing, id: 'calm', tone: 'ok', title: 'No active incidents', detail: `${parts}${ended}` };
}
