/** Pipeline: the graph, its nodes, lag and threads. */
import { within } from '../harness.mjs';

export default { pipeline };

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
    /timely/.test(await page.locator('section[aria-label="Threads"]').textContent()),
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
  await page.locator('main').getByText('dead letters').locator('xpath=following-sibling::dd//button').click();
  await within('dead letters are one click away', () => /dead_letters/.test(page.url()));
  checkQuiet();
  await page.close();
}
