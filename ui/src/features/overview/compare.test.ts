/**
 * Fields are ranked by how far two parts are apart in them, and nothing is said that the counts do not tell.
 */
import { expect, it } from 'vitest';
import { type Counted, fieldsApart, readBox, without, writeBox } from './compare';

const facet = (column: string, counts: Record<string, number>) => ({
  column,
  is_text: true,
  follows_time: false,
  values: Object.entries(counts).map(([value, count]) => ({ value, count })),
});
const counted = (total: number, ...facets: ReturnType<typeof facet>[]): Counted => ({ total, facets });

it('ranks fields by their largest difference, and values within them', () => {
  const slow = counted(
    100,
    facet('method', { GET: 60, POST: 40 }),
    facet('endpoint', { '/a': 90, '/b': 10 }),
  );
  const rest = counted(
    900,
    facet('method', { GET: 540, POST: 360 }),
    facet('endpoint', { '/a': 90, '/b': 810 }),
  );
  const found = fieldsApart(slow, rest);
  expect(found.map(({ column, apart }) => [column, apart])).toEqual([
    ['endpoint', 80],
    ['method', 0],
  ]);
  expect(found[0]?.values[0]).toEqual({ value: '/a', inside: 90, outside: 10 });
});

it('takes a part away from all, and knows what was not there', () => {
  const rest = without(
    counted(10, facet('level', { INFO: 7, ERROR: 3 })),
    counted(3, facet('level', { ERROR: 3 })),
  );
  expect(rest.total).toBe(7);
  expect(fieldsApart(counted(3, facet('level', { ERROR: 3 })), rest)[0]?.values).toEqual([
    { value: 'ERROR', inside: 100, outside: 0 },
    { value: 'INFO', inside: 0, outside: 100 },
  ]);
});

it('says nothing of a value that one list does not tell', () => {
  const many = Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`/${at}`, 10]));
  const all = counted(1_000, facet('endpoint', many));
  const part = counted(10, facet('endpoint', { '/rare': 8, '/0': 2 }));
  const rest = without(all, part);
  const values = fieldsApart(part, rest)[0]?.values.map(({ value }) => value);
  expect(values).not.toContain('/rare');
  expect(values).not.toContain('');
  expect(values).toContain('/0');
});

it('compares nothing with nothing', () => {
  expect(fieldsApart(counted(0), counted(5, facet('level', { INFO: 5 })))).toEqual([]);
  expect(fieldsApart(counted(5, facet('level', { INFO: 5 })), counted(0))).toEqual([]);
});

it('keeps a box in the address, and no broken one', () => {
  const box = { from: 60, to: 180, low: 400, high: 1_600 };
  expect(readBox(writeBox(box))).toEqual(box);
  for (const text of [undefined, '', '1~2~3', '1~2~3~x', '2~1~3~4', '1~2~4~3'])
    expect(readBox(text)).toBeNull();
});

it('tells which fields are of the time', () => {
  const hour = (value: string) => ({ ...facet('hour', { [value]: 10 }), follows_time: true });
  const found = fieldsApart(counted(10, hour('9')), counted(10, hour('10')));
  expect(found).toMatchObject([{ column: 'hour', apart: 100, followsTime: true }]);
});
