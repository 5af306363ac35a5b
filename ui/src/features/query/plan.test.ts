/** A plan is drawn from its JSON, and what is no plan is not. */
import { expect, it } from 'vitest';
import { planGraph } from './plan';

it('turns a plan into nodes and edges', () => {
  const plan = [
    {
      Plan: {
        'Node Type': 'Limit',
        Fetch: 10,
        Plans: [{ 'Node Type': 'TableScan', 'Relation Name': 'logs', Plans: [] }],
      },
    },
  ];
  const graph = planGraph(JSON.stringify(plan));
  expect(graph?.nodes.map(({ title, detail }) => [title, detail])).toEqual([
    ['Limit', 'Fetch: 10'],
    ['TableScan', 'Relation Name: logs'],
  ]);
  expect(graph?.edges.map(({ id }) => id)).toEqual(['1>0']);
  const [limit, scan] = graph?.nodes ?? [];
  expect(limit?.y).toBeLessThan(scan?.y ?? 0);
});

it('says no to anything else', () => {
  expect(planGraph('Limit: 10')).toBeNull();
  expect(planGraph('{}')).toBeNull();
});
