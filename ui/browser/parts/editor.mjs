/** The editor over a thousand random acts, tabs, fixes of refused queries, the grid of an answer, charts by choice, and boards. */
import { check, within } from '../harness.mjs';

export default { editorWalk, tabs, fixes, grid, charts, boards, timedPlan };

const REFUSED = /status of 4\d\d .*\/api\/v1\/sql/;
const done = page => page.locator('[data-run="done"]');
const answer = page => page.locator('section[aria-label="Answer"]');
const cells = page => answer(page).locator('[role="gridcell"]');
const address = (sql, more = '') => `query?q=${encodeURIComponent(sql)}${more}`;

/** A page with the answer to a query. */
async function asked(open, sql, more = '') {
  const page = await open(address(sql, more));
  await within('the query has an answer', () => done(page).isVisible());
  return page;
}

async function write(page, sql) {
  await page.getByRole('textbox', { name: 'SQL' }).click();
  await page.keyboard.press('Control+A');
  await page.keyboard.type(sql);
  await page.keyboard.press('Escape');
}

/** Whatever is typed, run, refused, fixed, cleared, taken back and put into other tabs. */
async function editorWalk({ open, checkQuiet }) {
  const page = await open(address('SELECT 1 AS one'));
  await within('the first query has an answer', () => done(page).isVisible());
  const editor = page.getByRole('textbox', { name: 'SQL' });
  let seed = 23;
  const below = end => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * end);
  };
  const texts = [
    'SELECT ',
    '* FROM nope',
    'SELECT * FROM totlas',
    ';',
    "'x",
    '\n',
    '😀',
    '\\d',
    'SHOW TABLES',
  ];
  const key = all => page.keyboard.press(all[below(all.length)]);
  const acts = [
    () => page.keyboard.insertText(texts[below(texts.length)]),
    () => page.keyboard.insertText(texts[below(texts.length)]),
    () => key(['Control+A', 'Delete', 'Backspace', 'Control+Z', 'Control+Y']),
    () => key(['Control+Enter', 'Escape', 'Enter', 'Tab']),
    () => key(['ArrowUp', 'ArrowLeft', 'Home', 'End', 'Shift+ArrowLeft', 'Shift+Home']),
    async () => {
      if (below(10) > 0) return;
      const fix = page.getByRole('button', { name: /^Use / }).first();
      if (await fix.isVisible()) await fix.click({ timeout: 500 }).catch(() => {});
      else await page.getByRole('button', { name: 'New tab' }).click();
      await editor.click();
    },
  ];
  await editor.click();
  for (let step = 0; step < 1_000; step++) await acts[below(acts.length)]();
  await write(page, 'SELECT 7 AS seven');
  check(
    'after 1 000 random acts the editor shows what is typed',
    (await editor.textContent()) === 'SELECT 7 AS seven',
  );
  await page.keyboard.press('Control+Enter');
  await within(
    'and runs it',
    async () => (await cells(page).first().textContent({ timeout: 1_000 })) === '7',
  );
  checkQuiet(REFUSED);
  await page.close();
}

async function tabs({ open, checkQuiet }) {
  const page = await asked(open, 'SELECT 1 AS one');
  const bar = page.getByRole('navigation', { name: 'Query tabs' });
  await page.getByRole('button', { name: 'New tab' }).click();
  await write(page, 'SELECT 2 AS two');
  await page.keyboard.press('Control+Enter');
  await within(
    'a second tab has an answer of its own',
    async () => (await cells(page).first().textContent()) === '2',
  );
  await bar.getByRole('button', { name: /^SELECT 2/ }).dblclick();
  await page.getByLabel('Name of the tab').fill('second');
  await page.keyboard.press('Enter');
  await within('the address has the text of the tab that is shown', () =>
    new URL(page.url()).searchParams.get('q')?.includes('SELECT 2'),
  );
  await page.reload();
  await within('tabs are there after a reload', () =>
    bar.getByRole('button', { name: 'second', exact: true }).isVisible(),
  );
  await bar.getByRole('button', { name: 'second', exact: true }).focus();
  await page.keyboard.press('Alt+ArrowLeft');
  await within('they are put in another order by the keyboard', async () =>
    /^second/.test(await bar.textContent()),
  );
  await bar.getByRole('button', { name: 'Close second' }).click();
  await within('and closed', async () => !/second/.test(await bar.textContent()));
  check(
    'and the other one is shown',
    /SELECT 1/.test(await page.getByRole('textbox', { name: 'SQL' }).textContent()),
  );
  checkQuiet(REFUSED);
  await page.close();
}

async function fixes({ open, checkQuiet }) {
  const page = await open(address('SELECT count(*) AS n FROM lake.lgos'));
  const alert = page.getByRole('alert').filter({ hasText: 'lgos' });
  await within('a slip is told in a sentence', () => alert.isVisible());
  check('which is short', (await alert.textContent()).length < 160);
  check('and marked', (await page.locator('.cm-refused').textContent()) === 'lake.lgos');
  await page.getByRole('button', { name: 'Use lake.logs' }).click();
  await within('and mended by a button', () => done(page).isVisible());
  check(
    'in the text',
    /FROM lake\.logs$/.test(await page.getByRole('textbox', { name: 'SQL' }).textContent()),
  );
  await write(page, '\\d');
  await page.keyboard.press('Control+Enter');
  await within('what there is is listed', async () => /live view/.test(await answer(page).textContent()));
  await write(page, '\\d totals');
  await page.keyboard.press('Control+Enter');
  await within('and described, with what it means', async () =>
    /requests.*bigint.*count/.test(await answer(page).textContent()),
  );
  checkQuiet(REFUSED);
  await page.close();
}

async function grid({ open, checkQuiet, checkAccessible }) {
  const values = Array.from(
    { length: 3 },
    (_, at) => `SELECT ${3 - at} AS n, '${'ab'[at] ?? ''}' AS t, now() AS at`,
  ).join(' UNION ALL ');
  const page = await asked(
    open,
    `SELECT CAST('NaN' AS DOUBLE) AS x, CAST(NULL AS TEXT) AS nothing, y.* FROM (${values}) y`,
  );
  const texts = async column => (await cells(page).allTextContents()).filter((_, at) => at % 5 === column);
  await within('what is no number is shown as such', async () => (await texts(0))[0] === 'NaN');
  check('NULL is told from an empty text', (await texts(1))[0] === 'NULL' && (await texts(3)).includes("''"));
  const header = page
    .getByRole('columnheader')
    .filter({ has: page.getByRole('button', { name: 'n', exact: true }) });
  await header.getByRole('button').click();
  await within('a header sorts', async () => (await texts(2)).join() === '1,2,3');
  await header.getByRole('button').click();
  await within('and the other way', async () => (await texts(2)).join() === '3,2,1');
  const width = async () => (await header.boundingBox()).width;
  const before = await width();
  await header.getByRole('separator').focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  await within('a column is made wider by the keyboard', async () => (await width()) > before + 20);
  await page.getByRole('grid').focus();
  for (const key of ['ArrowDown', 'ArrowRight', 'ArrowRight']) await page.keyboard.press(key);
  await within('a cell is gone to', () => page.getByText('row 1 · n: 3').isVisible());
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const copied = () => page.evaluate(() => navigator.clipboard.readText());
  await page.keyboard.press('Control+C');
  await within('and copied', async () => (await copied()) === '3');
  await page.getByRole('button', { name: 'Copy all' }).click();
  await within('as all rows are', async () => /^x\tnothing\tn\tt\tat\nNaN\t\t3\t/.test(await copied()));
  await checkAccessible('the grid', page, 'dark');
  await checkAccessible('the grid', page, 'light');
  await page.goto(page.url().replace(/q=.*/, `q=${encodeURIComponent('SELECT * FROM lake.logs')}`));
  await within('of many rows only those in sight are drawn', async () => {
    const count = await page.getByRole('row').count();
    return count > 5 && count < 80;
  });
  checkQuiet(REFUSED);
  await page.close();
}

async function charts({ open, checkQuiet, checkAccessible }) {
  const sql =
    "SELECT date_trunc('minute', timestamp) AS minute, status, count(*) AS n FROM lake.logs GROUP BY 1, 2 ORDER BY 1";
  const page = await asked(open, sql, '&tab=chart');
  await within('a line for each key', async () =>
    /200.*404/.test(await answer(page).locator('figure').textContent()),
  );
  await page.getByLabel('Type').selectOption('heatmap');
  await within('another type is chosen', () =>
    answer(page).getByRole('region', { name: 'n by minute and status' }).isVisible(),
  );
  await within('and in the address', () => /chart=heatmap/.test(page.url()));
  await page.reload();
  await within('which opens the same', () =>
    answer(page).getByRole('region', { name: 'n by minute and status' }).isVisible(),
  );
  await checkAccessible('a heatmap', page, 'dark');
  await page.getByLabel('Type').selectOption('bars');
  await page.getByLabel('X').selectOption('status');
  await within('so is what is along the axis', async () => (await answer(page).locator('li').count()) > 3);
  checkQuiet(REFUSED);
  await page.close();
}

async function boards({ open, checkQuiet, checkAccessible }) {
  const pin = async (sql, title) => {
    const page = await asked(open, sql, '&tab=chart');
    await page.getByRole('button', { name: 'Pin', exact: true }).click();
    await page.getByLabel('Title').fill(title);
    await page.getByRole('dialog').getByRole('button', { name: 'Pin', exact: true }).click();
    await within(`${title} is pinned`, () => page.getByText('Pinned to').isVisible());
    return page;
  };
  await (await pin('SELECT * FROM totals', 'All')).close();
  const page = await pin('SELECT status, count(*) AS n FROM lake.logs GROUP BY 1', 'By status');
  await page.getByRole('button', { name: 'Open the board' }).click();
  const panel = title => page.locator(`section[aria-label="${title}"]`);
  await within('what a view shows is live', () =>
    panel('All').getByText('live', { exact: true }).isVisible(),
  );
  await within('other queries say that they are polled', () =>
    panel('By status').getByText('polled every 10 s').isVisible(),
  );
  const shown = () => panel('All').locator('dd').first().textContent();
  const first = await shown();
  await within('a live panel changes by itself', async () => (await shown()) !== first);
  const titles = async () => (await page.locator('section h2').allTextContents()).join();
  await page.getByRole('button', { name: 'Move By status' }).focus();
  await page.keyboard.press('ArrowLeft');
  await within('panels are put in order by the keyboard', async () => (await titles()) === 'By status,All');
  await page.getByRole('button', { name: 'Move All' }).dragTo(panel('By status'));
  await within('and by the mouse', async () => (await titles()) === 'All,By status');
  await page.reload();
  await within('which is kept', async () => (await titles()) === 'All,By status');
  await within('with its rows', () => panel('By status').locator('li').first().isVisible());
  await checkAccessible('a board', page, 'dark');
  await checkAccessible('a board', page, 'light');
  await page.getByRole('button', { name: 'Actions of By status' }).click();
  await page.getByRole('menuitem', { name: 'Remove' }).click();
  await within('a panel is removed', async () => (await titles()) === 'All');
  await page.getByRole('button', { name: 'Delete board' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
  await within('and so is the board', () => page.getByText('No boards yet').isVisible());
  checkQuiet(REFUSED);
  await page.close();
}

async function timedPlan({ open, checkQuiet }) {
  const page = await asked(open, 'SELECT endpoint, count(*) AS n FROM lake.logs GROUP BY 1', '&tab=plan');
  await page.getByRole('button', { name: 'Run with timings' }).click();
  const steps = page.getByLabel('Plan, from the result').locator('li');
  await within('each step of the plan tells its rows and its time', async () =>
    /rows? · [\d.]+ ms/.test(await steps.first().textContent({ timeout: 1_000 })),
  );
  checkQuiet(REFUSED);
  await page.close();
}
