/** The lake and its upkeep: what a reader sees of it, and what an administrator starts, watches and cancels. */
import { screen, waitFor, within } from '@testing-library/react';
import { describe, expect, it } from 'vitest';
import { ADMIN, changes, draw, expectWithheld, READER, Refusal, WITHOUT_USERS } from '../../shared/testing';
import { Lake } from './Lake';
import { deedOf } from './LakeTables';
import { doneOf, type Job, lakeSummary, outcomeOf, paceOf, type Table } from './upkeep';

const AT = '2026-03-01T00:00:00Z';
const LOGS: Table = {
  name: 'logs',
  kind: 'table',
  problem: null,
  version: 412,
  written: AT,
  operation: 'WRITE',
  file_count: 48,
  bytes: 12_000_000,
  rows: 90_000,
  small_files: 40,
  open_files: 0,
  files_written_per_day: 8_640,
  files_growth_per_day: 120,
  retention_seconds: 90 * 86_400,
  partition_by: ['date'],
  order_columns: ['endpoint', 'status_code', 'user_id', 'ip', 'level'],
};
const TOTALS: Table = { ...LOGS, name: 'totals', kind: 'view', retention_seconds: null, partition_by: [] };
const LAKE = {
  address: './tidelake-data/lake',
  tables: [LOGS, TOTALS],
  version_retention_hours: 168,
  optimize_every_hours: 24,
  last_optimize: { at: AT, files: 120, bytes: 34_000_000, place: null },
  last_vacuum: null,
  last_backup: { at: AT, files: 12, bytes: 1_000_000, place: 's3://backups/lake' },
  requests: [],
};
const job = (more: Partial<Job> = {}): Job => ({
  id: 'j1',
  kind: 'optimize',
  state: 'running',
  command: 'tidelake lake optimize --lake ./tidelake-data/lake',
  by: 'ada',
  started: AT,
  ended: null,
  elapsed_seconds: 3,
  step: 'asked; the engine does it with its next commits',
  problem: null,
  optimized: null,
  vacuumed: null,
  trained: null,
  ...more,
});
const WASTE = {
  dry_run: true,
  retention_hours: 24,
  files: 7,
  bytes: 2_000_000,
  waste: [
    {
      table: 'logs',
      why: 'replaced',
      what: 'data files that only such versions name',
      files: 7,
      bytes: 2_000_000,
    },
  ],
};
const answers = (session: unknown, jobs: () => Job[] = () => []) => ({
  'GET /session': () => session,
  'GET /lake': () => LAKE,
  'GET /jobs': () => ({ jobs: jobs() }),
  'GET /lake/tables/*': () => ({
    name: 'logs',
    location: 'file:///lake/logs',
    version: 412,
    file_count: 48,
    bytes: 12_000_000,
    rows: 90_000,
    files: [],
    versions: [
      {
        version: 412,
        written: AT,
        operation: 'OPTIMIZE',
        by: 'tidelake 0.1.0',
        commit: 90,
        as_of: AT,
        files_added: 2,
        files_removed: 40,
        rows_added: 90_000,
        bytes_added: 11_000_000,
        bytes_removed: 12_000_000,
      },
    ],
  }),
});

describe('a reader', () => {
  it('sees tables and when the lake was looked after, and starts nothing', async () => {
    const drawn = await draw(<Lake />, { at: '/pipeline?tab=lake', answers: answers(READER) });
    const row = (await screen.findByRole('row', { name: /^logs/ })).textContent ?? '';
    for (const part of ['412', '48', '40', '12.0 MB', '90 d']) expect(row).toContain(part);
    const upkeep = screen.getByRole('region', { name: 'Upkeep' }).textContent;
    expect(upkeep).toMatch(/120 files written anew.*by itself every 1 d/s);
    expect(upkeep).toContain('deletes versions older than 7 d by itself');
    expect(upkeep).toContain('s3://backups/lake');
    for (const name of ['Optimize…', 'Vacuum…', 'Optimize logs']) await expectWithheld(drawn, name);
  });

  it('opens a table, and reads what its versions did', async () => {
    const { user, address } = await draw(<Lake />, { at: '/pipeline?tab=lake', answers: answers(READER) });
    await user.click(await screen.findByRole('button', { name: 'logs' }));
    expect(
      await screen.findByText(/OPTIMIZE: 90\s000 rows, 2 files added, 11\.0 MB, 40 taken out/),
    ).toBeTruthy();
    expect(address().search.node).toBe('logs');
  });

  it('sees a job, and does not cancel it', async () => {
    const drawn = await draw(<Lake />, { at: '/pipeline', answers: answers(READER, () => [job()]) });
    expect(await screen.findByText(/the engine does it with its next commits/)).toBeTruthy();
    await expectWithheld(drawn, 'Cancel');
  });
});

for (const [who, session] of [
  ['an administrator', ADMIN],
  ['anybody on a server without users', WITHOUT_USERS],
] as const)
  describe(who, () => {
    it('optimizes a table by columns in the order in which they were chosen, and cancels', async () => {
      const jobs: Job[] = [];
      const { user, asked, ...drawn } = await draw(<Lake />, {
        at: '/pipeline',
        answers: {
          ...answers(session, () => jobs),
          'POST /lake/optimize': () => {
            jobs.push(job());
            return job();
          },
          'DELETE /jobs/*': () => ({}),
        },
      });
      await user.click(await screen.findByRole('button', { name: 'Optimize logs' }));
      const dialog = within(await screen.findByRole('dialog', { name: 'Optimize' }));
      for (const name of ['status_code', 'endpoint', 'user_id', 'ip'])
        await user.click(dialog.getByRole('button', { name }));
      // More than four the server does not take.
      expect(dialog.getByRole('button', { name: 'level' }).hasAttribute('disabled')).toBe(true);
      await user.click(dialog.getByRole('button', { name: /^ip/ }));
      await user.click(dialog.getByRole('button', { name: /^user_id/ }));
      await user.click(dialog.getByRole('button', { name: 'Optimize logs' }));
      await user.click(await screen.findByRole('button', { name: 'Cancel' }));
      await waitFor(() =>
        expect(changes({ asked, ...drawn })).toEqual(['POST /lake/optimize', 'DELETE /jobs/j1']),
      );
      expect(asked.find(({ path }) => path === '/lake/optimize')?.body).toEqual({
        tables: ['logs'],
        zorder: ['status_code', 'endpoint'],
        where: {},
      });
    });

    it('deletes only what a dry run of the same retention has shown', async () => {
      const jobs: Job[] = [];
      const { user, asked } = await draw(<Lake />, {
        at: '/pipeline',
        answers: {
          ...answers(session, () => jobs),
          'POST /lake/vacuum': ({ body }) => {
            const { dry_run } = body as { dry_run: boolean };
            const vacuumed = { ...WASTE, dry_run };
            const done = job({ id: `v${jobs.length}`, kind: 'vacuum', state: 'done', vacuumed });
            jobs.unshift(done);
            return done;
          },
        },
      });
      await user.click(await screen.findByRole('button', { name: 'Vacuum…' }));
      const dialog = within(await screen.findByRole('dialog', { name: 'Vacuum' }));
      const hours = dialog.getByRole('textbox');
      expect((hours as HTMLInputElement).value).toBe('168');
      await user.clear(hours);
      await user.type(hours, '0');
      expect(dialog.getByRole('button', { name: 'Dry run' }).hasAttribute('disabled')).toBe(true);
      await user.clear(hours);
      await user.type(hours, '24');
      expect(dialog.getByText(/shorter than the 7 d/)).toBeTruthy();
      expect(dialog.queryByRole('button', { name: /Delete/ })).toBeNull();
      await user.click(dialog.getByRole('button', { name: 'Dry run' }));
      expect(await dialog.findByText(/7 files, 2\.0 MB can go; nothing was deleted yet/)).toBeTruthy();
      // Another retention wants another dry run.
      await user.type(hours, '{Backspace}');
      expect(dialog.queryByRole('button', { name: /Delete/ })).toBeNull();
      await user.type(hours, '4');
      await user.click(await dialog.findByRole('button', { name: 'Delete 7 files, 2.0 MB' }));
      await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull());
      const bodies = asked.filter(({ path }) => path === '/lake/vacuum').map(({ body }) => body);
      expect(bodies).toEqual([
        { dry_run: true, retention_hours: 24 },
        { dry_run: false, retention_hours: 24 },
      ]);
      expect(await screen.findByText(/7 files, 2\.0 MB deleted; versions of 1 d stay readable/)).toBeTruthy();
    });

    it('is told why it was refused', async () => {
      const { user } = await draw(<Lake />, {
        at: '/pipeline',
        answers: {
          ...answers(session),
          'POST /lake/optimize': () =>
            new Refusal(409, {
              code: 'job_running',
              detail: 'a job of the kind optimize is running already',
            }),
        },
      });
      await user.click(await screen.findByRole('button', { name: 'Optimize…' }));
      await user.click(await screen.findByRole('button', { name: 'Optimize all tables' }));
      expect((await screen.findByRole('alert')).textContent).toBe(
        'A job of the kind optimize is running already.',
      );
    });
  });

it('says what somebody has to see to', () => {
  expect(lakeSummary({ tables: [LOGS, TOTALS] })).toEqual({
    well: true,
    text: '2 tables, 96 files, 24.0 MB',
  });
  expect(lakeSummary({ tables: [{ ...LOGS, small_files: 900 }] })).toMatchObject({
    well: false,
    text: expect.stringContaining('many small files in logs'),
  });
  expect(lakeSummary({ tables: [{ ...LOGS, problem: 'gone' }] })).toEqual({
    well: false,
    text: 'logs cannot be read',
  });
});

it('writes facts as a few words', () => {
  expect(paceOf(LOGS)).toBe('8\u202f640, +120');
  expect(paceOf({ ...LOGS, files_growth_per_day: -3 })).toBe('8\u202f640, −3');
  expect(paceOf({ ...LOGS, files_written_per_day: null })).toBe('');
  expect(doneOf(null, 'deleted', 0)).toBeNull();
  expect(doneOf({ at: AT, files: 0, bytes: 0, place: null }, 'deleted', Date.parse(AT) + 120_000)).toBe(
    '2 min ago, nothing to do',
  );
  const done = (more: Partial<Job>) => outcomeOf(job({ state: 'done', step: null, ...more }));
  expect(done({ optimized: [] })).toMatch(/^nothing to do/);
  expect(
    done({
      optimized: [
        {
          table: 'logs',
          files_before: 40,
          files_after: 2,
          bytes_before: 12_000_000,
          bytes_after: 11_000_000,
        },
      ],
    }),
  ).toBe('logs: 40 files (12.0 MB) became 2 (11.0 MB)');
  expect(done({ vacuumed: WASTE })).toBe('7 files, 2.0 MB could go; versions of 1 d stay readable');
  expect(done({ state: 'failed', problem: 'the lake is away' })).toBe('the lake is away');
  expect(done({ state: 'cancelled' })).toBe('what it had done stays');
  expect(
    deedOf({
      version: 1,
      operation: 'WRITE',
      files_added: 0,
      files_removed: 0,
      rows_added: null,
      bytes_added: 0,
      bytes_removed: 0,
    }),
  ).toBe('WRITE');
});
