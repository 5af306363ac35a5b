/** Who may change something, what they are told who may not, and that nothing else in the page decides it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { act, screen } from '@testing-library/react';
import { describe, expect, it, vi } from 'vitest';
import { ChangeButton } from './change';
import { whyNot } from './session';
import { ADMIN, draw, expectWithheld, READER, READER_WHY, Refusal, WITHOUT_USERS } from './testing';

describe('a button that changes something', () => {
  const press = vi.fn();
  const drawn = (session: unknown) => {
    press.mockReset();
    const button = (
      <ChangeButton type="submit" title="Begin" onClick={press}>
        Start
      </ChangeButton>
    );
    return draw(button, { answers: { 'GET /session': () => session } });
  };

  for (const [who, session] of [
    ['anybody where there are no users', WITHOUT_USERS],
    ['an administrator', ADMIN],
    // It refuses what one may not.
    ['whoever the server says nothing of', new Refusal(500, {})],
  ] as const)
    it(`works for ${who}`, async () => {
      const { user, asked } = await drawn(session);
      await vi.waitFor(() => expect(asked).toHaveLength(1));
      await act(async () => {});
      const button = screen.getByRole('button', { name: 'Start' });
      expect(button.getAttribute('aria-disabled')).toBeNull();
      await user.click(button);
      expect(press).toHaveBeenCalledOnce();
    });

  it('tells a reader why it does nothing', async () => {
    await expectWithheld(await drawn(READER), 'Start');
    expect(press).not.toHaveBeenCalled();
    expect(screen.getByRole('button').getAttribute('type')).toBe('button');
  });
});

it('says what is needed, and who one is', () => {
  expect(whyNot(READER)).toBe(READER_WHY);
  expect(whyNot({ required: true, user: null })).toBe('Needs the role admin; nobody is signed in.');
  expect([WITHOUT_USERS, ADMIN].map(whyNot)).toEqual([null, null]);
});

/** Requests that need the role, and where the page has controls for them. */
const CONTROLS: Record<string, string> = {
  'POST /api/v1/incidents/{incident}/actions': 'features/anomalies/IncidentActions.tsx',
  'PUT /api/v1/boards/{board}':
    'features/boards/BoardsPage.tsx features/boards/BoardPanel.tsx features/query/Workspace.tsx',
  'DELETE /api/v1/boards/{board}': 'features/boards/BoardsPage.tsx',
  'PUT /api/v1/filters/{name}': 'features/logs/SavedMenu.tsx',
  'DELETE /api/v1/filters/{name}': 'features/logs/SavedMenu.tsx',
  'PUT /api/v1/saved-queries/{name}': 'features/query/Catalog.tsx',
  'DELETE /api/v1/saved-queries/{name}': 'features/query/Catalog.tsx',
  'POST /api/v1/sources/{source}/dead-letters/retry': 'features/pipeline/DeadLetters.tsx',
  'DELETE /api/v1/dead-letters/requests/{request}': 'features/pipeline/DeadLetters.tsx',
  'POST /api/v1/restart': 'features/pipeline/DeadLetters.tsx',
  'POST /api/v1/lake/optimize': 'features/pipeline/Lake.tsx features/pipeline/OptimizeDialog.tsx',
  'POST /api/v1/lake/vacuum': 'features/pipeline/Lake.tsx features/pipeline/VacuumDialog.tsx',
  'DELETE /api/v1/jobs/{job}': 'features/pipeline/Lake.tsx',
  'POST /api/v1/verification': 'features/pipeline/Verification.tsx',
  'DELETE /api/v1/verification': 'features/pipeline/Verification.tsx',
};

describe('the sources', () => {
  const SOURCES = join(process.cwd(), 'src');
  const names = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter(
    name => /\.tsx?$/.test(name) && !/\.test\.|testing\.tsx|schema\.d\.ts/.test(name),
  );
  const texts = new Map(names.map(name => [name, readFileSync(join(SOURCES, name), 'utf8')]));

  it('ask who may for every request that the server keeps for administrators', () => {
    const { paths } = JSON.parse(readFileSync(join(process.cwd(), 'openapi.json'), 'utf8')) as {
      paths: Record<string, Record<string, { 'x-role'?: string }>>;
    };
    const calls = [...texts.values()].flatMap(text => [
      ...text.matchAll(/api\s*\.(POST|PUT|DELETE|PATCH)\(\s*'([^']+)'/g),
    ]);
    const kept = calls
      .map(([, method = '', path = '']) => ({ method, path }))
      .filter(({ method, path }) => paths[path]?.[method.toLowerCase()]?.['x-role'] === 'admin')
      .map(({ method, path }) => `${method} ${path}`);
    expect([...new Set(kept)].sort()).toEqual(Object.keys(CONTROLS).sort());
    const controls = new Set(Object.values(CONTROLS).flatMap(files => files.split(' ')));
    for (const file of controls) expect(texts.get(file), file).toMatch(/\bChangeButton\b|\buseMayChange\(/);
    // Requests that are made by hand are those of a query.
    const byHand = names.filter(name => /method: '(POST|PUT|DELETE|PATCH)'/.test(texts.get(name) ?? ''));
    expect(byHand).toEqual(['api/client.ts']);
  });

  it('name a role in one place', () => {
    const deciding = names.filter(name =>
      /['"`](admin|metrics')['"`]|\brole [!=]==? 'read'/.test(texts.get(name) ?? ''),
    );
    expect(deciding).toEqual(['shared/session.ts']);
  });
});
