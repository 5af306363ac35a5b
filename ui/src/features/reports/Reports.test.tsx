/** Reports: which one, of which times, as they are read and as they are taken along. */
import { screen, waitFor, within } from '@testing-library/react';
import { describe, expect, it } from 'vitest';
import { draw, Refusal } from '../../shared/testing';
import { ReportsPage } from './ReportsPage';
import {
  type Column,
  drawingOf,
  fileUrl,
  headingOf,
  type Report,
  type Section,
  shownValue,
  timesOf,
} from './report';

const FROM = '2026-03-01T00:00:00Z';
const TO = '2026-03-02T00:00:00Z';
const column = (name: string, role: string, unit: string | null = null): Column => ({
  name,
  title: name.replaceAll('_', ' '),
  role,
  unit,
});
const BY_KEY: Section = {
  id: 'by_endpoint',
  title: 'By endpoint',
  shape: 'table',
  columns: [
    column('endpoint', 'key'),
    column('requests', 'count'),
    column('failed', 'count'),
    column('share', 'share'),
  ],
  rows: Array.from({ length: 15 }, (_, at) => ({
    endpoint: `/e${at}`,
    requests: 1_500 - at,
    failed: at,
    share: 0.0213,
  })),
  charts: [{ kind: 'bars', title: 'Requests', x: 'endpoint', y: 'requests', part: 'failed' }],
  sql: 'SELECT endpoint FROM lake.logs',
};
const TOTAL: Section = {
  id: 'totals',
  title: 'In total',
  shape: 'values',
  columns: [column('requests', 'count'), column('mean', 'duration', 'ms')],
  rows: [{ requests: 90_000, mean: 41.25 }],
  charts: [],
  sql: 'SELECT count(*) FROM lake.logs',
};
const OVER_TIME: Section = {
  id: 'by_hour',
  title: 'By the hour',
  shape: 'table',
  columns: [column('hour', 'time'), column('requests', 'count')],
  rows: [
    { hour: '2026-03-01T01:00:00Z', requests: 5 },
    { hour: '2026-03-01T00:00:00Z', requests: '7' },
  ],
  charts: [{ kind: 'steps', title: 'Requests', x: 'hour', y: 'requests', part: null }],
  sql: 'SELECT 1',
};
const report = (name: string, range: string): Report => ({
  name,
  dataflow: 'web_logs',
  range,
  from: FROM,
  to: TO,
  zone: 'UTC',
  made_at: '2026-03-02T00:00:01Z',
  commit: { number: 412, epoch: 1, as_of: TO, versions: { logs: 12 } },
  notes: ['roles were guessed from names'],
  parts: [
    { name: 'analytics', title: 'Analytics', missing: null, sections: [TOTAL, BY_KEY] },
    { name: 'models', title: 'Models', missing: 'no view has scores', sections: [] },
  ],
});
const listed = (name: string, missing: string | null = null) => ({
  name,
  about: `about ${name}`,
  missing,
  sections: [],
});
const ANSWERS = {
  'GET /reports': () => ({
    dataflow: 'web_logs',
    reports: [
      listed('analytics'),
      listed('anomalies'),
      listed('models', 'no view has scores'),
      listed('all'),
    ],
  }),
  'GET /reports/*': ({ path, query }: { path: string; query: URLSearchParams }) =>
    report(path.split('/').at(-1) ?? '', query.get('range') ?? ''),
};

describe('the page', () => {
  it('shows everything over the range of the bar unless something else is chosen', async () => {
    const { asked } = await draw(<ReportsPage />, { at: '/reports', answers: ANSWERS });
    expect(await screen.findByRole('heading', { name: 'Analytics' })).toBeTruthy();
    const [first] = asked.filter(({ path }) => path.startsWith('/reports/'));
    expect([first?.path, first?.query.toString()]).toEqual(['/reports/all', 'range=1h']);
    expect(screen.getByText(/^90\s000$/)).toBeTruthy();
    expect(screen.getByText('Roles were guessed from names.')).toBeTruthy();
    expect(screen.getByText('No view has scores.')).toBeTruthy();
  });

  it('has the first rows of a long table, and all of them on demand', async () => {
    const { user } = await draw(<ReportsPage />, { at: '/reports', answers: ANSWERS });
    const table = await screen.findByRole('region', { name: 'By endpoint, table' });
    expect(within(table).getAllByRole('row')).toHaveLength(13);
    expect(within(table).getAllByText('2.13 %')).toHaveLength(12);
    await user.click(screen.getByRole('button', { name: 'All 15 rows' }));
    expect(within(table).getAllByRole('row')).toHaveLength(16);
  });

  it('asks for what is chosen, once, and again only on demand', async () => {
    const { user, asked, address } = await draw(<ReportsPage />, {
      at: `/reports?from=${FROM}&to=${TO}`,
      answers: ANSWERS,
    });
    await user.click(await screen.findByRole('button', { name: 'anomalies' }));
    await waitFor(() => expect(address().search.tab).toBe('anomalies'));
    await user.click(await screen.findByRole('button', { name: 'Count again' }));
    const told = () =>
      asked
        .filter(({ path }) => path.startsWith('/reports/'))
        .map(({ path, query }) => `${path} ${query.get('from')} ${query.get('to')}`);
    const of = (name: string) => `/reports/${name} ${FROM} ${TO}`;
    await waitFor(() => expect(told()).toEqual([of('all'), of('anomalies'), of('anomalies')]));
  });

  it('is taken along as one file, of the times that are shown', async () => {
    await draw(<ReportsPage />, { at: '/reports?range=7d', answers: ANSWERS });
    const file = await screen.findByRole('link', { name: 'HTML' });
    expect(file.getAttribute('download')).toBe('web_logs-all-2026-03-02.html');
    const url = new URL(file.getAttribute('href') ?? '');
    expect(url.pathname).toMatch(/\/api\/v1\/reports\/all$/);
    expect(Object.fromEntries(url.searchParams)).toEqual({ from: FROM, to: TO, format: 'html' });
    expect(screen.getByRole('link', { name: 'Open as one file' }).getAttribute('target')).toBe('_blank');
    expect(screen.getByRole('button', { name: 'JSON' })).toBeTruthy();
  });

  it('says why a dataflow has no such report, and asks for none', async () => {
    const { asked } = await draw(<ReportsPage />, { at: '/reports?tab=models', answers: ANSWERS });
    expect(await screen.findByText(/^No view has scores\./)).toBeTruthy();
    expect(asked.filter(({ path }) => path.startsWith('/reports/'))).toEqual([]);
    expect(screen.queryByRole('link', { name: 'HTML' })).toBeNull();
  });

  it('says why there is no report, and what to do', async () => {
    const refused = new Refusal(503, { detail: 'there is no commit yet', hint: 'wait a moment' });
    await draw(<ReportsPage />, { at: '/reports', answers: { ...ANSWERS, 'GET /reports/*': () => refused } });
    expect((await screen.findByRole('alert')).textContent).toBe('There is no commit yet.Wait a moment.');
  });
});

it('reads the times of the address as the API takes them', () => {
  const open = { from: 0, to: 1, fixed: false, range: '6h' } as const;
  expect(timesOf({}, open)).toEqual({ range: '6h' });
  expect(timesOf({ range: '7d' }, open)).toEqual({ range: '7d' });
  expect(timesOf({ from: FROM }, open)).toEqual({ from: FROM });
  expect(timesOf({ from: FROM, to: TO }, open)).toEqual({ from: FROM, to: TO });
  const archive = { from: Date.parse(FROM), to: Date.parse(TO), fixed: true, range: null };
  expect(timesOf({}, archive)).toEqual({
    from: '2026-03-01T00:00:00.000Z',
    to: '2026-03-02T00:00:00.000Z',
  });
  expect(fileUrl('all', { range: 'all' }, { from: FROM, to: TO })).toMatch(/\?range=all&format=html$/);
});

it('writes values as the file of the report does', () => {
  const shown = (role: string, value: unknown, unit: string | null = null) =>
    shownValue(column('x', role, unit), value);
  expect(shown('count', null)).toBe('–');
  expect(shown('key', null)).toBe('(null)');
  expect(shown('key', '')).toBe('(empty)');
  expect(shown('flag', true)).toBe('yes');
  expect(shown('share', 0.0213)).toBe('2.13 %');
  expect(shown('share', 2.13, '%')).toBe('2.13 %');
  expect(shown('share', 0.000_01)).toBe('< 0.01 %');
  expect(shown('bytes', 12_000_000)).toBe('12.0 MB');
  expect(shown('money', '120.00')).toBe('120');
  expect(shown('time', '2026-03-01T02:00:00Z')).toBe('2026-03-01 02:00:00');
  expect(headingOf(column('total', 'money', 'EUR'))).toBe('total, EUR');
  expect(headingOf(column('share', 'share', '%'))).toBe('share');
});

it('draws bars with their part, and steps in the order of time', () => {
  const bars = drawingOf(BY_KEY.charts[0] as never, BY_KEY)?.bars ?? [];
  expect(bars[0]).toEqual({ label: '/e0', value: '1\u202f500', share: 1, part: 0, partValue: '0 failed' });
  expect(bars[14]?.part).toBeCloseTo(14 / 1_486);
  expect(drawingOf(OVER_TIME.charts[0] as never, OVER_TIME)).toMatchObject({
    times: [Date.parse('2026-03-01T00:00:00Z') / 1000, Date.parse('2026-03-01T01:00:00Z') / 1000],
    values: [7, 5],
  });
  expect(drawingOf(BY_KEY.charts[0] as never, { ...BY_KEY, rows: [] })).toBeNull();
});
