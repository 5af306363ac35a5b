/** Logs: the live and the stored list, and what may be written as a filter. */
import { readFile } from 'node:fs/promises';
import { check, within } from '../harness.mjs';

export default { logs, conditions, logColumns, logFilters, logPatterns, logTimeline };

async function logs({ open, checkQuiet }) {
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
  await page.locator('aside[aria-label="Fields"] section[aria-label="endpoint"] li button').first().click();
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

/** Whatever SQL people write as a filter keeps the records that SQL would, in the list and in its count. */
async function conditions({ open, checkQuiet, server }) {
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

const rows = page => page.locator('[data-record]');
const idsOf = page => rows(page).evaluateAll(all => all.map(it => it.getAttribute('data-record')));

/** The list begins with what is stored, goes on live without a double, and has whichever columns are chosen. */
async function logColumns({ open, checkQuiet }) {
  const page = await open('logs?range=15m&where=status%20%3E%3D%20500');
  await within('matches that came before the page are there', async () => (await rows(page).count()) > 10);
  await within('and the list goes on', async () => {
    const text = await page.locator('[data-count="matched"]').textContent();
    return Number(text.replace(/\D/g, '')) > 500;
  });
  const ids = await idsOf(page);
  check('no record is there twice', new Set(ids).size === ids.length);
  const times = await rows(page).evaluateAll(all => all.map(it => it.firstElementChild.textContent));
  check(
    'they are newest first',
    times.every((time, at) => at === 0 || time <= times[at - 1]),
  );

  await page.getByRole('button', { name: 'Columns', exact: true }).click();
  await page.getByRole('textbox', { name: 'Search columns' }).fill('session');
  await page.getByRole('checkbox', { name: /session_id/ }).check();
  await page.keyboard.press('Escape');
  const head = page.locator('[data-head="session_id"]');
  await within('a chosen column is shown', () => head.isVisible());
  await within('with its values', async () =>
    /\w/.test(await rows(page).first().locator('[data-column="session_id"]').textContent()),
  );
  await page.getByRole('separator', { name: 'Width of session_id' }).focus();
  const before = (await head.boundingBox()).width;
  await page.keyboard.press('ArrowRight');
  await within('it is wider by a key', async () => (await head.boundingBox()).width > before + 10);
  await within('and the address has it', () => /columns=[^&]*session_id%3A\d+/.test(page.url()));
  await head.getByRole('button').click();
  await page.getByRole('menuitem', { name: 'Move left' }).click();
  const order = () => page.locator('[data-head]').evaluateAll(all => all.map(it => it.dataset.head));
  await within('it can be moved', async () => (await order()).at(-1) !== 'session_id');
  const chosen = await order();
  await page.reload();
  await within('a link has the columns', async () => (await order()).join() === chosen.join());

  const fields = page.locator('aside[aria-label="Fields"]');
  await fields.getByRole('textbox').fill('referer');
  await fields.getByRole('button', { name: 'referer exists' }).click();
  await within('a field can be asked to exist', () => /referer(\+|%20)IS(\+|%20)NOT/.test(page.url()));
  checkQuiet();
  await page.close();
}

/** A filter is completed as it is written, its mistakes are shown in place, and it can be kept by name. */
async function logFilters({ open, checkQuiet }) {
  const page = await open('logs?range=15m');
  await within('records come', async () => (await rows(page).count()) > 5);
  const field = page.getByRole('textbox', { name: 'Add a filter' });
  await field.pressSequentially('meth');
  await within('columns are suggested', () =>
    page
      .getByRole('option', { name: /^method/ })
      .first()
      .isVisible(),
  );
  await page.keyboard.press('Tab');
  await page.keyboard.type("= 'P");
  await within('and frequent values', () => page.getByRole('option', { name: "'POST'" }).isVisible());
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  check('what is taken stands in the field', (await field.inputValue()).startsWith("method = 'P"));
  await page.keyboard.press('Escape');
  await field.fill('status = 500 OR stauts = 503');
  await page.keyboard.press('Enter');
  await within(
    'a mistake is marked',
    async () => (await page.locator('[data-mistake] mark').textContent()) === 'stauts',
  );
  await page.getByRole('button', { name: 'Use status = 500 OR status = 503' }).click();
  await within('and mended by a click', () => /status(\+|%20)(=|%3D)(\+|%20)503/.test(page.url()));
  await page.getByRole('button', { name: 'Saved', exact: true }).click();
  await page.getByRole('textbox', { name: 'Name of the filter' }).fill('both');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Clear', exact: true }).first().click();
  await page.getByRole('button', { name: 'Saved', exact: true }).click();
  await page.getByRole('button', { name: /^both/ }).click();
  await within('a saved filter is applied', () => /503/.test(page.url()));
  checkQuiet(/status of 400 .*where=/);
  await page.close();
}

/** Alike lines are one, and a click shows just their records. */
async function logPatterns({ open, checkQuiet }) {
  const page = await open('logs?range=15m&tab=patterns');
  const lines = page.locator('[data-pattern]');
  await within('there are patterns', async () => (await lines.count()) > 1);
  const first = lines.first();
  check('with counts', /\d.*%/.test(await first.locator('td').first().textContent()));
  await first.getByRole('button').first().click();
  await within('a click filters by its pattern', () => /LIKE/.test(page.url()) && !/tab=/.test(page.url()));
  await within('and lists its records', async () => (await rows(page).count()) > 0);
  checkQuiet();
  await page.close();
}

/** What one session did, from a record, oldest first and with its gaps. */
async function logTimeline({ open, checkQuiet }) {
  const page = await open(
    'logs?range=all&past=true&where=status%20%3D%20200%20AND%20user_id%20IS%20NOT%20NULL',
  );
  await within('records are listed', async () => (await rows(page).count()) > 5);
  await rows(page)
    .nth(3)
    .click({ position: { x: 30, y: 8 } });
  const drawer = page.locator('aside[aria-label="Record"]');
  await drawer.getByRole('button', { name: /^Timeline of user_id/ }).click();
  await within('the filter is the user alone', () => {
    const url = new URL(page.url());
    return (
      /^user_id = /.test(url.searchParams.get('where') ?? '') && url.searchParams.get('tab') === 'timeline'
    );
  });
  await page.keyboard.press('Escape');
  await within('their records are listed', async () => (await rows(page).count()) > 0);
  const times = await rows(page).evaluateAll(all => all.map(it => it.firstElementChild.title));
  check(
    'oldest first',
    times.every((time, at) => at === 0 || time >= times[at - 1]),
  );
  const moments = times.map(it => Date.parse(it));
  check('each has its time', moments.every(Number.isFinite));
  // Shorter gaps than half a minute are not told.
  if (moments.some((it, at) => at > 0 && it - moments[at - 1] >= 30_000))
    await within('with what lies between', async () =>
      /later/.test(await page.locator('[data-gap]').first().textContent()),
    );
  checkQuiet();
  await page.close();
}
