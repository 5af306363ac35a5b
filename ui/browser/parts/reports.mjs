/** Reports, read and taken along; and the documentation, opened beside the page. */
import { readFile } from 'node:fs/promises';
import { check, within } from '../harness.mjs';

export default { reports };

async function reports({ open, checkQuiet }) {
  const page = await open('reports');
  await within('everything is reported on', () => page.locator('[data-report="all"]').isVisible());
  await within('figures are told', async () =>
    /[1-9]/.test(await page.locator('[data-section] dd').first().textContent()),
  );
  check('charts are drawn', (await page.locator('[data-section] figure').count()) > 2);
  await page.getByRole('button', { name: 'analytics' }).click();
  await within('one of the reports is chosen', () => page.locator('[data-report="analytics"]').isVisible());
  check('the address keeps it', /tab=analytics/.test(page.url()));

  const [json] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'JSON' }).click(),
  ]);
  const report = JSON.parse(await readFile(await json.path(), 'utf8'));
  check('JSON is what is shown', report.name === 'analytics' && report.parts[0].sections.length > 0);
  const [html] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'HTML' }).click(),
  ]);
  check(
    'HTML has the name of the report',
    /^web_logs-analytics-[\d-]+\.html$/.test(html.suggestedFilename()),
  );
  check('and is one file', /^<!DOCTYPE html>/.test(await readFile(await html.path(), 'utf8')));
  const [file] = await Promise.all([
    page.waitForEvent('popup'),
    page.getByRole('link', { name: 'Open as one file' }).click(),
  ]);
  await within('it opens beside the page', () =>
    file.getByRole('heading', { level: 1, name: 'web_logs' }).isVisible(),
  );
  await file.close();
  const [docs] = await Promise.all([
    page.waitForEvent('popup'),
    page.getByRole('link', { name: 'Documentation' }).click(),
  ]);
  await within('the documentation is one click away', () => docs.locator('h1').first().isVisible());
  await docs.close();
  checkQuiet();
  await page.close();
}
