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

it('tells what each step of a plan took that ran', () => {
  const plan = [
    {
      Plan: {
        'Node Type': 'SortExec(TopK)',
        Details: 'SortExec: TopK(fetch=5), expr=[n DESC]',
        'Actual Rows': 5,
        'Actual Total Time': 0.5,
        Extras: { output_bytes: 117, spilled_bytes: 2048 },
        Plans: [
          {
            'Node Type': 'HashJoinExec',
            Details: 'HashJoinExec, on=[(a, b)]',
            'Actual Rows': 824,
            'Actual Total Time': 2,
            Extras: { build_mem_used: 4096, build_time: 1 },
            Plans: [{ 'Node Type': 'DataSourceExec', Details: 'DataSourceExec', Plans: [] }],
          },
        ],
      },
    },
  ];
  const [sort, join, source] = planGraph(JSON.stringify(plan))?.nodes ?? [];
  expect(sort).toMatchObject({
    title: 'Sort(TopK)',
    detail: 'TopK(fetch=5), expr=[n DESC]',
    took: { rows: 5, time_ms: 0.5, memory_bytes: null, spilled_bytes: 2048, share: 0.25 },
  });
  expect(join).toMatchObject({ detail: 'on=[(a, b)]', took: { rows: 824, memory_bytes: 4096, share: 1 } });
  expect(source?.took).toMatchObject({ rows: null, time_ms: null });
});
