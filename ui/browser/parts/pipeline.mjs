/** Pipeline: the graph, its nodes, lag and threads; dead letters, their second try and the proof after it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { check, ROOT, within } from '../harness.mjs';

export default { pipeline, deadLetters };

async function pipeline({ open, checkQuiet }) {
  const page = await open('pipeline');
  for (const name of ['source web_logs', 'engine', 'lake'])
    await within(`${name} is ok`, () =>
      page.locator(`main [data-component="${name}"][data-status="ok"]`).isVisible(),
    );
  await within(
    'every part of the dataflow is drawn',
    async () => (await page.locator('[data-node]').count()) > 12,
  );
  await within('it is healthy, in a word', async () =>
    /^Healthy$/.test(await page.locator('[data-headline="ok"]').textContent()),
  );
  await within('records flow along a line', async () =>
    /^\d+(\.\d)?\/s$/.test(await page.locator('[data-edge="source:web_logs>table:logs"]').textContent()),
  );
  for (const stage of ['read', 'view', 'page', 'lake'])
    await within(`the delay to ${stage} is told`, async () =>
      /\d (ms|s).*p99/.test(await page.locator(`[data-stage="${stage}"]`).textContent()),
    );
  for (const name of ['Partitions', 'Workers', 'Commits']) {
    const part = page.locator(`section[aria-label="${name}"]`);
    await within(
      `${name} are folded while all is well`,
      async () =>
        (await part.getAttribute('data-well')) === 'true' && !(await part.getByRole('table').isVisible()),
    );
    await part.getByRole('button').first().click();
  }
  await within(
    'lag is told per partition, also of what is pushed',
    async () => (await page.locator('[data-partition]').count()) === 5,
  );
  await within('a committed offset is told', async () =>
    /^[\d\s]+$/u.test(
      await page.locator('[data-partition="0"] [data-cell="committed"]').first().textContent(),
    ),
  );
  await within('threads are told', async () =>
    /timely/.test(await page.locator('section[aria-label="Workers"]').textContent()),
  );
  await page.locator('[data-node="view:traffic_1m"]').click();
  await within('a node tells its SQL', async () =>
    /TUMBLE/i.test(await page.locator('aside[aria-label="view traffic_1m"]').textContent()),
  );
  await page.getByText('Files and versions in the lake').click();
  await within('and its files', async () =>
    /Version \d+: [1-9]\d* file/.test(
      await page.locator('aside[aria-label="view traffic_1m"]').textContent(),
    ),
  );
  await page.getByRole('tab', { name: /Dead letters/ }).click();
  await within('dead letters are one click away', () =>
    page.getByText('every record was decoded').isVisible(),
  );
  checkQuiet();
  await page.close();
}

const STRICT = `
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT NOT NULL, n BIGINT NOT NULL, WATERMARK FOR at AS at - INTERVAL '1' SECOND) FORMAT JSON;
CREATE TABLE raw AS SELECT * FROM s;
CREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS records, count(n) AS numbers FROM raw GROUP BY k;
`;

/** Records of a definition that is too strict are shown, tried again, replayed by the next start, and the lake is proved. */
async function deadLetters({ tidelake, apart, afterwards, checkAccessible }) {
  const folder = await mkdtemp(join(tmpdir(), 'tidelake-strict-'));
  afterwards(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'dataflow.sql'), STRICT);
  const line = (_, at) =>
    `{"at": ${1_700_000_000_000 + at * 1000}, "k": "a"${at % 5 === 0 ? '' : `, "n": ${at}`}}\n`;
  const other = await tidelake({
    dataflow: relative(join(ROOT, 'dataflows'), folder),
    text: `${Array.from({ length: 100 }, line).join('')}no JSON\n`,
    file: 'part-0.jsonl',
  });
  const page = await apart();
  await page.goto(`${other.url}pipeline`);
  await within('the share of what is not decoded is the first thing that is said', async () =>
    /21 % of records are not decoded/.test(await page.locator('[data-headline="degraded"]').textContent()),
  );
  await page.getByRole('tab', { name: /Dead letters 21/ }).click();
  await within('reasons have counts', async () => (await page.locator('[data-kind]').count()) === 2);
  await within('records are shown as they came', () =>
    page.getByText('no JSON', { exact: true }).isVisible(),
  );
  const missing = page.locator('[data-kind]').first();
  await missing.getByRole('button', { name: 'Try again' }).click();
  await within('a dry run tells that none decodes', () =>
    missing.getByText('None of 20 decodes').isVisible(),
  );
  check(
    'so there is nothing to replay',
    !(await missing.getByRole('button', { name: /Replay/ }).isVisible()),
  );
  for (const theme of ['dark', 'light']) await checkAccessible('the tab Dead letters', page, theme);

  await other.stop();
  await writeFile(join(folder, 'dataflow.sql'), STRICT.replace('n BIGINT NOT NULL', 'n BIGINT'));
  await other.start();
  await page.reload();
  await missing.getByRole('button', { name: 'Try again' }).click();
  await within('with the definition mended all of a kind decode', () =>
    missing.getByText('20 of 20 decode').isVisible(),
  );
  await missing.getByRole('button', { name: 'Replay at the next start' }).click();
  await within('the replay waits', () => page.locator('[data-requests="1"]').isVisible());
  await other.stop();
  await other.start();
  await page.reload();
  await within('the next start has done it', () =>
    page.getByRole('tab', { name: 'Dead letters 1' }).isVisible(),
  );
  check('nothing waits any more', !(await page.locator('[data-requests]').isVisible()));

  await page.getByRole('tab', { name: 'Dataflow' }).click();
  await page.getByRole('button', { name: 'Verify now' }).click();
  await within('the lake is proved', () => page.locator('[data-verdict="proven"]').isVisible());
  check(
    'the status says so',
    /^Proved at [\d:]+, \d+ checks$/.test(await page.locator('[data-proof]').textContent()),
  );
}
