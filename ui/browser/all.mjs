/**
 * Uses the page as a person would, in a real browser, against the real program on real input.
 *
 *     npm run browser -- PATH_OF_TIDELAKE [--jars DIR] [part…]
 *
 * DIR is what tests/kafka/fetch.sh prints; without it, the part that stops a real Kafka broker is left out, and said to be.
 * It starts a generator and a server on folders of their own and ends them. It prints each check and exits with 1 at the
 * first that fails. The browser is the one named by CHROMIUM, else /usr/bin/chromium.
 */
import { mkdir, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { check, launch, startBroker, startTidelake, within } from './harness.mjs';

const { values, positionals } = parseArgs({
  options: { jars: { type: 'string' } },
  allowPositionals: true,
});
const { jars } = values;
const [binary, ...only] = positionals;
if (binary === undefined || (jars === undefined && only.includes('stoppedBroker'))) {
  console.error('usage: all.mjs PATH_OF_TIDELAKE [--jars DIR] [PART…]');
  process.exit(2);
}

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Pages by address, with what is there once a page has its data. */
const PAGES = {
  '': '[data-tile="events"] .tile-value',
  logs: '[data-record]',
  query: '[data-run="done"]',
  anomalies: 'section[aria-label="Incidents"]:is([data-state="live"],[data-state="empty"])',
  'anomalies?tab=rules': 'section[aria-label="Anomalous records"] tbody tr',
  pipeline: '[data-node]',
};
let complaints = [];
const foreign = [];

const server = await startTidelake(binary, { rate: 60, history: 5_400 });
const browser = await launch();
const context = await browser.newContext({
  viewport: { width: 1440, height: 900 },
  colorScheme: 'dark',
  acceptDownloads: true,
});
context.setDefaultTimeout(30_000);
context.on('page', page => {
  page.on(
    'console',
    message =>
      message.type() === 'error' &&
      complaints.push(`${page.url()}: ${message.text()} ${message.location().url}`),
  );
  page.on('pageerror', error => complaints.push(`${page.url()}: ${error.message}`));
});
context.on('request', request => {
  const url = request.url();
  if (!url.startsWith(server.url) && !url.startsWith('blob:') && !url.startsWith('data:')) foreign.push(url);
});

const parts = {
  overview,
  explained,
  compared,
  logs,
  query,
  anomalies,
  incidents,
  pipeline,
  keyboard,
  accessible,
  seven,
  phone,
  otherDataflow,
  brokenLake,
  stoppedBroker,
  conditions,
  deadEditor,
  sizes,
  away,
  restart,
};
let failed = false;
try {
  for (const [name, part] of Object.entries(parts)) {
    if (only.length > 0 && !only.includes(name)) continue;
    if (part === stoppedBroker && jars === undefined) {
      console.log(`-- ${name} is left out: no --jars`);
      continue;
    }
    console.log(`-- ${name}`);
    await part();
  }
  check(`no request left the origin${foreign.map(url => `: ${url}`).join('')}`, foreign.length === 0);
} catch (error) {
  failed = true;
  console.error(`FAILED ${error instanceof Error ? error.message : error}`);
  await tellAbout(context.pages().at(-1)).catch(() => {});
  console.error(server.log().split('\n').slice(-8).join('\n'));
} finally {
  await browser.close();
  await server.end();
}
process.exit(failed ? 1 : 0);

/** What one would look at first: a picture, where the page is, and how its panels are. */
async function tellAbout(page) {
  if (page === undefined) return;
  await page.screenshot({ path: 'browser-failed.png' });
  console.error(`at ${page.url()}, picture in browser-failed.png`);
  const panels = await page
    .locator('section[data-state]')
    .evaluateAll(all => all.map(it => `${it.getAttribute('aria-label')}: ${it.dataset.state}`));
  console.error([...panels, ...complaints].map(line => `  ${line}`).join('\n'));
}

async function open(path) {
  const page = await context.newPage();
  await page.goto(server.url + path);
  await within(`${path || 'overview'} is live`, () => page.locator('[data-link="live"]').isVisible());
  return page;
}

/** Nothing but what a test brings about itself may be complained of in the console, whenever it comes. */
function checkQuiet(expected = /^$/) {
  const others = complaints.filter(text => !expected.test(text));
  complaints = [];
  check(`the console has no errors${others.map(text => `\n  ${text}`).join('')}`, others.length === 0);
}

async function overview() {
  const page = await open('');
  const tile = name => page.locator(`[data-tile="${name}"] .tile-value`).textContent();
  for (const name of ['events', 'errors', 'mean', 'latency', 'sessions', 'volume', 'total', 'freshness'])
    await within(`the tile ${name} has a number`, async () => /\d/.test(await tile(name)));
  await within('a tile knows how it was an hour ago', async () =>
    /(% vs|same as) 1 h ago/.test(await page.locator('[data-tile="events"]').textContent()),
  );
  await within('a strip says what is wrong, or that nothing is', async () =>
    /No active incidents|since|Catching up/.test(await page.getByLabel('Current status').textContent()),
  );
  for (const title of ['Traffic by status', 'Latency', 'Errors'])
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
  const plot = page.locator('section[aria-label="Traffic by status"] .u-over');
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
async function explained() {
  const page = await open('');
  const heatmap = page.locator('section[aria-label="Latency"] canvas');
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
async function compared() {
  const page = await open('');
  await within('the charts are there', () =>
    page.locator('section[aria-label="Traffic by status"] canvas').first().isVisible(),
  );
  await page.keyboard.press('d');
  await within('d begins to compare', () => /a=.*b=/.test(page.url()));
  const change = name => page.locator(`[data-delta="${name}"] [data-part="change"]`).textContent();
  // The generator went from 10 records a second to 60; the marks are whole minutes, so its first may be no longer.
  for (const name of ['requestsPerSecond', 'errorRate', 'p95_ms'])
    await within(`the change of ${name} is told`, async () => /^[+−±]/.test(await change(name)));
  for (const name of ['Change of latency', 'Change by endpoint', 'Fields that changed'])
    await within(`the panel "${name}" has rows`, () =>
      page
        .locator(`section[aria-label="${name}"][data-state="live"] :is(tbody tr, li, p)`)
        .first()
        .isVisible(),
    );
  const before = page.url();
  const plot = page.locator('section[aria-label="Traffic by status, with both marks"] .u-over');
  const { width, height } = await plot.boundingBox();
  await plot.click({ position: { x: width * 0.5, y: height * 0.5 } });
  await within('a click moves a mark', () => page.url() !== before && /a=.*b=/.test(page.url()));
  await page.keyboard.press('Escape');
  await within('Escape ends it', () => !/[?&]a=/.test(page.url()));
  checkQuiet();
  await page.close();
}

/** Draw with the mouse from one place of an element to another, both as shares of its size. */
async function drag(page, element, from, to) {
  await element.hover();
  const { x, y, width, height } = await element.boundingBox();
  await page.mouse.move(x + width * from[0], y + height * from[1]);
  await page.mouse.down();
  await page.mouse.move(x + width * to[0], y + height * to[1], { steps: 5 });
  await page.mouse.up();
}

async function logs() {
  const page = await open('logs?range=15m');
  const lines = page.locator('[data-record]');
  const count = async name => {
    const text = await page.locator(`[data-count="${name}"]`).textContent();
    return Number(text.replace(/\(.*/, '').replace(/\D/g, ''));
  };
  await within('records come', async () => (await lines.count()) > 5);
  await within(
    'shown and matched are counted',
    async () => (await count('shown')) > 0 && (await count('matched')) > 0,
  );

  await page.getByRole('button', { name: 'Pause' }).click();
  const held = await lines.first().textContent();
  await within('what is new is counted while the list is paused', async () =>
    /paused · [1-9]/.test(await page.locator('[data-hold]').textContent()),
  );
  check('the paused list stands still', (await lines.first().textContent()) === held);
  await page.getByRole('button', { name: 'Resume' }).click();
  await within('the resumed list goes on', async () => (await lines.first().textContent()) !== held);

  await page.getByRole('textbox', { name: 'Add a filter' }).fill('status >= 400');
  await page.keyboard.press('Enter');
  await within('the filter is in the address', () => /where=status/.test(page.url()));
  await within('only records that match are listed', async () => {
    const texts = await lines.allTextContents();
    return texts.length > 0 && texts.every(text => /(WARN|ERROR)/.test(text));
  });
  const filter = page.getByRole('textbox', { name: 'Add a filter' });
  const before = page.url();
  await filter.fill("status >>> 'x");
  await page.keyboard.press('Enter');
  await within('a wrong filter is refused in words', async () =>
    /not closed|form|compared/.test(await page.getByRole('alert').first().textContent()),
  );
  await filter.fill('status:500');
  await page.keyboard.press('Enter');
  await within('another tool’s way to write it is told in ours', async () =>
    /write status = 500/.test(await page.getByRole('alert').first().textContent()),
  );
  check('and what was shown stays', page.url() === before && (await lines.count()) > 0);
  await page.getByRole('button', { name: 'Search for the text “status:500” instead' }).click();
  await within('it can be searched for as a text, said so', () => /status%3A500/.test(page.url()));
  await page.getByRole('button', { name: 'Clear', exact: true }).first().click();
  await within('the filter can be cleared', () => !/where=/.test(page.url()));

  await page.getByRole('button', { name: 'Stored' }).click();
  await within(
    'stored records are listed',
    async () => (await count('loaded')) > 0 && (await lines.count()) > 5,
  );
  const isWhole = it => it.scrollWidth <= it.clientWidth;
  check('their times are whole', await lines.first().locator('span').first().evaluate(isWhole));
  await page
    .locator('aside[aria-label="Frequent values"] section[aria-label="endpoint"] button')
    .first()
    .click();
  await within('a frequent value becomes a filter', () => /where=endpoint/.test(page.url()));
  await within('the list follows', async () => {
    const value = /endpoint\+?(?:%20|\+)?%3D.*?%27(.*?)%27/.exec(page.url())?.[1];
    const texts = await lines.allTextContents();
    return texts.length > 0 && texts.every(text => text.includes(decodeURIComponent(value ?? '?')));
  });
  await lines.nth(2).click({ position: { x: 30, y: 8 } });
  const drawer = page.locator('aside[aria-label="Record"]');
  await within('a record shows all its fields', async () => /user_agent/.test(await drawer.textContent()));
  await drawer.getByRole('button', { name: /^Without method / }).click();
  await within(
    'a field can be left out',
    () => /method/.test(decodeURIComponent(page.url())) && /%21%3D|!=/.test(page.url()),
  );
  await page.keyboard.press('Escape');
  await within('Escape closes the record', async () => (await drawer.count()) === 0);

  await page.getByRole('button', { name: 'Export' }).click();
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('menuitem', { name: 'CSV' }).click(),
  ]);
  const text = await readFile(await file.path(), 'utf8');
  check('the export has a head and rows', /^timestamp,/.test(text) && text.split('\n').length > 10);
  checkQuiet(/status of 400 .*where=/);
  await page.close();
}

async function query() {
  const page = await open('query');
  const done = page.locator('[data-run="done"]');
  const rows = page.locator('section[aria-label="Answer"] [role="row"]');
  await within('the first query has rows', async () => (await rows.count()) > 2);
  const samples = page.locator('aside[aria-label="Queries and tables"] details').first().locator('li button');
  const names = await samples.allTextContents();
  check('the samples are there', names.length >= 7);
  for (let at = 0; at < names.length; at++) {
    await samples.nth(at).click();
    await within(`the sample "${names[at]}" has an answer`, async () => {
      const text = await done.textContent({ timeout: 1_000 });
      return /^\d/.test(text.trim()) && (await rows.count()) > 1;
    });
  }
  const editor = page.getByRole('textbox', { name: 'SQL' });
  const write = async text => {
    await editor.click();
    await page.keyboard.press('Control+A');
    await page.keyboard.type(text);
  };
  await page.setViewportSize({ width: 1280, height: 800 });
  await write("SELECT *, NULL AS nothing, '' AS empty FROM lake.traffic_1m ORDER BY window_start LIMIT 50");
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+Enter');
  const answer = page.locator('section[aria-label="Answer"]');
  await within('NULL is shown as NULL', () =>
    answer
      .locator('[role="cell"][data-kind="null"]', { hasText: /^NULL$/ })
      .first()
      .isVisible(),
  );
  check('and not as an empty text', (await answer.locator('[role="cell"][data-kind="empty"]').count()) > 0);
  const cut = await answer
    .locator('[role="columnheader"], [role="cell"]')
    .evaluateAll(all => all.filter(it => it.scrollWidth > it.clientWidth).map(it => it.textContent));
  check(`no time and no name of a column is cut off: ${cut.join()}`, cut.length === 0);
  await write('SELECT window_start, endpoint, requests FROM traffic_1m ORDER BY window_start');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+Enter');
  await page.getByRole('tab', { name: 'Chart' }).click();
  await within('a chart by endpoint has a line for each', async () => {
    const text = await answer.locator('figure').textContent({ timeout: 1_000 });
    return (text.match(/\/(api|home|search|admin|auth)[\w/]*/g) ?? []).length > 3;
  });
  await page.getByRole('tab', { name: /Rows/ }).click();
  await page.setViewportSize({ width: 1440, height: 900 });
  await write('SELECT nothing FROM totals');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+Enter');
  await within(
    'an error is told and underlined in place',
    async () => (await page.locator('.cm-refused').textContent({ timeout: 1_000 })) === 'nothing',
  );
  // The address follows the editor after a pause, and comes back to it while one types on.
  const long = `SELECT ${Array.from({ length: 12 }, (_, at) => `${at} AS c${at}`).join(', ')}`;
  await write(long.slice(0, 20));
  for (let at = 20; at < long.length; at += 20) {
    await page.waitForTimeout(380);
    await page.keyboard.type(long.slice(at, at + 20), { delay: 4 });
  }
  await within('the address follows what is typed', () =>
    new URL(page.url()).searchParams.get('q')?.endsWith('11 AS c11'),
  );
  check('and nothing typed is lost', (await editor.textContent()) === long);
  await write('SELECT * FROM top_en');
  await within('tables are completed', async () => {
    await page.keyboard.press('Control+Space');
    return /top_endpoints/.test(
      await page.locator('.cm-tooltip-autocomplete').textContent({ timeout: 1_000 }),
    );
  });
  await page.keyboard.press('Escape');
  await write("SELECT count(*) AS n FROM lake.logs WHERE endpoint = '/");
  await within('frequent values are completed', async () => {
    await page.keyboard.press('Control+Space');
    return /\/api\//.test(await page.locator('.cm-tooltip-autocomplete').textContent({ timeout: 1_000 }));
  });
  await page.keyboard.press('Escape');
  await write('SELECT * FROM last_minute');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+Enter');
  await within('the view can be followed', () =>
    page.getByRole('button', { name: 'Live', exact: true }).isEnabled(),
  );
  await page.getByRole('button', { name: 'Live', exact: true }).click();
  await within(
    'its rows change by themselves',
    async () =>
      Number(await page.locator('[data-changes]').getAttribute('data-changes', { timeout: 1_000 })) >= 3,
  );
  await page.getByRole('tab', { name: 'Plan' }).click();
  await within(
    'the plan is a graph and a text',
    async () => (await page.getByLabel('Plan, from the result').locator('li').count()) >= 1,
  );
  await page.getByRole('tab', { name: /Rows/ }).click();
  await write(
    'SELECT sum(a.status + b.status + c.status) FROM lake.logs a CROSS JOIN lake.logs b CROSS JOIN lake.logs c',
  );
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+Enter');
  await page.getByRole('button', { name: 'Cancel' }).click();
  const stopped = async () => page.locator('[data-run="partial"]').textContent({ timeout: 1_000 });
  await within('a query that has no row yet can be cancelled', async () =>
    /stopped: 0 rows so far, not all/.test(await stopped()),
  );
  check(
    'and no row of the query before is taken for one of its own',
    (await page.getByText('stopped before it returned a row').isVisible()) && (await rows.count()) === 0,
  );
  await write(
    'SELECT endpoint FROM top_endpoints UNION ALL SELECT CAST(sum(a.status + b.status + c.status) AS TEXT) FROM lake.logs a CROSS JOIN lake.logs b CROSS JOIN lake.logs c',
  );
  await page.keyboard.press('Escape');
  // How soon it has rows is for the machine to say.
  for (let wait_ms = 500; ; wait_ms *= 2) {
    await page.keyboard.press('Control+Enter');
    await page.getByRole('button', { name: 'Cancel' }).waitFor();
    await page.waitForTimeout(wait_ms);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await within('a query is cancelled', stopped);
    if (!/ 0 rows/.test(await stopped()) || wait_ms > 10_000) break;
    await editor.click();
  }
  const so_far = Number(/stopped: (\d+) rows? so far, not all/.exec(await stopped())?.[1]);
  check('and shows the rows it had', so_far > 0 && (await rows.count()) > 1);
  await page.locator('section[aria-label="Answer"]').getByRole('button', { name: 'Export' }).click();
  const [half] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('menuitem', { name: 'Partial rows as CSV' }).click(),
  ]);
  check('which can be saved, under a name that says it', /partial/.test(half.suggestedFilename()));
  check(
    'all of them, and no others',
    (await readFile(await half.path(), 'utf8')).trim().split('\r\n').length === so_far + 1,
  );
  await page.getByRole('button', { name: 'Builder' }).click();
  await page.getByRole('combobox', { name: 'Add a column' }).selectOption('endpoint');
  await page.getByRole('button', { name: 'Run query' }).click();
  await within(
    'the builder puts a query together and runs it',
    async () =>
      /endpoint/.test(await page.locator('[role="columnheader"]').first().textContent()) &&
      /rows?/.test(await done.textContent({ timeout: 1_000 })),
  );
  await page.getByRole('tab', { name: 'Chart' }).click();
  await within(
    'an answer is there as a chart',
    async () => (await page.locator('section[aria-label="Answer"] li').count()) > 2,
  );
  await page.getByLabel('Name to save the query under').fill('by endpoint');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await within('a query can be saved', () =>
    page.getByRole('button', { name: 'by endpoint', exact: true }).isVisible(),
  );
  for (const [name, magic] of [
    ['CSV', /^endpoint,/],
    ['JSON lines', /^\{"endpoint"/],
    ['Parquet', /^PAR1/],
    ['Arrow', /^\xff\xff\xff\xff/],
  ]) {
    await page.locator('section[aria-label="Answer"]').getByRole('button', { name: 'Export' }).click();
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('menuitem', { name }).click(),
    ]);
    check(`the export ${name} is one`, magic.test(await readFile(await file.path(), 'latin1')));
  }
  checkQuiet(/status of 400 .*\/api\/v1\/sql/);
  await page.close();
}

async function anomalies() {
  const page = await open('anomalies');
  await page.getByRole('tab', { name: 'Rules' }).click();
  const rules = page.locator('section[aria-label="Incidents of rules"]');
  await within('the rules over windows are told', () =>
    rules.and(page.locator('[data-state="live"],[data-state="empty"]')).isVisible(),
  );
  const single = page.locator('section[aria-label="Anomalous records"] tbody tr');
  await within('single records are counted', async () => (await single.count()) > 0);
  await page.goto(`${server.url}anomalies?tab=rules&from=2001-01-01T00:00:00Z&to=2001-01-01T01:00:00Z`);
  await within(
    'neither is told of a range without records',
    async () =>
      (await page.getByText('No anomalous records in this range').isVisible()) &&
      (await rules.getByText('No incidents in this range').isVisible()),
  );
  await page.goto(`${server.url}anomalies?tab=rules`);
  await single.first().locator('button').click();
  await within('and lead to their records', () => /\/logs\?.*anomaly_type/.test(page.url()));
  await within('which are there', async () => (await page.locator('[data-record]').count()) > 0);
  checkQuiet();
  await page.close();
}

/** An hour and a half of steady traffic, of which one endpoint fails and is slow in the end. */
function failing() {
  const minutes = 90;
  const begin = Math.floor(Date.now() / 60_000) * 60_000 - minutes * 60_000;
  let seed = 7;
  const below = end => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % end;
  };
  const lines = [];
  for (let second = 0; second < minutes * 60; second++) {
    for (const endpoint of ['/api/users', '/api/orders']) {
      const fails = endpoint === '/api/orders' && second >= (minutes - 5) * 60 && below(4) > 0;
      lines.push(
        JSON.stringify({
          timestamp: new Date(begin + second * 1000 + below(1000)).toISOString(),
          ip: `198.51.100.${below(200)}`,
          method: 'GET',
          endpoint,
          status_code: fails ? 503 : below(20) === 0 ? 404 : 200,
          response_time: fails ? 4_000 + below(4_000) : 100 + below(200),
          session_id: `session_${below(50)}`,
          bytes_sent: 1_000 + below(1_000),
        }),
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Incidents of detectors: their list, one of them, links to it, and what is taken back. */
async function incidents() {
  const other = await startTidelake(binary, { text: failing(), file: 'given.jsonl' });
  const apart = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark' });
  try {
    const page = await apart.newPage();
    await page.goto(`${other.url}?range=6h`);
    const told = page.getByRole('list', { name: 'Active incidents' });
    await within('Overview names what detectors found', async () =>
      /of \/api\/orders above expected/.test(await told.textContent({ timeout: 1_000 })),
    );
    const marks = page.locator('section[aria-label="Errors"] [data-span]');
    await within('the chart of errors marks those of all traffic', async () => (await marks.count()) > 0);
    await marks.first().focus();
    await page.keyboard.press('Enter');
    await within('and a mark leads to its incident', () =>
      /\/anomalies\?.*incident=[\da-f]{16}/.test(page.url()),
    );
    await page.goBack();
    await told
      .getByRole('button', { name: /orders/ })
      .first()
      .click();
    const panel = page.locator('[data-incident-panel]');
    await within('and leads to the incident, with its chart', () => panel.locator('canvas').isVisible());
    check('whose link has its name', /\/anomalies\?.*incident=[\da-f]{16}/.test(page.url()));
    await page.reload();
    const windows = panel.getByRole('table', { name: 'Windows around the peak' }).locator('tbody tr');
    await within('the link opens it again', async () => (await windows.count()) > 3);
    await within('records show it', async () => (await panel.locator('[data-example]').count()) === 5);
    for (const theme of ['dark', 'light']) {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      const ids = violations.map(({ id, nodes }) => `\n  ${id}: ${nodes[0]?.html.slice(0, 160)}`);
      check(`it is accessible in ${theme}${ids.join('')}`, violations.length === 0);
    }
    await page.keyboard.press('Escape');
    await within('Escape closes it', async () => (await panel.count()) === 0);
    const rows = page.locator('[data-incident]');
    const open = page.locator('[data-incident][data-state="open"]');
    check('what is open stands first', (await rows.first().getAttribute('data-state')) === 'open');
    const severities = await open.locator('td:last-child').allTextContents();
    check(
      'by severity',
      severities.every((it, at) => at === 0 || Number(severities[at - 1]) >= Number(it)),
    );
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await within('j and Enter open the first', () => panel.locator('canvas').isVisible());
    await page.getByLabel('state').selectOption('closed');
    await within('the filter of states leaves the others out', async () => (await open.count()) === 0);
    await page.getByLabel('state').selectOption('');
    await page.getByLabel('detector').selectOption('traffic');
    await within('that of detectors too', async () => {
      const texts = await rows.allTextContents();
      return texts.length > 0 && texts.every(text => !/ of \/api/.test(text));
    });
    await page.getByLabel('detector').selectOption('');
    const first = await open.first().getAttribute('data-incident');
    await page.route('**/api/v1/incidents*', async route => {
      const response = await route.fetch();
      const body = await response.json();
      body.incidents = body.incidents.filter(it => it.incident !== first);
      await route.fulfill({ response, json: body });
    });
    await within('one that is taken back stays, as withdrawn', () =>
      page.locator(`[data-incident="${first}"][data-state="withdrawn"]`).isVisible(),
    );
    await page.unroute('**/api/v1/incidents*');
    await within('and is open again once it is back', () =>
      page.locator(`[data-incident="${first}"][data-state="open"]`).isVisible(),
    );
    await rows.filter({ hasText: 'of /api/orders' }).first().locator('button').click();
    await panel.getByRole('button', { name: 'Records' }).click();
    await within('its records are a click away', () => /\/logs\?.*where=endpoint/.test(page.url()));
    await within('and are there', async () => (await page.locator('[data-record]').count()) > 0);
    checkQuiet();
  } finally {
    await apart.close();
    await other.end();
  }
}

async function pipeline() {
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

async function keyboard() {
  const page = await open('');
  await page.keyboard.press('?');
  await within('? shows the keys', () => page.getByRole('dialog', { name: 'Keys' }).isVisible());
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+K');
  await within('the palette takes what is typed', () =>
    page.getByRole('combobox', { name: 'Command' }).evaluate(it => it === document.activeElement),
  );
  await page.keyboard.type('pipel');
  await page.keyboard.press('Enter');
  await within('the palette goes to a page', () => page.url().endsWith('/pipeline'));
  // On a machine that is busy the second key may come too late; a person would press both again.
  await within('g l goes to the log', async () => {
    await page.keyboard.press('g');
    await page.keyboard.press('l');
    await page.waitForURL(/\/logs$/, { timeout: 2_000 });
    return true;
  });
  await within('records come', async () => (await page.locator('[data-record]').count()) > 3);
  await page.keyboard.press('Space');
  await within('Space freezes the page', () => page.getByText(/^Resume ·/).isVisible());
  const lines = await page.locator('[data-record]').first().textContent();
  await within(
    'the newest goes on behind it',
    async () => !/ 0\.0 s behind/.test(await page.getByText(/^Resume ·/).textContent()),
  );
  check(
    'the frozen list stands still',
    (await page.locator('[data-record]').first().textContent()) === lines,
  );
  await page.keyboard.press('Space');
  await within('Space goes on', () => page.getByRole('button', { name: 'Freeze' }).isVisible());
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await within('j and Enter open a record', () => /record=\d+-\d+/.test(page.url()));
  await page.keyboard.press('Escape');
  await page.keyboard.press('/');
  await within('/ goes to the filter', () =>
    page.getByRole('textbox', { name: 'Add a filter' }).evaluate(it => it === document.activeElement),
  );
  checkQuiet();
  await page.close();
}

async function accessible() {
  const minute = Math.floor(Date.now() / 60_000) * 60;
  const iso = seconds => new Date(seconds * 1000).toISOString();
  const [from, to] = [iso(minute - 1_800), iso(minute - 600)];
  const more = {
    [`?a=${iso(minute - 1_800)}&b=${iso(minute - 600)}`]:
      'section[aria-label="Fields that changed"][data-state="live"]',
    [`?from=${from}&to=${to}&box=times`]: 'aside section, aside p:has-text("difference in")',
  };
  for (const theme of ['dark', 'light']) {
    for (const [path, ready] of Object.entries({ ...PAGES, ...more })) {
      const page = await open(path);
      // A colour that is still fading is not one of ours.
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
      await filled(page, path, ready);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      const told = violations.map(
        ({ id, nodes }) =>
          `\n  ${id}: ${nodes
            .slice(0, 3)
            .map(node => `${node.html.slice(0, 160)} ${node.failureSummary?.split('\n')[1] ?? ''}`)
            .join('\n    ')}`,
      );
      check(`${path || 'overview'} is accessible in ${theme}${told.join('')}`, violations.length === 0);
      await page.close();
    }
  }
  checkQuiet();
}

/** Waits until a page shows data, in all its panels. */
function filled(page, path, ready = PAGES[path]) {
  return within(
    `${path || 'overview'} has its data`,
    async () =>
      (await page.locator(ready).count()) > 0 &&
      (await page.locator('section[data-state="loading"]').count()) === 0,
  );
}

async function seven() {
  const paths = Object.keys(PAGES);
  const pages = [];
  for (let at = 0; at < 7; at++) pages.push(await open(paths[at % paths.length]));
  const epochs = () =>
    Promise.all(
      pages.map(page =>
        page
          .getByText(/^epoch /)
          .locator('b')
          .first()
          .textContent(),
      ),
    );
  const before = await epochs();
  await within('all seven tabs go on', async () =>
    (await epochs()).every((epoch, at) => epoch !== before[at]),
  );
  // The stream of tabs that were closed ends when the server writes to it.
  await within(
    'seven tabs hold one stream',
    async () => (await (await fetch(`${server.url}api/v1/status`)).json()).stream_clients === 1,
  );
  for (const page of pages) await page.close();
  checkQuiet();
}

async function phone() {
  const small = await browser.newContext({
    viewport: { width: 390, height: 844 },
    isMobile: true,
    hasTouch: true,
  });
  for (const path of Object.keys(PAGES)) {
    const page = await small.newPage();
    await page.goto(server.url + path);
    await within(`${path || 'overview'} is live on a phone`, () =>
      page.locator('[data-link="live"]').isVisible(),
    );
    await filled(page, path);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    check(`and not wider than it (${over} px)`, over <= 0);
    await page.close();
  }
  await small.close();
}

/** A dataflow without the views the page knows best: the log of a web server. */
async function otherDataflow() {
  const months = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');
  const two = number => String(number).padStart(2, '0');
  const line = (_, at) => {
    const time = new Date(Date.now() - (2_000 - at) * 20_000);
    const day = `${two(time.getUTCDate())}/${months[time.getUTCMonth()]}/${time.getUTCFullYear()}`;
    return `10.0.0.${at % 200} - - [${day}:${time.toISOString().slice(11, 19)} +0000] "GET /p${at % 40} HTTP/1.1" ${at % 9 === 0 ? 404 : 200} ${at} "-" "Mozilla/5.0"\n`;
  };
  const text = Array.from({ length: 2_000 }, line).join('');
  const other = await startTidelake(binary, { dataflow: 'access_log', text });
  const apart = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  try {
    const page = await apart.newPage();
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
      page
        .locator('section[aria-label="Incidents"]:is([data-state="live"], [data-state="empty"])')
        .isVisible(),
    );
    check(
      'what it has no rules for has no tab',
      !(await page.getByRole('tab', { name: 'Rules' }).isVisible()),
    );
    await page.goto(`${other.url}pipeline`);
    await within('the watermark is told with its allowance', async () =>
      /watermark 20\d\d-.* UTC, waits 1 d 0 h for late records/.test(
        await page.locator('[data-watermark="access_log"]').textContent({ timeout: 1_000 }),
      ),
    );
  } finally {
    await apart.close();
    await other.end();
  }
}

/**
 * Moves a folder, and has something put in its place. A commit that comes between makes the folder anew; its files move too.
 */
async function swap(from, to, instead = async () => {}) {
  for (let tries = 0; ; tries++) {
    await mkdir(to, { recursive: true });
    for (const name of await readdir(from)) await rename(join(from, name), join(to, name));
    try {
      await rmdir(from);
      return await instead();
    } catch (error) {
      if (tries > 20) throw error;
    }
  }
}

/** Whoever takes the lake's folder away sees it on the page, and sees it well again. */
async function brokenLake() {
  const page = await open('');
  const lake = status =>
    page.locator(`[data-tile="freshness"] [data-component="lake"][data-status="${status}"]`);
  await within('the lake is ok', () => lake('ok').isVisible());
  const manifests = join(server.lake, '_tidelake', 'web_logs', 'manifests');
  await swap(manifests, `${manifests}-away`, () => writeFile(manifests, 'in the way'));
  await within(
    'a lake that cannot be written turns its tile within 15 s',
    () => lake('down').isVisible(),
    15_000,
  );
  await within('and is the first thing said', async () =>
    /lake/.test(await page.getByLabel('Current status').textContent()),
  );
  await rm(manifests);
  await swap(`${manifests}-away`, manifests);
  await within('a lake that can be written again is ok again', () => lake('ok').isVisible(), 60_000);
  checkQuiet();
  await page.close();
}

/** Whoever stops Kafka sees it on the page, and sees it well again when it is back, without touching anything. */
async function stoppedBroker() {
  const topic = 'web-logs';
  const broker = await startBroker(jars, topic);
  let other = null;
  const apart = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  try {
    other = await startTidelake(binary, { kafka: { brokers: broker.bootstrap, topic } });
    const page = await apart.newPage();
    await page.goto(other.url);
    const source = page.locator('[data-tile="freshness"] [data-component="source web_logs"]');
    const is = status => source.and(page.locator(`[data-status="${status}"]`)).isVisible();
    // What is over is told behind it, in the detail.
    const said = () => page.getByLabel('Current status').locator('b').textContent();
    const records = async () => {
      const { sources } = await (await fetch(`${other.url}api/v1/status`)).json();
      return sources[0].records;
    };
    await within('a source in Kafka is ok', () => is('ok'));
    await within('its records come', async () => (await records()) > 20);
    await broker.stop();
    await within(
      'a broker that is stopped turns its tile within 15 s',
      async () => (await is('down')) || (await is('degraded')),
      15_000,
    );
    await within('and is the first thing said', async () => /source web_logs/i.test(await said()));
    check(
      'which is that the source has a problem, and not the page',
      await page.locator('[data-link="live"]').isVisible(),
    );
    await broker.start();
    await within('a broker that is started again is ok again by itself', () => is('ok'), 60_000);
    await within('and no longer spoken of', async () => !/source web_logs/i.test(await said()));
    const before = await records();
    await within('its records come again', async () => (await records()) > before, 60_000);
  } finally {
    await apart.close();
    await other?.end();
    await broker.end();
  }
}

/** Whatever SQL people write as a filter keeps the records that SQL would, in the list and in its count. */
async function conditions() {
  const to = new Date(Date.now() - 60_000);
  const from = new Date(to.getTime() - 1_200_000);
  const range = `from=${from.toISOString()}&to=${to.toISOString()}`;
  const page = await open(`logs?${range}`);
  const counted = async where => {
    const time = date => `TIMESTAMP '${date.toISOString()}'`;
    const query = `SELECT count(*) AS n FROM lake.logs WHERE timestamp >= ${time(from)} AND timestamp < ${time(to)} AND (${where})`;
    const answer = await fetch(`${server.url}api/v1/sql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
    });
    return (await answer.json()).rows[0].n;
  };
  const shown = async () =>
    Number(
      (
        await page
          .locator('section[aria-label="Stored records"]')
          .getByText(/ match$/)
          .textContent({ timeout: 2_000 })
      ).replace(/\D/g, ''),
    );
  for (const where of [
    'status = 500 OR status = 503',
    "NOT endpoint = '/api/users'",
    "(status = 500 OR response_time > 1000) AND endpoint LIKE '/api/%'",
    'status IN (500, 503)',
    'status NOT IN (200, 201)',
    'status BETWEEN 400 AND 499',
    "endpoint ILIKE '%ORDERS%' AND referer IS NOT NULL",
  ]) {
    const expected = await counted(where);
    await page.getByRole('textbox', { name: 'Add a filter' }).fill(where);
    await page.keyboard.press('Enter');
    await within(`${where} keeps ${expected} records`, async () => (await shown()) === expected);
    await page.getByRole('button', { name: 'Clear', exact: true }).click();
    await within('and is cleared', () => !/where=/.test(page.url()));
  }
  // While another filter is on its way, no record of the one before is under it.
  const texts = [];
  await page.exposeFunction('sawRecords', text => texts.push(text));
  await page.evaluate(() => {
    const look = () => {
      const applied = document.querySelector('[data-where]')?.getAttribute('data-where');
      if (applied === 'status = 404')
        for (const row of document.querySelectorAll('[data-record]')) globalThis.sawRecords(row.textContent);
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  await page.getByRole('textbox', { name: 'Add a filter' }).fill('status = 404');
  await page.keyboard.press('Enter');
  await within('records of the new filter are listed', () => texts.length > 0);
  check(
    'and none of the old one was',
    texts.every(text => /404/.test(text)),
  );
  checkQuiet();
  await page.close();
}

/** A query that is refused, then Ctrl-A, Delete: the editor goes on, and runs what it shows. */
async function deadEditor() {
  const page = await open('query');
  const editor = page.getByRole('textbox', { name: 'SQL' });
  for (const refused of ['SELECT * FROM nope', 'SHOW NOTHING', 'SELECT * FROM web_logs']) {
    await editor.click();
    await page.keyboard.press('Control+A');
    await page.keyboard.type(refused);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+Enter');
    await within(`${refused} is refused`, () => page.locator('[role="alert"]').first().isVisible());
    await page.keyboard.press('Control+A');
    await page.keyboard.press('Delete');
    await page.keyboard.type('SELECT 41 + 1 AS answer');
    await page.keyboard.press('Escape');
    check('the editor shows what is typed', (await editor.textContent()) === 'SELECT 41 + 1 AS answer');
    await page.keyboard.press('Control+Enter');
    await within('and runs it', async () =>
      /42/.test(await page.locator('[role="cell"]').first().textContent({ timeout: 1_000 })),
    );
  }
  // Whatever is typed, run, refused, cleared and taken back, the page has no error and shows what is typed last.
  let seed = 11;
  const below = end => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % end;
  };
  const acts = [
    () => page.keyboard.type(['SELECT ', '* FROM nope', ';', "'x", '\n', 'totals '][below(6)]),
    () => page.keyboard.press('Control+A'),
    () => page.keyboard.press('Delete'),
    () => page.keyboard.press('Control+Z'),
    () => page.keyboard.press('Control+Enter'),
    () => page.keyboard.press('Escape'),
    () => page.keyboard.press(['ArrowUp', 'ArrowLeft', 'Home', 'End'][below(4)]),
  ];
  for (let step = 0; step < 250; step++) await acts[below(acts.length)]();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('SELECT 7 AS seven');
  check('after 250 random acts too', (await editor.textContent()) === 'SELECT 7 AS seven');
  // With its answer those of all queries before it are there, or will not come.
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+Enter');
  await within('which runs', async () =>
    /7/.test(await page.locator('[role="cell"]').first().textContent({ timeout: 1_000 })),
  );
  checkQuiet(/status of 400 .*\/api\/v1\/sql/);
  await page.close();
}

/** On a small screen nothing is cut off: what does not fit can be scrolled to. */
async function sizes() {
  for (const [width, height] of [
    [1024, 768],
    [1440, 900],
  ]) {
    const small = await browser.newContext({ viewport: { width, height } });
    const page = await small.newPage();
    await page.goto(server.url);
    await filled(page, '');
    const cut = await page.evaluate(() =>
      [...document.querySelectorAll('main section[data-state] .uplot, main section[data-state] canvas')]
        .filter(it => {
          const panel = it.closest('section').getBoundingClientRect();
          return it.getBoundingClientRect().bottom > panel.bottom + 1;
        })
        .map(it => it.closest('section').getAttribute('aria-label')),
    );
    check(`no chart is cut off at ${width}×${height}: ${cut.join()}`, cut.length === 0);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    check(`nor is it wider than the screen (${over} px)`, over <= 0);
    await small.close();
  }
}

/** All pages can be visited while the server is away, and have their data when it is back. */
async function away() {
  const page = await open('');
  await within('the tile has a number', async () =>
    /\d/.test(await page.locator('[data-tile="events"] .tile-value').textContent()),
  );
  await page.waitForLoadState('networkidle').catch(() => {});
  await server.stop();
  await within('the server is away', () => page.locator('[data-link="reconnecting"]').isVisible());
  for (const name of ['Logs', 'Query', 'Anomalies', 'Pipeline', 'Overview']) {
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name }).click();
    await within(
      `${name} can be visited`,
      async () =>
        (await page.locator('h1').textContent()) === name &&
        (await page.locator('main section, main p, main aside').count()) > 0 &&
        (await page.locator('[data-part="missing"]').count()) === 0,
    );
  }
  check('Overview keeps its numbers, dimmed', await page.locator('section.opacity-60').first().isVisible());
  await server.start();
  await within('the page comes back', () => page.locator('[data-link="live"]').isVisible());
  checkQuiet(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|status of 503/);
  await page.close();
}

async function restart() {
  const page = await open('');
  const before = await page.locator('[data-tile="events"] .tile-value').textContent();
  check('there is a number', /\d/.test(before));
  await server.stop();
  await within('a lost server is said, with the time of the next attempt', () =>
    page.locator('[data-link="reconnecting"]').isVisible(),
  );
  check(
    'the numbers are still there',
    /\d/.test(await page.locator('[data-tile="events"] .tile-value').textContent()),
  );
  await server.start();
  await within('the page comes back by itself', () => page.locator('[data-link="live"]').isVisible());
  const epoch = () =>
    page
      .getByText(/^epoch /)
      .locator('b')
      .first()
      .textContent();
  const first = await epoch();
  await within('and goes on', async () => (await epoch()) !== first);
  checkQuiet(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|status of 503/);
  await page.close();
}
