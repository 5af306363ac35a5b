/**
 * Takes a picture of every page of a running Tidelake, in both themes and on a phone.
 *
 *     npm run screens -- http://127.0.0.1:4000/ FOLDER [page…]
 *
 * The browser is the one named by CHROMIUM, else /usr/bin/chromium.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { launch } from './harness.mjs';

const [url, folder, ...only] = process.argv.slice(2);
if (url === undefined || folder === undefined) {
  console.error('usage: screens.mjs BASE_URL FOLDER [PAGE…]');
  process.exit(2);
}

const minute = Math.floor(Date.now() / 60_000) * 60;
const iso = seconds => new Date(seconds * 1000).toISOString();

const PAGES = {
  overview: { path: '?range=6h', ready: 'canvas' },
  compared: {
    path: `?range=6h&a=${iso(minute - 7_200)}&b=${iso(minute - 60)}`,
    ready: 'section[aria-label="Fields that changed"][data-state="live"]',
  },
  explained: {
    path: `?range=6h&box=${minute - 10_800}~${minute - 3_600}~362~725`,
    ready: 'aside section, aside p:has-text("difference in")',
  },
  logs: { path: 'logs?range=15m', ready: '[data-record]' },
  query: { path: 'query', ready: '[role="row"]' },
  anomalies: { path: 'anomalies?range=6h', ready: 'main h2', click: '[data-incident] button' },
  pipeline: { path: 'pipeline', ready: '[data-node]' },
  lake: {
    path: 'pipeline?tab=lake',
    ready: '[data-lake-table]',
    click: '[data-lake-table="logs"] th button',
  },
  reports: { path: 'reports', ready: '[data-report]' },
};
const LOOKS = {
  dark: { viewport: { width: 1440, height: 900 }, colorScheme: 'dark' },
  light: { viewport: { width: 1440, height: 900 }, colorScheme: 'light' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'dark', deviceScaleFactor: 2, isMobile: true },
};
const SETTLE_MS = 4_000;

await mkdir(folder, { recursive: true });
const browser = await launch();
try {
  for (const [look, options] of Object.entries(LOOKS)) {
    const context = await browser.newContext(options);
    for (const [name, { path, ready, click }] of Object.entries(PAGES)) {
      if (only.length > 0 && !only.includes(name)) continue;
      const page = await context.newPage();
      await page.goto(new URL(path, url).href);
      await page.locator(ready).first().waitFor({ timeout: 20_000 });
      // A picture is made of data that came, not of their first moment.
      await page.waitForTimeout(SETTLE_MS);
      if (click !== undefined && (await page.locator(click).count()) > 0) {
        await page.locator(click).first().click();
        await page.waitForTimeout(SETTLE_MS);
      }
      await page.screenshot({
        path: join(folder, `${name}-${look}.jpg`),
        type: 'jpeg',
        quality: 82,
        fullPage: look === 'phone',
      });
      await page.close();
      console.log(`${name}-${look}.jpg`);
    }
    await context.close();
  }
} finally {
  await browser.close();
}
