/** What a search shows of records that are known live before they are stored. */
import { screen } from '@testing-library/react';
import { afterEach, expect, it, vi } from 'vitest';
import { draw } from '../../shared/testing';
import { useSearch } from './useSearch';

const RANGE = '/logs?from=2026-03-01T12:00:00Z&to=2026-03-01T12:01:00Z';
const ROW = { id: '0-1', timestamp: '2026-03-01T12:00:30Z', level: null, values: {} };

function Found() {
  const { rows } = useSearch({ where: '', columns: 'country', order: 'newest' });
  return <p>found {rows.length}</p>;
}

afterEach(() => vi.useRealTimers());

it('asks again for a range that has none, until it has', async () => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  const answers = [{ rows: [] }];
  const { asked } = await draw(<Found />, {
    at: RANGE,
    answers: { 'GET /logs': () => answers.pop() ?? { rows: [ROW] } },
  });
  const seen = () => [
    asked.filter(({ path }) => path === '/logs').length,
    screen.getByText(/^found/).textContent,
  ];
  await vi.advanceTimersByTimeAsync(100);
  expect(seen()).toEqual([1, 'found 0']);
  await vi.advanceTimersByTimeAsync(6_000);
  expect(seen()).toEqual([2, 'found 1']);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(seen()).toEqual([2, 'found 1']);
});
