/** Dataflows without the views of web_logs. */
import { check, within } from '../harness.mjs';

export default { otherDataflow };
otherDataflow.isApart = true;

/** A dataflow without the views the page knows best: the log of a web server. */
async function otherDataflow({ tidelake, apart }) {
  const months = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');
  const two = number => String(number).padStart(2, '0');
  const line = (_, at) => {
    const time = new Date(Date.now() - (2_000 - at) * 20_000);
    const day = `${two(time.getUTCDate())}/${months[time.getUTCMonth()]}/${time.getUTCFullYear()}`;
    return `10.0.0.${at % 200} - - [${day}:${time.toISOString().slice(11, 19)} +0000] "GET /p${at % 40} HTTP/1.1" ${at % 9 === 0 ? 404 : 200} ${at} "-" "Mozilla/5.0"\n`;
  };
  const text = Array.from({ length: 2_000 }, line).join('');
  const other = await tidelake({ dataflow: 'access_log', text });
  const page = await apart();
  await page.goto(`${other.url}?range=6h`);
  await within('the page is live without rules', () => page.locator('[data-link="live"]').isVisible());
  for (const title of ['Traffic by status', 'Errors'])
    await within(`the chart ${title} is drawn`, () =>
      page.locator(`section[aria-label="${title}"][data-state="live"] canvas`).first().isVisible(),
    );
  await within('a watermark that waits a day for late records is not taken for lag', async () =>
    /No active incidents/.test(await page.getByLabel('Current status').textContent()),
  );
  const latency = page.locator('[data-tile="latency"]');
  await within(
    'what it does not count has no tile',
    async () => (await latency.count()) === 0 && (await page.locator('[data-tile="total"]').isVisible()),
  );
  await within('what it ranks stands where endpoints would', () =>
    page.locator('section[aria-label="top paths"][data-state="live"] tbody tr').first().isVisible(),
  );
  check(
    'nothing waits for ever, and nothing is red',
    (await page.locator('section[data-state="loading"], section[data-state="error"]').count()) === 0,
  );
  await page.goto(`${other.url}logs`);
  await within('its records are listed', async () => (await page.locator('[data-record]').count()) > 5);
  await page.goto(`${other.url}query`);
  await within('the first query is of a view it has', () => page.locator('[data-run="done"]').isVisible());
  await page.goto(`${other.url}anomalies`);
  await within('its detector has a list of incidents', () =>
    page.locator('section[aria-label="Incidents"]:is([data-state="live"], [data-state="empty"])').isVisible(),
  );
  check('what it has no rules for has no tab', !(await page.getByRole('tab', { name: 'Rules' }).isVisible()));
  await page.goto(`${other.url}pipeline`);
  await within('the watermark is told with its allowance', async () =>
    /watermark 20\d\d-.* UTC, waits 1 d 0 h for late records/.test(
      await page.locator('[data-watermark="access_log"]').textContent({ timeout: 1_000 }),
    ),
  );
}
