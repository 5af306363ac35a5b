/** Dataflows without the views, and the words, of web_logs. */
import { check, within } from '../harness.mjs';

export default { otherDataflow, orders };
otherDataflow.isApart = true;
orders.isApart = true;

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
  for (const title of ['Requests', 'Errors'])
    await within(`the chart ${title} is drawn`, () =>
      page.locator(`section[aria-label="${title}"][data-state="live"] canvas`).first().isVisible(),
    );
  await within('a watermark that waits a day for late records is not taken for lag', async () =>
    /No active incidents/.test(await page.getByLabel('Current status').textContent()),
  );
  const latency = page.locator('[data-tile="response_time_p95"]');
  await within(
    'what it does not count has no tile',
    async () => (await latency.count()) === 0 && (await page.locator('[data-tile="total"]').isVisible()),
  );
  await within('a ranking of a hundred scrolls, and makes no chart as tall', async () => {
    const ranked = await page.locator('section[aria-label="Top ips"] tbody tr').count();
    const { height } = await page.locator('section[aria-label="Requests"]').boundingBox();
    return ranked === 100 && height < 450;
  });
  await within('what it ranks stands where endpoints would', () =>
    page.locator('section[aria-label="Top paths"][data-state="live"] tbody tr').first().isVisible(),
  );
  await within(
    'nothing waits for ever, and nothing is red',
    async () =>
      (await page.locator('section[data-state="loading"], section[data-state="error"]').count()) === 0,
  );
  const [from, to] = [6, 1].map(hours => new Date(Date.now() - hours * 3_600_000).toISOString());
  await page.goto(`${other.url}?from=${from}&to=${to}`);
  await within('a fixed range is counted, not told as rates of several units', async () =>
    /^ip\s*requests/.test(await page.locator('section[aria-label="Top ips"] thead').innerText()),
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

/** A shop: other names, money, and neither failures nor durations. */
async function orders({ tidelake, apart }) {
  const products = ['lamp', 'chair', 'desk'];
  const order = (_, at) => {
    const time = new Date(Date.now() - (6_000 - at) * 900).toISOString();
    const product = products[at % 3];
    const total = ((at % 7) + 1) * 19.9;
    return `${JSON.stringify({ at: time, customer: `c${at % 250}`, country: ['DE', 'FR', 'AT'][at % 3], product, quantity: (at % 3) + 1, total })}\n`;
  };
  const shop = await tidelake({
    dataflow: 'orders',
    text: Array.from({ length: 6_000 }, order).join(''),
    file: 'orders.jsonl',
  });
  const page = await apart();
  await page.goto(shop.url);
  await within('the page is live', () => page.locator('[data-link="live"]').isVisible());
  for (const name of ['events', 'turnover', 'customers', 'total'])
    await within(`the tile ${name} has a number`, async () =>
      /\d/.test(await page.locator(`[data-tile="${name}"] .tile-value`).textContent()),
    );
  check('money has its currency', /EUR/.test(await page.locator('[data-tile="turnover"]').textContent()));
  for (const title of ['Orders', 'Turnover'])
    await within(`the chart ${title} is drawn`, () =>
      page.locator(`section[aria-label="${title}"][data-state="live"] canvas`).first().isVisible(),
    );
  await within('countries are compared', () =>
    page.locator('section[aria-label="Top countries"] tbody tr').first().isVisible(),
  );
  await within('a panel has the title of page.toml', () =>
    page.locator('section[aria-label="Best sellers"][data-state="live"] tbody tr').first().isVisible(),
  );
  check(
    'nothing says that something fails',
    (await page.locator('section[aria-label="Errors"]').count()) === 0,
  );
  await within(
    'nothing waits for ever, and nothing is red',
    async () =>
      (await page.locator('section[data-state="loading"], section[data-state="error"]').count()) === 0,
  );
  await page.goto(`${shop.url}logs`);
  await within(
    'its orders are listed by their own columns',
    async () =>
      (await page.locator('[data-record]').count()) > 5 &&
      /lamp|chair|desk/.test(await page.locator('main').textContent()),
  );
}
