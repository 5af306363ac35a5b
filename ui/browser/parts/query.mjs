/** Query: the editor, its answers as rows, chart, plan and file, the builder, and saved queries. */
import { readFile } from 'node:fs/promises';
import { check, within } from '../harness.mjs';

export default { query, deadEditor };

async function query({ open, checkQuiet }) {
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
      .locator('[role="gridcell"][data-kind="null"]', { hasText: /^NULL$/ })
      .first()
      .isVisible(),
  );
  check(
    'and not as an empty text',
    (await answer.locator('[role="gridcell"][data-kind="empty"]').count()) > 0,
  );
  const cut = await answer
    .locator('[role="columnheader"], [role="gridcell"]')
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

/** A query that is refused, then Ctrl-A, Delete: the editor goes on, and runs what it shows. */
async function deadEditor({ open, checkQuiet }) {
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
      /42/.test(await page.locator('[role="gridcell"]').first().textContent({ timeout: 1_000 })),
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
    /7/.test(await page.locator('[role="gridcell"]').first().textContent({ timeout: 1_000 })),
  );
  checkQuiet(/status of 400 .*\/api\/v1\/sql/);
  await page.close();
}
