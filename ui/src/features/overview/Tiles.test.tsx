/** Tiles of any dataflow: each has a name and a number, and says by a click where it comes from. */
import { screen, waitFor, within } from '@testing-library/react';
import { expect, it } from 'vitest';
import type { Metrics, SnapshotFrame } from '../../api/wire';
import { requestsPage } from '../../shared/page.fixture';
import { draw } from '../../shared/testing';
import { tilesFrom } from './figures';
import { Tiles } from './Tiles';

const AS_OF = '2026-03-01T12:00:00.000Z';
const METRICS = { eventsPerSec: 2, totalRequests: 9, dataProcessed: 1_000 } as Metrics;
const ROW = { requests: 120, errors: 12, took_mean: 80, took_p95: 300, sessions: 7, bytes_sent: 6_000 };
const view = tilesFrom(requestsPage)?.view ?? '';
const RECEIPT = {
  view,
  sql: 'SELECT count(*) AS requests FROM visits',
  query: `SELECT * FROM "${view}"`,
  rows: 1,
  epoch: 1_772_366_400_000,
  as_of: AS_OF,
  watermark: null,
  offsets: [],
  stored: null,
};

it('have numbers, and receipts', async () => {
  const { feed, user } = await draw(<Tiles page={requestsPage} history={null} />, {
    answers: { 'GET /receipts/*': () => RECEIPT },
  });
  const tiles = screen.getByRole('region', { name: 'Last minute' });
  const frame = { view, epoch: 1, as_of: AS_OF, generation: 1, columns: [], rows: [ROW] };
  await feed({ type: 'metrics', data: METRICS }, { type: 'snapshot', data: frame satisfies SnapshotFrame });
  const tile = (name: string) => within(tiles).getByRole('heading', { name }).parentElement as HTMLElement;
  await waitFor(() => expect(tile('Error rate').textContent).toMatch(/10\.0/));
  expect(tile('p95 took').textContent).toMatch(/300\s*ms/);
  await user.click(within(tile('Error rate')).getByRole('button', { name: /Error rate, receipt/ }));
  expect((await screen.findByRole('dialog')).textContent).toMatch(/SELECT count\(\*\).*FROM visits/);
});
