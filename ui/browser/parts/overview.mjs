/** Overview: its numbers, the box that explains, and two times compared. */
import { within } from '../harness.mjs';
import { drag } from '../stage.mjs';

export default { overview, explained, compared };

async function overview({ open, checkQuiet, server }) {
  const page = await open('');
  const tile = name => page.locator(`[data-tile="${name}"] .tile-value`).textContent();
  for (const name of [
    'events',
    'errors',
    'response_time_mean',
    'response_time_p95',
    'sessions',
    'volume',
    'total',
    'freshness',
  ])
    await within(`the tile ${name} has a number`, async () => /\d/.test(await tile(name)));
  await within('a tile knows how it was an hour ago', async () =>
    /(% vs|same as) 1 h ago/.test(await page.locator('[data-tile="events"]').textContent()),
  );
  await within('a strip says what is wrong, or that nothing is', async () =>
    /No active incidents|since|Catching up/.test(await page.getByLabel('Current status').textContent()),
  );
  for (const title of ['Requests by status', 'Response time', 'Errors'])
    await within(`the chart ${title} is drawn`, () =>
      page.locator(`section[aria-label="${title}"][data-state="live"] canvas`).first().isVisible(),
    );
  await within(
    'the live log has records',
    async () => (await page.locator('section[aria-label="Live log"] li').count()) > 0,
  );
  const endpoints = page.locator('section[aria-label="Top endpoints"]');
  await within(
    'the busiest endpoints are listed over ten whole minutes, since the history goes up to now',
    async () =>
      (await endpoints.locator('tbody button').count()) > 0 &&
      /last 10 whole minutes/.test(await endpoints.textContent()),
  );
  await page.locator('[data-tile="errors"] button').click();
  await within('a number shows its receipt', async () => {
    const text = await page.getByLabel('Receipt of Error rate').textContent();
    return /SELECT/i.test(text) && /web_logs\/0/.test(text) && /version \d+/.test(text);
  });
  await page.keyboard.press('Escape');
  await page.locator('section[aria-label="Errors"]').getByRole('button', { name: 'table' }).click();
  await within('a chart is there as a table', () =>
    page.locator('section[aria-label="Errors"] table').isVisible(),
  );
  const plot = page.locator('section[aria-label="Requests by status"] .u-over');
  await drag(page, plot, [0.4, 0.3], [0.7, 0.4]);
  await within('a brush sets the range in the address', () => /from=.*to=/.test(page.url()));
  await page.goBack();
  await within('back gives the range before', () => page.url() === server.url);
  await endpoints.locator('tbody button').first().click();
  await within('an endpoint opens its records', () => /\/logs\?.*where=endpoint/.test(page.url()));
  checkQuiet();
  await page.close();
}

/** A box that is drawn into the heatmap tells what sets its records apart. */
async function explained({ open, checkQuiet }) {
  const page = await open('');
  const heatmap = page.locator('section[aria-label="Response time"] canvas');
  await within('the heatmap is there', () => heatmap.isVisible());
  await drag(page, heatmap, [0.3, 0.05], [0.8, 0.4]);
  const drawer = page.getByRole('complementary', { name: 'What is different in this box' });
  await within(
    'a box is in the address and is explained',
    async () => /box=/.test(page.url()) && /[1-9][\d\s]* stored records/u.test(await drawer.textContent()),
  );
  await within('with what sets it apart, or that nothing does', async () =>
    /points apart|No notable difference/.test(await drawer.textContent()),
  );
  await page.reload();
  await within('which a reload keeps', () => drawer.isVisible());
  await page.keyboard.press('Escape');
  await within('Escape closes it', async () => !/box=/.test(page.url()) && (await drawer.count()) === 0);
  await drag(page, heatmap, [0.3, 0.1], [0.8, 0.6]);
  await drawer.getByRole('button', { name: 'Zoom to this time range' }).click();
  await within('its times can be zoomed to', () => /from=.*to=/.test(page.url()));
  await page.keyboard.press('b');
  await within('b explains brushed times', async () =>
    /stored records of .*before them/.test(
      await page.getByRole('complementary', { name: 'What is different in this time range' }).textContent(),
    ),
  );
  await page.getByRole('button', { name: 'Show records' }).click();
  await within('its records are one click away', () => /\/logs\?.*from=/.test(page.url()));
  await within('and are there', async () => (await page.locator('[data-record]').count()) > 0);
  checkQuiet();
  await page.close();
}

/** Two marks, and in every panel what changed between them. */
async function compared({ open, checkQuiet }) {
  const page = await open('');
  await within('the charts are there', () =>
    page.locator('section[aria-label="Requests by status"] canvas').first().isVisible(),
  );
  await page.keyboard.press('d');
  await within('d begins to compare', () => /a=.*b=/.test(page.url()));
  const change = name => page.locator(`[data-delta="${name}"] [data-part="change"]`).textContent();
  // The generator went from 10 records a second to 60; the marks are whole minutes, so its first may be no longer.
  for (const name of ['events', 'errors', 'response_time_p95'])
    await within(`the change of ${name} is told`, async () => /^[+−±]/.test(await change(name)));
  for (const name of ['Change of response time', 'Change by endpoint', 'Fields that changed'])
    await within(`the panel "${name}" has rows`, () =>
      page
        .locator(`section[aria-label="${name}"][data-state="live"] :is(tbody tr, li, p)`)
        .first()
        .isVisible(),
    );
  const before = page.url();
  const plot = page.locator('section[aria-label="Requests by status, with both marks"] .u-over');
  const { width, height } = await plot.boundingBox();
  await plot.click({ position: { x: width * 0.5, y: height * 0.5 } });
  await within('a click moves a mark', () => page.url() !== before && /a=.*b=/.test(page.url()));
  await page.keyboard.press('Escape');
  await within('Escape ends it', () => !/[?&]a=/.test(page.url()));
  checkQuiet();
  await page.close();
}
