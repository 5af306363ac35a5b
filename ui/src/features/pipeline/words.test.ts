/** What is said of parts that are well, and of parts that are not. */
import { describe, expect, it } from 'vitest';
import type { Schemas } from '../../api/wire';
import {
  commitsSummary,
  costsOf,
  costsSummary,
  factsOf,
  loadsOf,
  partitionsSummary,
  skewOf,
  troubleOf,
  workersSummary,
} from './words';

const partition = (more: Partial<Schemas['PartitionReport']> = {}): Schemas['PartitionReport'] => ({
  partition: 0,
  offset: 9,
  lag: 0,
  lag_seconds: 0,
  lag_seconds_is_least: false,
  trend: 'steady',
  ...more,
});
const source = (partitions: Schemas['PartitionReport'][]) =>
  ({ name: 's', partitions }) as unknown as Schemas['SourceReport'];
const thread = (role: string, busy: number, name = role) => ({ role, busy, name });

describe('partitions', () => {
  it('are well when all are caught up, or nearly', () => {
    const near = partition({ lag: 7, lag_seconds: 0.4 });
    expect(partitionsSummary([source([partition(), near])])).toEqual({
      well: true,
      text: '2 partitions, all caught up',
    });
    expect(partitionsSummary([]).text).toBe('no partitions known yet');
  });
  it('tell how many are behind, and which ends are not known', () => {
    const behind = partition({ lag: 900, lag_seconds: 120 });
    const unknown = partition({ lag: null, lag_seconds: null });
    expect(partitionsSummary([source([partition(), behind]), source([unknown])])).toEqual({
      well: false,
      text: '3 partitions, 1 behind by up to 2 min, the end of 1 is not known yet',
    });
  });
});

describe('threads', () => {
  const threads = [
    thread('query', 0.1),
    thread('reader', 0.2, 'read-s-0'),
    thread('worker', 0.2, 'timely:work-0'),
    thread('query', 0.3),
    thread('worker', 0.6, 'timely:work-1'),
    thread('other', 0.02),
  ];
  it('of a pool are one line', () => {
    expect(loadsOf(threads).map(({ name, threads }) => [name, threads])).toEqual([
      ['timely:work-1', 1],
      ['timely:work-0', 1],
      ['read-s-0', 1],
      ['queries', 2],
      ['other threads', 1],
    ]);
    expect(loadsOf(threads)[3]?.busy).toBeCloseTo(0.4);
  });
  it('tell the skew of workers that work', () => {
    expect(skewOf(threads)).toBeCloseTo(1.5);
    expect(skewOf([thread('worker', 0.5)])).toBeNull();
    expect(skewOf([thread('worker', 0), thread('worker', 0)])).toBeNull();
    expect(workersSummary({ threads, allocated_bytes: 120e6 })).toEqual({
      well: true,
      text: '2 workers, busiest 60 %, skew 1.5×, memory 120.0 MB',
    });
    const full = [thread('worker', 0.9), thread('worker', 0.9)];
    expect(workersSummary({ threads: full, allocated_bytes: 0 }).well).toBe(false);
    const uneven = [thread('worker', 0.7), ...Array.from({ length: 3 }, () => thread('worker', 0.05))];
    expect(workersSummary({ threads: uneven, allocated_bytes: 0 }).well).toBe(false);
  });
});

it('commits that wait are not well', () => {
  const commit = {
    number: 203,
    epoch: 1,
    age_seconds: 6.2,
    duration_ms: 120,
    versions: { a: 1, b: 2 },
    files: {},
  };
  expect(commitsSummary({ commit, commits_open: 1 })).toEqual({
    well: true,
    text: 'commit 203, 6.2 s ago, took 120 ms, 2 tables',
  });
  expect(commitsSummary({ commit, commits_open: 3 }).well).toBe(false);
  expect(commitsSummary({ commit: null, commits_open: 0 })).toEqual({ well: true, text: 'no commits yet' });
});

it('a node tells what is known, and nothing else', () => {
  const node = (more: Partial<Schemas['Node']>) =>
    ({ id: 'x', name: 'x', kind: 'view', health: 'ok', ...more }) as Schemas['Node'];
  expect(factsOf(node({ per_second: 24, rows: 366 }), 0)).toEqual(['24.0/s', '366 rows']);
  expect(factsOf(node({ kind: 'table' }), 0)).toEqual(['table']);
  expect(factsOf(node({ kind: 'source', per_second: 24, bytes_per_second: 7200, busy: 0.21 }), 0)).toEqual([
    '24.0/s',
    '21 % busy',
    '7.2 kB/s',
  ]);
  expect(factsOf(node({ kind: 'dead letters' }), 5882)).toEqual(['5\u202f882 in all']);
  expect(troubleOf({ health: 'degraded', headline: 'Degraded: 2 commits wait' })).toBe('2 commits wait');
  expect(troubleOf({ health: 'degraded', headline: 'Catching up, 2 min left' })).toBe(
    'Catching up, 2 min left',
  );
  expect(troubleOf({ health: 'ok', headline: 'OK' })).toBeNull();
});

describe('costs', () => {
  const node = (name: string, busy: number, bytes: number, limits: 'time' | 'memory' | null = null) =>
    ({
      id: `view:${name}`,
      kind: 'view',
      name,
      health: 'ok',
      busy_share: busy / 2,
      busy_share_max_worker: busy,
      busy_skew: 2,
      state_rows: bytes / 100,
      state_bytes: bytes,
      limits,
    }) as Schemas['Node'];
  const lake: Schemas['Node'] = { id: 'lake', kind: 'lake', name: 'lake', health: 'ok' };
  const both: Schemas['Cost'] = {
    relations: ['a', 'b'],
    busy_share: 0.3,
    busy_share_max_worker: 0.3,
    state_rows: 1,
    state_bytes: 100,
  };
  const nodes = [node('a', 0.1, 5_000_000), node('b', 0.2, 2_000, 'time'), lake];

  it('are told of each relation and of what is shared, the dearest first', () => {
    const names = (order: 'busy' | 'memory') => costsOf({ nodes, shared: [both] }, order).map(it => it.name);
    expect(names('busy')).toEqual(['a, b', 'b', 'a']);
    expect(names('memory')).toEqual(['a', 'b', 'a, b']);
  });
  it('name what limits the pipeline', () => {
    expect(costsSummary({ nodes, shared: [], resident_bytes: 7 })).toEqual({
      well: false,
      text: 'state 5.0 MB, busiest: b',
    });
    expect(costsSummary({ nodes: [lake], shared: [], resident_bytes: 9e8, memory_max_bytes: 1e9 })).toEqual({
      well: true,
      text: 'state 0 B, process 900.0 MB of 1.0 GB',
    });
  });
  it('are on the node where they are large', () => {
    expect(factsOf(node('a', 0.5, 5_000_000), 0)).toEqual(['50 % busy', '5.0 MB']);
    expect(factsOf(node('a', 0.001, 5_000), 0)).toEqual(['view']);
  });
});
