/** Every time that is written with its zone is written with the chosen one. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const SOURCES = join(process.cwd(), 'src');

it('names no zone where the chosen one belongs', () => {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter(
    path => /^(shared|features)\/.*\.tsx?$/.test(path) && !/\.test\.|shared\/zone\.ts/.test(path),
  );
  expect(files.length).toBeGreaterThan(20);
  const named = files.flatMap(path => {
    const text = readFileSync(join(SOURCES, path), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    return text
      .split('\n')
      .filter(line => /\bUTC\b/.test(line.replace(/Etc\/UTC|Date\.UTC/g, '')))
      .map(line => `${path}: ${line.trim()}. Write zoneName() of shared/zone.ts.`);
  });
  expect(named).toEqual([]);
});
