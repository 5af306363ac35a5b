/** What the page of anomalies shows of any dataflow: incidents, rule matches, both, or how to get some. */
import { screen, waitFor, within } from '@testing-library/react';
import { expect, it } from 'vitest';
import { draw } from '../../shared/testing';
import { Anomalies } from './Anomalies';

const column = (name: string, type: string, role: string) => ({ name, type, role });
const RULES = {
  name: 'stock_alerts',
  window_column: 'hour',
  columns: [
    column('hour', 'timestamp', 'time'),
    column('hour_end', 'timestamp', 'time'),
    column('kind', 'text', 'key'),
    column('shop', 'text', 'key'),
    column('lost', 'double', 'share'),
    column('limit', 'double', 'share'),
  ],
  record_columns: ['shop'],
  detector: null,
};
const DETECTOR = {
  name: 'sales_incidents',
  window_column: null,
  columns: [],
  detector: {
    of: 'incidents',
    detector: 'sales',
    watches: 'sales_1m',
    key: [],
    metrics: ['orders'],
    measured: {},
    window_seconds: 60,
    filters_records: true,
    explain_by: [],
  },
};
const EXTENT = { from: '2026-03-01T00:00:00Z', to: '2026-03-01T12:00:00Z' };

const answers = (...views: object[]) => ({
  'GET /views': () => ({ epoch: 1, views }),
  'GET /logs/extent': () => EXTENT,
  'GET /incidents': () => ({ epoch: 1, total: 0, truncated: false, incidents: [] }),
  'POST /sql': () => ({
    rows: [
      {
        kind: 'SOLD_OUT',
        shop: 'Delft',
        _begin: 1772362800,
        _end: 1772366400,
        _windows: 1,
        _records: 3,
        _figure0: 0.4,
        _figure1: null,
      },
    ],
  }),
});

it('says how to add a detector where there is none', async () => {
  await draw(<Anomalies />, { at: '/anomalies', answers: answers() });
  expect(await screen.findByText(/CREATE DETECTOR/)).toBeTruthy();
  expect(screen.queryByRole('tab')).toBeNull();
});

it('has tabs only for what the dataflow has', async () => {
  await draw(<Anomalies />, { at: '/anomalies', answers: answers(DETECTOR) });
  expect(await screen.findByRole('region', { name: 'Incidents' })).toBeTruthy();
  expect(screen.queryByRole('tab', { name: 'Rules' })).toBeNull();
});

it('leads from a match of a rule to its records', async () => {
  const { user, address } = await draw(<Anomalies />, {
    at: '/anomalies',
    answers: answers(DETECTOR, RULES),
  });
  await user.click(await screen.findByRole('tab', { name: 'Rules' }));
  const region = await screen.findByRole('region', { name: /stock_alerts/ });
  // A column without any value is left out.
  expect(await within(region).findByRole('columnheader', { name: 'lost' })).toBeTruthy();
  expect(within(region).queryByRole('columnheader', { name: 'limit' })).toBeNull();
  const row = (await within(region).findByText('Sold out: Delft')).closest('tr');
  await user.click(within(row as HTMLElement).getByRole('button', { name: 'Records' }));
  await waitFor(() => expect(address().path).toBe('/logs'));
  expect(address().search).toMatchObject({
    where: "shop = 'Delft'",
    from: '2026-03-01T11:00:00.000Z',
    to: '2026-03-01T12:00:00.000Z',
  });
});
