/** What each node of a view does is asked for when somebody looks, and told beside it. */
import { fireEvent, screen } from '@testing-library/react';
import { expect, it } from 'vitest';
import { draw } from '../../shared/testing';
import { LivePlan } from './LivePlan';

const NODE = {
  number: 0,
  depth: 0,
  text: 'TopK 10 by requests desc; keeps its input',
  shared_by: [],
  repeated: false,
  changes_per_second: 12,
  busy_share: 0.025,
  state_rows: 24,
  state_bytes: 2_000_000,
};
const BELOW = {
  ...NODE,
  number: 1,
  depth: 1,
  text: 'Aggregate by (endpoint): count(*)',
  shared_by: ['endpoints', 'top_endpoints'],
  changes_per_second: null,
  busy_share: null,
  state_rows: 0,
};

it('tells the numbers of each node', async () => {
  await draw(<LivePlan view="top_endpoints" />, {
    at: '/pipeline',
    answers: {
      'GET /views/*/plan': () => ({
        view: 'top_endpoints',
        epoch: 1,
        lifetime: 'rows may always change',
        nodes: [NODE, BELOW],
      }),
    },
  });
  expect(screen.queryByText(NODE.text)).toBeNull();
  const details = screen.getByText('Plan').closest('details');
  if (details === null) throw new Error('the plan folds');
  details.open = true;
  fireEvent(details, new Event('toggle'));
  expect(await screen.findByText(NODE.text)).toBeTruthy();
  expect(screen.getByText(/changes\/s · 2\.5 % of a worker · keeps 24 rows, 2/)).toBeTruthy();
  expect(screen.getByText('shared by endpoints, top_endpoints')).toBeTruthy();
});
