import { expect, it } from 'vitest';
import { csvOf, jsonLinesOf } from './write';

const columns = [
  { name: 'endpoint', type: 'text' },
  { name: 'n', type: 'bigint' },
];

it('writes CSV as the server does', () => {
  const rows = [
    { endpoint: '/a', n: 1 },
    { endpoint: 'says "no", twice', n: null },
    { endpoint: '', n: 0.5 },
    { n: 2 },
  ];
  expect(csvOf(columns, rows)).toBe('endpoint,n\r\n/a,1\r\n"says ""no"", twice",\r\n"",0.5\r\n,2\r\n');
  expect(csvOf(columns, [])).toBe('endpoint,n\r\n');
});

it('writes each row as a line of JSON, columns in their order', () => {
  expect(jsonLinesOf(columns, [{ n: 1, endpoint: '/a' }, { n: 2 }])).toBe(
    '{"endpoint":"/a","n":1}\n{"endpoint":null,"n":2}\n',
  );
  expect(jsonLinesOf(columns, [])).toBe('');
});
