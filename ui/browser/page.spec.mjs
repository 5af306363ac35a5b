/**
 * Looks at the page of a running Tidelake with a real browser.
 *
 *     node browser/page.spec.mjs http://127.0.0.1:8080/ [screenshot.png]
 *
 * The one check that needs the whole program: the page becomes live, shows numbers and records, and Pause
 * holds the list while the tiles go on. It prints each check, and exits with 1 at the first that fails. The
 * browser is the one named by CHROMIUM, else /usr/bin/chromium.
 */
import { chromium } from 'playwright-core';

const WITHIN_MS = 20_000;
const HELD_MS = 2_500;

const [url, screenshot] = process.argv.slice(2);
if (url === undefined) {
  console.error('usage: node browser/page.spec.mjs BASE_URL [SCREENSHOT]');
  process.exit(1);
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});
let failed = false;
try {
  await look(await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark' }));
} catch (error) {
  failed = true;
  console.error(`FAILED ${error instanceof Error ? error.message : error}`);
} finally {
  await browser.close();
}
process.exit(failed ? 1 : 0);

async function look(page) {
  page.setDefaultTimeout(WITHIN_MS);
  const complaints = [];
  page.on('console', message => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', error => complaints.push(error.message));

  await page.goto(url);
  try {
    await checkAll(page, complaints);
  } finally {
    // A picture helps most when a check failed.
    if (screenshot !== undefined) await page.screenshot({ path: screenshot });
  }
}

async function checkAll(page, complaints) {
  const line = page.locator('.log-line').first();
  const tiles = () => page.locator('.tiles').textContent();

  await within('the state says live', () => page.locator('.link[data-link="live"]').isVisible());
  await within('the events/s tile has a number', async () =>
    /\d/.test(await page.locator('[data-tile="events"] .tile-value').textContent()),
  );
  await within('the live list has records', async () => (await page.locator('.log-line').count()) > 0);
  await within('the title of the document says the rate', async () =>
    /\d.*tidelake/.test(await page.title()),
  );

  await page.getByRole('button', { name: 'Pause' }).click();
  const heldLine = await line.textContent();
  const heldTiles = await tiles();
  await page.waitForTimeout(HELD_MS);
  await within('the tiles go on while the list is paused', async () => (await tiles()) !== heldTiles);
  check('the paused list stands still', (await line.textContent()) === heldLine);
  await within('the list counts what is new', async () =>
    /paused · [1-9]/.test(await page.locator('.log-hold').textContent()),
  );
  await page.getByRole('button', { name: 'Resume' }).click();
  await within('the resumed list goes on', async () => (await line.textContent()) !== heldLine);

  const fits = await page.evaluate(() => document.documentElement.scrollHeight <= window.innerHeight);
  check('the page fits 1440 by 900 without scrolling', fits);
  check(`the console has no errors${complaints.map(text => `: ${text}`).join('')}`, complaints.length === 0);
}

function check(what, holds) {
  if (!holds) throw new Error(what);
  console.log(`ok     ${what}`);
}

/** Wait until something holds, but not forever. */
async function within(what, holds) {
  const deadline = Date.now() + WITHIN_MS;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`${what}, within ${WITHIN_MS / 1000} s`);
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  check(what, true);
}
