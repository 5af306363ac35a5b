/** The lake and its upkeep, on a server of its own: optimized, looked through, vacuumed. */
import { check, within } from '../harness.mjs';

export default { lake };

lake.isApart = true;

async function lake({ tidelake, apart, checkAccessible }) {
  const other = await tidelake({ rate: 60, history: 120 });
  const page = await apart();
  await page.goto(`${other.url}pipeline?tab=lake`);
  const logs = page.locator('[data-lake-table="logs"]');
  await within('a table tells its version, files and rows', async () =>
    /logs\s*\d+.*ago.*\d/s.test(await logs.textContent()),
  );
  await within('the lake is well, in a line', async () =>
    /^\d+ tables, \d+ files, [\d.]+ [kM]?B$/.test(await page.locator('[data-lake="well"]').textContent()),
  );
  await logs.getByRole('button', { name: 'logs', exact: true }).click();
  await within('its versions tell what they did', async () =>
    /\d+ rows, \d+ files added/.test(await page.locator('[data-versions]').textContent()),
  );
  for (const theme of ['dark', 'light']) await checkAccessible('the tab Lake', page, theme);

  await page.getByRole('button', { name: 'Optimize logs', exact: true }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'endpoint', exact: true }).click();
  await dialog.getByRole('button', { name: 'Optimize logs' }).click();
  const optimized = page.locator('[data-job="optimize"]');
  await within('the engine has optimized it', async () =>
    /logs: \d+ files? \(.*\) became \d+/.test(await optimized.textContent()),
  );
  check('the job is done', (await optimized.getAttribute('data-job-state')) === 'done');
  await within('a version of the table tells it', async () => {
    await page.reload();
    await page.locator('[data-versions]').waitFor();
    // The commit that has it has rows of its own as well.
    return /taken out/.test(await page.locator('[data-versions]').textContent());
  });
  await within('and so does the lake', async () =>
    /optimized.*files written anew/s.test(await page.locator('section[aria-label="Upkeep"]').textContent()),
  );

  await page.getByRole('button', { name: 'Vacuum…' }).click();
  await dialog.getByRole('button', { name: 'Dry run' }).click();
  await within('a dry run tells that everything is needed yet', () =>
    dialog.getByText(/^Nothing to delete/).isVisible(),
  );
  check(
    'so there is nothing to confirm',
    !(await dialog.getByRole('button', { name: /^Delete/ }).isVisible()),
  );
  for (const theme of ['dark', 'light']) await checkAccessible('the dialog Vacuum', page, theme);
  await page.keyboard.press('Escape');
  await within('the dry run is listed', () =>
    page.locator('[data-job="vacuum"][data-job-state="done"]').isVisible(),
  );
}
