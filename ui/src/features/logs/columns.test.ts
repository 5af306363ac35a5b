import { describe, expect, it } from 'vitest';
import {
  type CatalogColumn,
  moved,
  readColumns,
  resized,
  WIDTH_LEAST,
  WIDTH_MOST,
  withColumn,
  withoutColumn,
  writeColumns,
} from './columns';

const column = (name: string): CatalogColumn => ({
  name,
  type: 'text',
  role: 'key',
  unit: null,
  statistic: null,
  adds_up: false,
  comment: null,
});
const KNOWN = ['a', 'b', 'c', 'odd,name:50%'].map(column);
const read = (text?: string) => readColumns(text, KNOWN, ['a', 'b']);
const names = (text?: string) => read(text).map(it => [it.column.name, it.width]);

describe('columns in the address', () => {
  it('are the default ones unless there are others', () => {
    expect(names()).toEqual([
      ['a', null],
      ['b', null],
    ]);
    expect(names('gone,,:9')).toEqual(names());
    expect(names('c:120,a,c')).toEqual([
      ['c', 120],
      ['a', null],
    ]);
    expect(names('a:x,b:-1,c:99999')).toEqual([
      ['a', null],
      ['b', null],
      ['c', WIDTH_MOST],
    ]);
  });

  it('come back as they were written, whatever they are called', () => {
    for (const text of ['c:120,a', 'odd%2cname%3a50%25:80,b', 'b,a']) {
      expect(writeColumns(read(text), ['a', 'b'])).toBe(text);
    }
    expect(writeColumns(read(), ['a', 'b'])).toBeUndefined();
  });

  it('are added, taken away, moved and resized', () => {
    expect(writeColumns(withColumn(read(), KNOWN[2] as CatalogColumn), [])).toBe('a,b,c');
    expect(writeColumns(withColumn(read(), KNOWN[0] as CatalogColumn), [])).toBe('a,b');
    expect(writeColumns(withoutColumn(read(), 'a'), [])).toBe('b');
    expect(writeColumns(withoutColumn(read('a'), 'a'), [])).toBe('a');
    expect(writeColumns(moved(read(), 'a', 1), [])).toBe('b,a');
    expect(writeColumns(moved(read(), 'a', -1), [])).toBe('a,b');
    expect(writeColumns(moved(read(), 'gone', 1), [])).toBe('a,b');
    expect(writeColumns(resized(read(), 'b', 3), [])).toBe(`a,b:${WIDTH_LEAST}`);
  });
});
