/**
 * Imports go leftwards only: api, shared, features, app; and no feature knows another.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, it } from 'vitest';

const SOURCES = join(process.cwd(), 'src');
const LAYERS = ['api', 'shared', 'features', 'app'];

it('keeps the layers', () => {
  const wrong = sourceFiles().flatMap(path =>
    importsOf(path)
      .filter(imported => !mayImport(path, imported))
      .map(imported => `${path} imports ${imported}`),
  );
  expect(wrong).toEqual([]);
});

function sourceFiles(): string[] {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter(path =>
    /\.tsx?$/.test(path),
  );
  expect(files.length).toBeGreaterThan(20);
  return files;
}

/** The files of this page that a file imports, as paths below `src`. */
function importsOf(path: string): string[] {
  const text = readFileSync(join(SOURCES, path), 'utf8');
  const names = [...text.matchAll(/(?:from|import) '(\.[^']+)'/g)].map(([, name]) => name ?? '');
  return names.map(name => relative(SOURCES, join(SOURCES, dirname(path), name)));
}

function mayImport(path: string, imported: string): boolean {
  const [layer = '', feature] = path.split('/');
  const [importedLayer = '', importedFeature] = imported.split('/');
  if (layer === 'features' && importedLayer === 'features') return feature === importedFeature;
  return LAYERS.indexOf(importedLayer) <= LAYERS.indexOf(layer);
}
