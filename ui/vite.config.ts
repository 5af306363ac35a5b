/**
 * How the page is built and tested.
 *
 * The result is committed and embedded into the binary, so a build must give the same bytes everywhere: no
 * dates, no commit ids, no source maps. Beside the page it writes SOURCE_HASH, a digest of everything the
 * page is built from, which a test recomputes without Node to notice a page older than its sources.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const root = import.meta.dirname;
/** While developing, data and documentation come from a running Tidelake. */
const RUNNING = process.env.TIDELAKE_URL ?? 'http://127.0.0.1:4000';
const proxy = { '/api': RUNNING, '/docs': RUNNING };
const SINGLE_FILES = ['package.json', 'package-lock.json', 'index.html', 'vite.config.ts', 'tsconfig.json'];
const FOLDERS = ['src', 'public'];

/** All files below a folder, as paths relative to this one, separated by '/'. */
function filesBelow(folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap(entry => {
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

/** The sha256 over path, NUL, content, NUL of every source file, the paths in byte order. */
function sourceHash(): string {
  const paths = [...SINGLE_FILES, ...FOLDERS.flatMap(filesBelow)];
  paths.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const hash = createHash('sha256');
  for (const path of paths) {
    hash
      .update(path)
      .update('\0')
      .update(readFileSync(join(root, path)))
      .update('\0');
  }
  return hash.digest('hex');
}

export default defineConfig({
  // Relative, so the page also works under a path prefix.
  base: './',
  plugins: [
    react(),
    tailwindcss(),
    {
      name: 'source-hash',
      apply: 'build',
      generateBundle() {
        this.emitFile({ type: 'asset', fileName: 'SOURCE_HASH', source: sourceHash() });
      },
    },
  ],
  build: {
    sourcemap: false,
    // Nothing becomes a data: address, which the page's content security policy refuses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { host: '127.0.0.1', proxy },
  preview: { host: '127.0.0.1', proxy },
  test: {
    environment: 'happy-dom',
    include: ['src/**/*.test.{ts,tsx}', 'browser/*.test.mjs'],
    // For machines that do other things meanwhile: a test that hangs is told all the same.
    testTimeout: 30_000,
  },
});
