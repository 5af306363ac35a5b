/**
 * The built page stays small: what the first route loads, what the query route adds, and the fonts.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';

const DIST = join(process.cwd(), 'dist');
const ASSETS = join(DIST, 'assets');
const kB = (bytes: number) => bytes / 1000;

/** A script and all it imports at once. */
function closure(names: string[], seen = new Set<string>()): Set<string> {
  for (const name of names) {
    if (seen.has(name) || !existsSync(join(ASSETS, name))) continue;
    seen.add(name);
    const text = readFileSync(join(ASSETS, name), 'utf8');
    const imported = [...text.matchAll(/(?:from|import)\s*["']\.\/([\w.-]+\.js)["']/g)].map(
      ([, it]) => it ?? '',
    );
    closure(imported, seen);
  }
  return seen;
}

function gzip_kB(names: Iterable<string>): number {
  let sum = 0;
  for (const name of names) sum += gzipSync(readFileSync(join(ASSETS, name)), { level: 9 }).length;
  return kB(sum);
}

const index = readFileSync(join(DIST, 'index.html'), 'utf8');
const first = closure([...index.matchAll(/assets\/([\w.-]+\.js)/g)].map(([, name]) => name ?? ''));
const styles = [...index.matchAll(/assets\/([\w.-]+\.css)/g)].map(([, name]) => name ?? '');
const files = readdirSync(ASSETS);

it('keeps the first route within 260 kB', () => {
  expect(first.size).toBeGreaterThan(1);
  expect(gzip_kB([...first, ...styles])).toBeLessThan(260);
});

it('keeps what the query route adds within 140 kB', () => {
  const query = closure(files.filter(name => /^QueryPage-.*\.js$/.test(name)));
  expect(query.size).toBeGreaterThan(1);
  expect(gzip_kB([...query].filter(name => !first.has(name)))).toBeLessThan(140);
});

it('keeps fonts within 90 kB', () => {
  const fonts = files.filter(name => name.endsWith('.woff2'));
  expect(fonts).toHaveLength(4);
  expect(kB(fonts.reduce((sum, name) => sum + statSync(join(ASSETS, name)).size, 0))).toBeLessThan(90);
});

it('asks nothing of another origin', () => {
  const texts = files
    .filter(name => /\.(js|css)$/.test(name))
    .map(name => readFileSync(join(ASSETS, name), 'utf8'));
  const foreign = texts.flatMap(
    text => text.match(/(?:url\(|src=|href=|import\(?|fetch\()\s*["'`]https?:[^"'`]*/g) ?? [],
  );
  expect(foreign).toEqual([]);
});
