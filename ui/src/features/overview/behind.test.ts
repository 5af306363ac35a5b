import { expect, it } from 'vitest';
import type { Pipeline, Schemas } from '../../api/wire';
import { catchingUp, lakeBehind } from './behind';

const NOW = Date.parse('2026-03-02T00:00:00Z');
const partition = (more: Partial<Schemas['PartitionReport']>): Schemas['PartitionReport'] => ({
  partition: 0,
  offset: 0,
  lag_seconds_is_least: false,
  trend: 'steady',
  ...more,
});
const source = (
  partitions: Schemas['PartitionReport'][],
  unit = 'records',
  watermark = '2026-03-01T23:59:50Z',
): Schemas['SourceReport'] => ({
  name: 'web_logs',
  headline: 'OK',
  health: 'ok',
  connected: true,
  unit,
  records: 0,
  undecoded: 0,
  bytes: 0,
  watermark: { at: watermark, allowance_seconds: 5 },
  intake: { records_last_minute: 0, undecoded_last_minute: 0, late_last_minute: 0, late: 0, ahead: [] },
  partitions,
});
const behind = (...sources: Schemas['SourceReport'][]) => catchingUp({ sources }, NOW);
const commit: Pipeline['commit'] = {
  number: 4,
  epoch: 1,
  age_seconds: 90,
  duration_ms: 5,
  versions: {},
  files: {},
};

it('takes old records for no backlog when all of them are read', () => {
  const old = '2015-05-20T21:05:00Z';
  expect(behind(source([partition({ lag: 0, lag_seconds: 0 })], 'bytes', old))).toBeNull();
  expect(behind(source([partition({ lag: 900, lag_seconds: 2, read_per_second: 500 })]))).toBeNull();
  expect(behind(source([partition({ lag: null, lag_seconds: null })]))).toBeNull();
  expect(behind()).toBeNull();
});

it('tells how far back the page is by event time, of how much, and when it ends', () => {
  const day = source(
    [
      partition({
        lag: 700_000_000,
        lag_seconds: 6.5,
        lag_seconds_is_least: true,
        read_per_second: 6e6,
        eta_seconds: 120,
      }),
      partition({ partition: 1, lag: 20_000_000, read_per_second: 6e6, eta_seconds: 4 }),
    ],
    'bytes',
    '2026-02-28T23:22:55Z',
  );
  expect(behind(source([partition({ lag: 0 })]), day)).toEqual({
    title: 'Catching up: showing 2026-02-28 23:23 UTC, 1 d 0 h behind',
    detail: '720.0 MB of web_logs unread; live in about 2 min',
  });
});

it('tells whether that grows', () => {
  const lag = { lag: 9_000, lag_seconds: 300, read_per_second: 10 };
  expect(behind(source([partition({ ...lag, trend: 'rising' })]))).toMatchObject({
    title: expect.stringMatching(/^Falling behind/),
    detail: '9\u202f000 records of web_logs unread; records arrive faster than they are read',
  });
  expect(behind(source([partition({ ...lag, trend: 'unknown' })]))).toMatchObject({
    title: expect.stringMatching(/^Catching up/),
    detail: expect.stringMatching(/no estimate yet/),
  });
});

it('tells of commits that do not end, and not of one that is on its way', () => {
  expect(lakeBehind({ commit, commits_open: 3 })).toEqual({
    title: 'Lake is 1 min behind',
    detail: '3 commits are waiting; live views are up to date',
  });
  expect(lakeBehind({ commit, commits_open: 1 })).toBeNull();
});
