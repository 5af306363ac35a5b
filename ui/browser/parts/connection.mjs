/** One stream for all tabs, and a server that goes and comes back. */
import { check, within } from '../harness.mjs';
import { PAGES } from '../stage.mjs';

/** What a browser says of requests, also those for parts of the page, to a server that stops. */
const AWAY = /net::ERR_(CONNECTION|SOCKET|INCOMPLETE|EMPTY)|status of 503/;

export default { seven, away, restart };

async function seven({ open, checkQuiet, server }) {
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

/** All pages can be visited while the server is away, and have their data when it is back. */
async function away({ open, checkQuiet, server }) {
  const page = await open('');
  await within('the tile has a number', async () =>
    /\d/.test(await page.locator('[data-tile="events"] .tile-value').textContent()),
  );
  await page.waitForLoadState('networkidle', { timeout: 5_000 }).catch(() => {});
  await server.stop();
  await within('the server is away', () => page.locator('[data-link="reconnecting"]').isVisible());
  for (const name of ['Logs', 'Query', 'Boards', 'Anomalies', 'Pipeline', 'Overview']) {
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
  checkQuiet(AWAY);
  await page.close();
}

async function restart({ open, checkQuiet, server }) {
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
  checkQuiet(AWAY);
  await page.close();
}
