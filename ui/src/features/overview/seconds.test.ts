/** What the last seconds tell: a fault within seconds of its begin, with its place; and nothing of what is chance. */
import { describe, expect, it } from 'vitest';
import type { Row } from '../../api/wire';
import { requestsPage } from '../../shared/page.fixture';
import type { History } from './model';
import { boundOf, evidenceOf, recentOf, type Sample, sampled, usualShare } from './seconds';

/** The beginning of a minute, half of which is over when a fault begins. */
const MINUTE = Date.parse('2026-03-01T02:52:00Z');
const NOW = MINUTE + 30_000;
const PATHS = ['/api/users', '/api/orders', '/api/products', '/home', '/search'];
const page = {
  ...requestsPage,
  spread: {
    view: 'spread',
    time: 'at',
    window_seconds: 60,
    key: { name: 'bin', role: 'bin', type: 'int', statistic: null, unit: 'ms' },
    count: 'requests',
  },
} as unknown as typeof requestsPage;
/** Bins as two per doubling, up to what was seen of 100 to 300 ms. */
const history = {
  spread: { first_bin: 13, bounds: [13, 14, 15, 16, 17].map(it => 2 ** (it / 2)), counts: [] },
} as unknown as History;
const SLOW = { statistic: 'p95', limit: 384 };

interface Request {
  path: string;
  status: number;
  took: number;
}

/** Numbers as by chance, the same every time. */
function below(seed: number) {
  let state = seed;
  return (end: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % end;
  };
}

function requestOf(random: (end: number) => number): Request {
  const chance = random(100);
  return {
    path: PATHS[random(PATHS.length)] ?? '',
    status: chance < 1 ? 500 : chance < 4 ? 404 : 200,
    took: 100 + random(200),
  };
}

const PER_SECOND = 20;

/** Windows that are counted as records come, and what the looks at them say, once a second. */
function worldOf(seed: number) {
  const random = below(seed);
  const cells = new Map<string, Row>();
  const count = (name: string, row: Row, request: Request) => {
    const cell = cells.get(name) ?? { ...row, requests: 0, errors: 0, server_errors: 0 };
    const add = (column: string, is: boolean) => Number(cell[column]) + Number(is);
    cells.set(name, {
      ...cell,
      requests: add('requests', true),
      errors: add('errors', request.status >= 400),
      server_errors: add('server_errors', request.status >= 500),
    });
  };
  const take = (ms: number, request: Request) => {
    const at = new Date(Math.floor(ms / 60_000) * 60_000).toISOString();
    count(`main ${at}`, { at }, request);
    count(`keyed ${at} ${request.path}`, { at, path: request.path }, request);
    const bin = Math.floor(2 * Math.log2(request.took));
    count(`spread ${at} ${bin}`, { at, bin }, request);
  };
  const rowsOf = (name: string) => [...cells].filter(([it]) => it.startsWith(name)).map(([, row]) => row);
  const rows = () => ({ main: rowsOf('main'), keyed: rowsOf('keyed'), spread: rowsOf('spread') });
  let at_ms = MINUTE - 35 * 60_000;
  const until = (end_ms: number, fault: (it: Request, random: (end: number) => number) => Request) => {
    for (; at_ms < end_ms; at_ms += 1_000 / PER_SECOND) take(at_ms, fault(requestOf(random), random));
  };
  until(NOW - 15_000, it => it);
  let samples: readonly Sample[] = [];
  const look = (ms: number) => {
    samples = sampled(samples, page, rows(), ms);
    return recentOf(samples, page, rows(), history, SLOW);
  };
  return {
    /** What is said each second, of so many seconds. */
    listen(seconds: number, fault: (it: Request, random: (end: number) => number) => Request = it => it) {
      return Array.from({ length: seconds }, () => {
        until(at_ms + 1_000, fault);
        return look(at_ms);
      });
    },
    take,
    look,
  };
}

const ordersFail = (it: Request, random: (end: number) => number): Request =>
  it.path === '/api/orders' && random(100) < 60 ? { ...it, status: 503, took: 2_800 } : it;
const curlFails = (it: Request, random: (end: number) => number): Request =>
  random(100) < 13 ? { ...it, status: 500, took: 1_500 } : it;
const slow = (it: Request): Request => ({ ...it, took: it.took * 2.8 });

describe.each([1, 2, 3, 4, 5])('by chance %i', seed => {
  it('tells failures of one key within eight seconds, of that key alone', () => {
    const world = worldOf(seed);
    world.listen(15);
    const said = world.listen(12, ordersFail);
    const first = said.findIndex(({ keys }) => keys.length > 0);
    expect(first).toBeGreaterThanOrEqual(0);
    expect(first).toBeLessThan(8);
    expect(new Set(said.flatMap(({ keys }) => keys.map(({ key }) => key)))).toEqual(new Set(['/api/orders']));
    const last = said.at(-1)?.keys[0];
    expect((last?.part ?? 0) / (last?.count ?? 1)).toBeGreaterThan(0.4);
  });

  it('tells grave failures of a part of all requests within eight seconds', () => {
    const world = worldOf(seed);
    world.listen(15);
    const first = world.listen(12, curlFails).findIndex(({ grave }) => grave !== null);
    expect(first).toBeGreaterThanOrEqual(0);
    expect(first).toBeLessThan(8);
  });

  it('tells durations within four seconds, with a value beyond the bins that are known', () => {
    const world = worldOf(seed);
    world.listen(15);
    const said = world.listen(12, slow);
    const first = said.findIndex(it => it.slow !== null);
    expect(first).toBeGreaterThanOrEqual(0);
    expect(first).toBeLessThan(4);
    expect(said.at(-1)?.slow?.value).toBeGreaterThan(600);
  });

  it('tells nothing of a quarter of an hour without a fault', () => {
    const said = worldOf(seed).listen(900);
    expect(said.filter(it => it.failed !== null || it.grave !== null || it.slow !== null)).toEqual([]);
    expect(said.flatMap(({ keys }) => keys)).toEqual([]);
  });
});

describe('what is told', () => {
  it('is not a burst of one moment', () => {
    const world = worldOf(1);
    world.listen(15);
    for (let at = 0; at < 30; at++) world.take(NOW, { path: '/home', status: 503, took: 5_000 });
    const said = world.listen(12);
    expect(said.filter(it => it.grave !== null || it.slow !== null || it.keys.length > 0)).toEqual([]);
  });

  it('is not forgotten when the clock is set back by moments, but when nobody looked', () => {
    const samples = (next: readonly Sample[], ms: number) =>
      sampled(next, page, { main: [], keyed: [], spread: [] }, ms);
    const two = samples(samples([], NOW), NOW + 1_000);
    expect(samples(two, NOW + 997)).toBe(two);
    expect(samples(two, NOW + 2_000)).toHaveLength(3);
    expect(samples(two, NOW + 7_000)).toHaveLength(1);
  });

  it('is what chance does not explain', () => {
    expect(evidenceOf(5, 100, 0.05)).toBe(0);
    // Chernoff: 100 · (0.13 ln(0.13 / 0.02) + 0.87 ln(0.87 / 0.98)).
    expect(evidenceOf(13, 100, 0.02)).toBeCloseTo(13.97, 1);
    expect(evidenceOf(4, 4, 0.1)).toBeCloseTo(4 * Math.log(10), 6);
  });

  it('is judged by whole windows alone', () => {
    const rows = Array.from({ length: 14 }, (_, minute) => ({
      at: new Date(MINUTE + minute * 60_000).toISOString(),
      path: minute % 2 === 0 ? '/a' : '/b',
      requests: 100,
      // The last two are not over, or may have begun to be unusual.
      errors: minute < 12 ? 4 : 90,
    }));
    const of = { time: 'at', window_seconds: 60, count: 'requests' };
    expect(usualShare(rows, of, 'errors', null)).toBeCloseTo(0.044, 6);
    expect(usualShare(rows, of, 'errors', { column: 'path', value: '/a' })).toBeNull();
  });

  it('has bounds of bins beyond those that are known', () => {
    const doubling = { first_bin: 2, bounds: [4, 8, 16] };
    expect([1, 2, 4, 6].map(bin => boundOf(doubling, bin))).toEqual([2, 4, 16, 64]);
    const even = { first_bin: 0, bounds: [0, 10, 20] };
    expect([-1, 0, 2, 4].map(bin => boundOf(even, bin))).toEqual([-10, 0, 20, 40]);
  });
});
