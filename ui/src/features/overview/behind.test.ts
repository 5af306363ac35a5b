import { expect, it } from 'vitest';
import type { Pipeline, Schemas } from '../../api/wire';
import { behindOf } from './behind';

const partition = (more: Partial<Schemas['PartitionReport']>): Schemas['PartitionReport'] => ({
  partition: 0,
  offset: 0,
  lag_seconds_is_least: false,
  trend: 'steady',
  ...more,
});
const source = (partitions: Schemas['PartitionReport'][], unit = 'records'): Schemas['SourceReport'] => ({
  name: 'web_logs',
  connected: true,
  unit,
  records: 0,
  undecoded: 0,
  bytes: 0,
  watermark: { at: '2026-03-01T00:00:00Z', allowance_seconds: 86_400 },
  partitions,
});
const commit: Pipeline['commit'] = { number: 4, epoch: 1, age_seconds: 90, duration_ms: 5, versions: {} };
const check = (sources: Schemas['SourceReport'][], commits_open = 0) =>
  behindOf({ sources, commit, commits_open });

it('takes no watermark for lag, however old it is', () => {
  expect(check([source([partition({ lag: 0, lag_seconds: 0 })])])).toBeNull();
  expect(check([source([partition({ lag: 900, lag_seconds: 2 })])])).toBeNull();
  expect(check([source([partition({ lag: null, lag_seconds: null })])])).toBeNull();
  expect(check([])).toBeNull();
});

it('tells how far reading is behind, of how much, and when it ends', () => {
  const slow = partition({ lag: 900, lag_seconds: 300, lag_seconds_is_least: true });
  expect(check([source([partition({ lag: 100, lag_seconds: 1 }), slow])])).toEqual({
    title: 'Behind by at least 5 min',
    detail: '1\u202f000 records of web_logs are there and not read yet; it is not catching up.',
  });
  expect(check([source([{ ...slow, lag_seconds_is_least: false, eta_seconds: 30 }], 'bytes')])).toEqual({
    title: 'Behind by 5 min',
    detail: '900 B of web_logs are there and not read yet; caught up in 30 s.',
  });
});

it('tells of commits that do not end, and not of one that is on its way', () => {
  expect(check([], 3)).toEqual({
    title: 'The lake is behind by 1 min',
    detail: '3 commits wait for it; live views are not behind.',
  });
  expect(check([], 1)).toBeNull();
});
