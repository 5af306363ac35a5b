/**
 * The six situations of an evening on call, and the quiet between them: what is told, since when, how steadily.
 */
import { describe, expect, it } from 'vitest';
import type { Pipeline, Schemas } from '../../api/wire';
import type { Detected } from '../../shared/detected';
import { incidentsOf } from '../../shared/incidents';
import type { Now } from '../../shared/page';
import { requestsPage } from '../../shared/page.fixture';
import type { RuleView } from '../../shared/rules';
import type { History } from './model';
import { BEFORE, follow, type Observed, openOf, toneOfTile, type World } from './world';

const NOW = Date.parse('2026-03-01T02:52:00Z');
const STEPS = 61;

/** An hour of 24 requests a second, 9 % of them failing, p95 463 ms; the last steps as given. */
function historyOf(
  change: (name: string, at: number) => number | null | undefined = () => undefined,
): History {
  const times = Array.from({ length: STEPS }, (_, at) => NOW / 1000 - (STEPS - 1 - at) * 60);
  const usual: Record<string, number> = { requests: 1_440, failed_share: 9, took_p95: 463 };
  const series = (of: (name: string, at: number) => number | null) =>
    Object.fromEntries(Object.keys(usual).map(name => [name, times.map((_, at) => of(name, at))]));
  const overall = series((name, at) => {
    const value = change(name, STEPS - 1 - at);
    return value === undefined ? (usual[name] ?? null) : value;
  });
  const expected = Object.fromEntries(
    Object.entries(usual).map(([name, value]) => [
      name,
      { low: times.map(() => value * 0.88), high: times.map(() => value * 1.12) },
    ]),
  );
  return { times, step_seconds: 60, overall, expected } as unknown as History;
}

const PARTITION = { partition: 0, offset: 9, lag: 0, lag_seconds_is_least: false, trend: 'steady' as const };
const ok = (name: string): Pipeline['components'][number] => ({
  name,
  status: 'ok',
  headline: 'OK',
  detail: 'well',
});
const sourceOf = (
  records_per_second: number,
  more: Partial<Schemas['SourceReport']> = {},
): Schemas['SourceReport'] => ({
  name: 'web_logs',
  headline: 'OK',
  health: 'ok',
  connected: true,
  unit: 'bytes',
  records: 100_000,
  undecoded: 0,
  bytes: 0,
  records_per_second,
  watermark: { at: new Date(NOW - 10_000).toISOString(), allowance_seconds: 5 },
  intake: { records_last_minute: 0, undecoded_last_minute: 0, late_last_minute: 0, late: 0, ahead: [] },
  partitions: [{ partition: 0, offset: 9, lag: 0, lag_seconds_is_least: false, trend: 'steady' }],
  ...more,
});
const pipelineOf = (source = sourceOf(24)): NonNullable<Observed['pipeline']> => ({
  components: [ok('source web_logs'), ok('engine'), ok('lake')],
  cause: null,
  sources: [source],
  commit: null,
  commits_open: 0,
});
const nowWith = (more: Partial<Now> = {}): Now => ({
  count: 1_440,
  failedShare: 9,
  graveShare: 1,
  slow: 463,
  ...more,
});
const quiet: Observed = {
  now_ms: NOW,
  pipeline: pipelineOf(),
  metrics: { eventsPerSec: 24 },
  page: requestsPage,
  now: nowWith(),
  recent: null,
  history: historyOf(),
  incidents: [],
  hasRules: true,
  detected: [],
};

/** The world after so many seconds, one observation a second; `at` says what is seen. */
function worldAfter(seconds: number, at: (second: number) => Partial<Observed>, before: World = BEFORE) {
  let world = before;
  const texts: string[] = [];
  for (let second = 0; second <= seconds; second++) {
    world = follow(world, { ...quiet, ...at(second), now_ms: NOW + second * 1000 });
    const { title, detail, since } = world.headline;
    const text = `${title} | ${detail} | ${since}`;
    if (texts.at(-1) !== text) texts.push(text);
  }
  return { world, texts, now_ms: NOW + seconds * 1000 };
}

const WRONG = /No active incidents/;

const RULES: RuleView = {
  name: 'anomalies',
  begin: 'window_start',
  end: 'window_end',
  rule: 'anomaly_type',
  keys: ['endpoint', 'ip_class'],
  count: null,
  figures: ['observed', 'threshold'].map(name => ({ name, type: 'double', role: 'share', adds_up: false })),
  alarms: null,
  recordColumns: ['endpoint'],
};

describe('what is told', () => {
  it('is that nothing is wrong, with the parts that are healthy', () => {
    const { world } = worldAfter(30, () => ({}));
    expect(world.headline).toMatchObject({
      tone: 'ok',
      title: 'No active incidents',
      detail: '3 of 3 components healthy',
    });
  });

  it('1: failures on one endpoint, with their share and a begin that stays', () => {
    const rows = (second: number) =>
      ['external', 'internal'].flatMap(ip_class =>
        Array.from({ length: 1 + Math.floor(second / 60) }, (_, minute) => ({
          window_start: new Date(NOW + minute * 60_000).toISOString(),
          window_end: new Date(NOW + (minute + 1) * 60_000).toISOString(),
          endpoint: '/api/orders',
          ip_class,
          anomaly_type: 'HIGH_ERROR_RATE',
          score: 0.7,
          // Both rows win by turns.
          observed: 0.6 + ((second + ip_class.length) % 7) / 100,
          threshold: 0.2,
        })),
      );
    const seen = (second: number) => ({ incidents: incidentsOf(RULES, rows(second), NOW + second * 1000) });
    const { world, texts } = worldAfter(150, seen);
    expect(world.headline).toMatchObject({ tone: 'warn', title: 'High error rate on /api/orders' });
    expect(world.headline.detail).toMatch(/^observed 6\d(\.\d)? %, threshold 20 %$/);
    expect(world.headline.more).toBe(0);
    expect(texts.length).toBeLessThanOrEqual(1 + 150 / 5);
    const begins = new Set(texts.filter(it => !WRONG.test(it)).map(it => /since ([\d:]+)/.exec(it)?.[1]));
    expect([...begins].filter(it => it !== undefined)).toEqual(['02:52:00']);
    const early = worldAfter(10, seen).world.headline;
    expect(early.title).toMatch(/api\/orders/);
  });

  it('2: failures that stay below the limit of every rule', () => {
    const now = nowWith({ failedShare: 21, graveShare: 13 });
    const history = historyOf((name, back) => (name === 'failed_share' && back < 3 ? 21 : undefined));
    const { world, now_ms } = worldAfter(10, () => ({ now, history }));
    expect(world.headline).toMatchObject({ tone: 'critical', title: 'Error rate is 21.0 %' });
    // From the steps of the history, so it is right for whoever opens the page late.
    expect(world.headline.since).toBe('since 02:50:00 UTC (2 min)');
    expect(toneOfTile(world, 'errors', now_ms)).toBe('critical');
  });

  it('3: all answers slower', () => {
    const { world, now_ms } = worldAfter(10, () => ({ now: nowWith({ slow: 1_300 }) }));
    expect(world.headline.title).toBe('p95 took is 1\u202f300 ms');
    expect(world.headline.detail).toBe('usual 407–519 ms');
    expect(toneOfTile(world, 'latency', now_ms)).toBe('warn');
  });

  it('4: traffic that breaks down, before the minute is over', () => {
    const { world, now_ms } = worldAfter(10, () => ({
      pipeline: pipelineOf(sourceOf(2.1)),
      metrics: { eventsPerSec: 20 },
    }));
    expect(world.headline).toMatchObject({ tone: 'critical', title: 'Traffic is down 91 %' });
    expect(toneOfTile(world, 'events', now_ms)).toBe('critical');
  });

  it('and began within the minute that is as usual, whatever an old history says', () => {
    // As read in the middle of a backlog: nothing is known of the last steps.
    const history = historyOf((_, back) => (back < 30 ? null : undefined));
    const seen = { pipeline: pipelineOf(sourceOf(10.6)), history };
    const { world } = worldAfter(10, () => ({ ...seen, metrics: { eventsPerSec: 23 } }));
    expect(world.headline.since).toMatch(/^since 02:51:55/);
    const long = worldAfter(10, () => ({ ...seen, metrics: { eventsPerSec: 11 } }));
    expect(long.world.headline.since).toMatch(/^since 02:2/);
  });

  it('5: silence', () => {
    const { world, now_ms } = worldAfter(10, () => ({ pipeline: pipelineOf(sourceOf(0)) }));
    expect(world.headline).toMatchObject({ tone: 'critical', title: 'No records are arriving' });
    expect(world.headline.detail).toBe('usual 21.1–26.9 /s');
    expect(toneOfTile(world, 'events', now_ms)).toBe('critical');
  });

  it('6: a day behind, and nothing of the rates and rules of that day', () => {
    const behind = sourceOf(9_000, {
      watermark: { at: new Date(NOW - 88_625_000).toISOString(), allowance_seconds: 5 },
      partitions: [
        {
          partition: 0,
          offset: 9,
          lag: 720_000_000,
          lag_seconds: 1,
          lag_seconds_is_least: true,
          trend: 'falling',
          read_per_second: 6e6,
          eta_seconds: 120,
        },
      ],
    });
    const { world, now_ms } = worldAfter(5, () => ({
      pipeline: pipelineOf(behind),
      now: nowWith({ failedShare: 60, slow: 9_000 }),
    }));
    expect(world.headline).toMatchObject({
      tone: 'warn',
      title: 'Catching up: showing 2026-02-28 02:15 UTC, 1 d 0 h behind',
      detail: '720.0 MB of web_logs unread; live in about 2 min',
    });
    expect(openOf(world, now_ms)).toHaveLength(1);
  });

  it('a part that is down, first', () => {
    const pipeline = pipelineOf(sourceOf(0));
    pipeline.components[2] = { name: 'lake', status: 'down', headline: 'Down', detail: 'no space left' };
    const { world } = worldAfter(10, () => ({ pipeline }));
    expect(world.headline).toMatchObject({
      tone: 'critical',
      title: 'Lake is down',
      detail: 'no space left',
      more: 1,
    });
  });

  it('records that cannot be decoded', () => {
    const { world } = worldAfter(10, () => ({
      pipeline: pipelineOf(sourceOf(24, { records: 20_393, undecoded: 5_882 })),
    }));
    expect(world.headline).toMatchObject({
      title: '22 % of web_logs cannot be decoded',
      goTo: 'dead letters',
    });
  });

  it('is loading until it is known how much is unread, and told, not well, of what is much', () => {
    const unheard = sourceOf(24, { partitions: [{ ...PARTITION, lag: null }] });
    expect(worldAfter(5, () => ({ pipeline: pipelineOf(unheard) })).world.headline.id).toBe('waiting');
    // The first moments of a day's backlog: no time is known, then a time of yesterday.
    const lag = [{ ...PARTITION, lag: 720_000_000, read_per_second: 4e8 }];
    const first = sourceOf(24, { partitions: lag, watermark: null });
    expect(worldAfter(5, () => ({ pipeline: pipelineOf(first) })).world.headline.id).toBe('waiting');
    const yesterday = { at: new Date(NOW - 86_400_000).toISOString(), allowance_seconds: 5 };
    const next = sourceOf(24, { partitions: lag, watermark: yesterday });
    expect(worldAfter(5, () => ({ pipeline: pipelineOf(next) })).world.headline.id).toBe('waiting');
    const slow = sourceOf(24, {
      partitions: [{ ...PARTITION, lag: 720_000_000, read_per_second: 1e6 }],
      watermark: yesterday,
    });
    const { texts } = worldAfter(5, () => ({ pipeline: pipelineOf(slow) }));
    expect(texts.map(it => it.slice(0, 8))).toEqual(['Loading ', 'Catching']);
    // What is heard once stays heard.
    const { texts: later } = worldAfter(30, second => ({
      pipeline: pipelineOf(second === 10 ? unheard : sourceOf(24)),
    }));
    expect(later.filter(it => !WRONG.test(it))).toEqual([]);
  });

  it('is loading while what is seen at first is not told yet', () => {
    const { texts } = worldAfter(10, () => ({ now: nowWith({ slow: 1_300 }) }));
    expect(texts.filter(it => WRONG.test(it))).toEqual([]);
    expect(texts.at(-1)).toMatch(/^p95 took/);
  });

  it('nothing before it is known, and nothing of old files that are read to their end', () => {
    expect(worldAfter(5, () => ({ pipeline: null })).world.headline.title).toBe('Loading status…');
    expect(worldAfter(5, () => ({ incidents: null })).world.headline.title).toBe('Loading status…');
    const old = pipelineOf(
      sourceOf(0, { watermark: { at: '2015-05-20T00:00:00Z', allowance_seconds: 86_400 } }),
    );
    const { world } = worldAfter(20, () => ({
      pipeline: old,
      history: null,
      incidents: null,
      hasRules: false,
    }));
    expect(world.headline.title).toBe('No active incidents');
  });
});

describe('what the last seconds say', () => {
  const excess = (part: number, count: number, usual: number, grave = 0) => ({
    ...{ part, count, usual, grave },
    seconds: 6,
    evidence: 20,
  });
  const none: NonNullable<Observed['recent']> = { failed: null, grave: null, keys: [], slow: null };
  const told = (more: Partial<typeof none>, seconds = 0) =>
    worldAfter(seconds, () => ({ recent: { ...none, ...more } })).world;

  it('is told at once, with its place and its begin', () => {
    const keys = [{ ...excess(14, 20, 0.09, 14), key: '/api/orders' }];
    const { headline } = told({ keys, grave: excess(15, 120, 0.02, 15) });
    expect(headline).toMatchObject({
      tone: 'critical',
      title: 'Error rate of /api/orders is 70.0 %',
      detail: '14 of 20 in 6 s, usual up to 9.0 %',
      since: 'since 02:51:54 UTC',
      where: "path = '/api/orders' AND status >= 400",
      more: 0,
    });
  });

  it('is told of all where no place is known, and of the place once it is', () => {
    const grave = excess(15, 120, 0.02, 15);
    expect(told({ grave }).headline.title).toBe('Server error rate is 12.5 %');
    expect(told({ grave, failed: excess(30, 120, 0.1, 3) }).headline).toMatchObject({
      tone: 'warn',
      title: 'Error rate is 25.0 %',
    });
    const keys = [{ ...excess(14, 20, 0.09, 14), key: '/api/orders' }];
    const { world } = worldAfter(8, second => ({
      recent: { ...none, grave, keys: second < 2 ? [] : keys },
    }));
    expect(world.headline.title).toBe('Error rate of /api/orders is 70.0 %');
  });

  it('is the duration that is usual for fewer', () => {
    const page = { ...requestsPage, now: null };
    const recent = { ...none, slow: { value: 1_234.5, excess: excess(60, 120, 0.05) } };
    const { world } = worldAfter(1, () => ({ page, now: null, recent }));
    expect(world.headline).toMatchObject({
      title: 'p95 took is 1\u202f235 ms',
      detail: 'usual 407–519 ms',
      since: 'since 02:51:54 UTC',
      where: 'took >= 519',
    });
  });
});

describe('how it is told', () => {
  it('does not tell what comes and goes', () => {
    const { texts } = worldAfter(120, second => ({
      now: nowWith(second % 20 < 3 ? { failedShare: 30 } : {}),
    }));
    expect(texts.filter(it => !WRONG.test(it) && !/Loading/.test(it))).toEqual([]);
  });

  it('does not change its begin while a figure flickers around its limit', () => {
    const { texts } = worldAfter(120, second => ({
      now: nowWith(second % 8 < 6 ? { slow: 1_300 } : {}),
    }));
    const begins = new Set(texts.flatMap(it => /since ([\d:]+)/.exec(it)?.[1] ?? []));
    expect(begins.size).toBe(1);
    expect(texts.filter(it => WRONG.test(it)).length).toBeLessThanOrEqual(1);
  });

  it('says when it is over, and what it was', () => {
    const during = worldAfter(40, () => ({ now: nowWith({ slow: 1_300 }) }));
    const later = (second: number) => ({ now_ms: during.now_ms + second * 1000 });
    let { world } = during;
    for (let second = 1; second < 60; second++) world = follow(world, { ...quiet, ...later(second) });
    expect(world.headline).toMatchObject({ tone: 'ok', title: 'No active incidents' });
    expect(world.headline.detail).toMatch(/last: 02:5\d–02:52 UTC p95 took is 1\u202f300 ms$/);
  });

  it('tells a graver thing at once, and counts the others', () => {
    const slow = worldAfter(20, () => ({ now: nowWith({ slow: 1_300 }) }));
    const pipeline = pipelineOf();
    pipeline.components[0] = {
      name: 'source web_logs',
      status: 'down',
      headline: 'Down',
      detail: 'broker away',
    };
    const world = follow(slow.world, {
      ...quiet,
      now: nowWith({ slow: 1_300 }),
      pipeline,
      now_ms: slow.now_ms + 1_000,
    });
    expect(world.headline).toMatchObject({ title: 'Source web_logs is down', more: 1 });
  });
});

describe('what detectors found', () => {
  const detectedOf = (incident: string, more: Partial<Detected> = {}): Detected => ({
    detector: 'watch',
    view: 'watch_incidents',
    key: { shop: 'north' },
    metric: 'orders',
    incident,
    series: 'watch/orders',
    state: 'open',
    since: new Date(NOW - 600_000).toISOString(),
    until: new Date(NOW - 60_000).toISOString(),
    windows: 4,
    severity: 8,
    observed: 2,
    expected: 40,
    low: 30,
    high: 50,
    summary: '',
    withdrawn_ms: null,
    ...more,
  });
  const worldOf = (detected: Detected[] | null, more: Partial<Observed> = {}) =>
    worldAfter(20, () => ({ detected, ...more })).world;

  it('stands before what is as grave, with the incident it is', () => {
    const now = nowWith({ slow: 1_300 });
    const world = worldOf(
      [detectedOf('aa'), detectedOf('bb', { since: new Date(NOW - 60_000).toISOString() })],
      {
        now,
      },
    );
    expect(world.headline).toMatchObject({
      tone: 'warn',
      title: 'Orders of north below expected',
      detail: '2, expected 30–50',
      goTo: 'incident',
      incident: 'aa',
      more: 2,
    });
    expect(world.headline.since).toMatch(/^since 02:42:00 UTC/);
    expect(openOf(world, NOW + 20_000).map(it => it.incident)).toEqual(['aa', 'bb', undefined]);
  });

  it('is told while it is provisional, and not once it is withdrawn or over', () => {
    expect(worldOf([detectedOf('aa', { state: 'provisional' })]).headline.detail).toMatch(/\(provisional\)$/);
    expect(worldOf([detectedOf('aa', { withdrawn_ms: NOW })]).headline.tone).toBe('ok');
    const over = worldOf([detectedOf('aa', { state: 'closed' })]).headline;
    expect(over.title).toBe('No active incidents');
    expect(over.detail).toMatch(/last: 02:42–02:51 UTC orders of north below expected$/);
  });

  it('is listed but raises no tone once it is acknowledged or muted', () => {
    const acknowledged = detectedOf('aa', { severity: 20, acknowledged: { by: 'ana' } });
    const muted = (until_ms: number) =>
      detectedOf('bb', { muted: { by: 'bo', until: new Date(until_ms).toISOString() } });
    const world = worldOf([acknowledged, muted(NOW + 3_600_000)]);
    expect(world.headline).toMatchObject({
      tone: 'ok',
      title: 'No new incidents',
      more: 0,
      goTo: 'incident',
    });
    expect(world.headline.detail).toMatch(/^2 acknowledged or muted · /);
    expect(openOf(world, NOW + 20_000).map(it => it.handled)).toEqual(['acknowledged', 'muted']);
    const over = worldOf([acknowledged, muted(NOW - 1_000)]);
    expect(over.headline).toMatchObject({ tone: 'warn', incident: 'bb', more: 0 });
    expect(openOf(over, NOW + 20_000).map(it => it.incident)).toEqual(['bb', 'aa']);
  });

  it('is nothing once it was called no anomaly, and was nothing before', () => {
    const dismissed = { by: 'bo' };
    const at = (state: string) => (second: number) => ({
      detected: [detectedOf('aa', { state, ...(second >= 10 && { dismissed }) })],
    });
    const open = worldAfter(16, at('open')).world;
    expect(worldAfter(9, at('open')).world.all).toHaveLength(1);
    expect(worldAfter(10, at('open')).world.all).toEqual([]);
    expect(open.headline).toMatchObject({ tone: 'ok', title: 'No active incidents' });
    expect(worldAfter(9, at('closed')).world.last?.incident).toBe('aa');
    expect(worldAfter(10, at('closed')).world.last).toBeNull();
  });

  it('is waited for', () => {
    expect(worldOf(null).headline.id).toBe('waiting');
  });
});
