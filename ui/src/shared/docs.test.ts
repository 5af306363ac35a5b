/** What the page links to is there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

it('links to chapters of the documentation that it has', () => {
  const sources = join(process.cwd(), 'src');
  const files = readdirSync(sources, { recursive: true, encoding: 'utf8' }).filter(path =>
    /(?<!\.test)\.tsx?$/.test(path),
  );
  const chapters = files.flatMap(path => {
    const text = readFileSync(join(sources, path), 'utf8');
    return [...text.matchAll(/(?:chapter="|docsUrl\(')([^"']+)["']/g)].map(([, name]) => name ?? '');
  });
  expect(chapters.length).toBeGreaterThan(4);
  expect(chapters.filter(name => !existsSync(join(process.cwd(), '../docs/book', `${name}.md`)))).toEqual([]);
});
