/**
 * Every character the page writes is in the fonts it brings. Others come from whatever the reader's machine has, or are an
 * empty box; symbols are drawn instead.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const SOURCES = join(process.cwd(), 'src');
const ranges = createRequire(import.meta.url)('@fontsource/ibm-plex-sans/unicode.json') as { latin: string };
const known = ranges.latin.split(',').map(range => {
  const [from = '', to = from] = range.replace('U+', '').split('-');
  return [Number.parseInt(from, 16), Number.parseInt(to, 16)] as const;
});

it('has every character in its fonts', () => {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter(
    path => /\.tsx?$/.test(path) && !/\.test\./.test(path),
  );
  expect(files.length).toBeGreaterThan(20);
  const missing = files.flatMap(path => {
    const text = readFileSync(join(SOURCES, path), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
    const others = [...text].filter(it => {
      const code = it.codePointAt(0) ?? 0;
      return !known.some(([from, to]) => from <= code && code <= to);
    });
    return others.map(it => `${path}: ${it}`);
  });
  expect(missing).toEqual([]);
});
