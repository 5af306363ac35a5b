/** Anomalies: what rules matched, and the incidents of detectors. */
import { check, within } from '../harness.mjs';
import { FAULTS, history, minuteBegan } from '../traffic.mjs';

export default { anomalies, incidents, contributors };
incidents.isApart = true;
contributors.isApart = true;

async function anomalies({ open, checkQuiet, server }) {
  const page = await open('anomalies');
  await page.getByRole('tab', { name: 'Rules' }).click();
  const rules = page.getByRole('region', { name: 'Rule matches in anomalies' });
  const rows = rules.locator('tbody tr');
  await within('what the rules matched is listed', async () => (await rows.count()) > 0);
  await within(
    'one that goes on stands first',
    async () => (await rows.first().getAttribute('data-match')) === 'ongoing',
  );
  await page.goto(`${server.url}anomalies?tab=rules&from=2001-01-01T00:00:00Z&to=2001-01-01T01:00:00Z`);
  await within('none is told of a range without records', () =>
    rules.getByText('No rule matches in this range').isVisible(),
  );
  await page.goto(`${server.url}anomalies?tab=rules`);
  await rules.getByLabel('rule').selectOption('VERY_SLOW_RESPONSE');
  await within('those of one rule can be looked at', async () => {
    const texts = await rows.allTextContents();
    return texts.length > 0 && texts.every(text => /Very slow response/.test(text));
  });
  await rows.first().getByRole('button', { name: 'Records' }).click();
  await within('and lead to their records', () => /\/logs\?.*anomaly_type/.test(page.url()));
  await within('which are there', async () => (await page.locator('[data-record]').count()) > 0);
  checkQuiet();
  await page.close();
}

/** Incidents of detectors: their list, one of them, links to it, and what is taken back. */
async function incidents({ tidelake, apart, checkAccessible }) {
  const other = await tidelake({ text: failing(), file: 'given.jsonl' });
  const page = await apart();
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
  for (const theme of ['dark', 'light']) await checkAccessible('an incident', page, theme);
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
}

/** Clients of one kind fail: that it is they is said first, without asking. */
async function contributors({ tidelake, apart }) {
  const until = minuteBegan();
  const text = history({
    per_second: 12,
    minutes: 90,
    until,
    fault: (it, random, ms) => (ms < until - 6 * 60_000 ? it : FAULTS.curlFails(it, random)),
  });
  const other = await tidelake({ text, file: 'given.jsonl' });
  const page = await apart();
  await page.goto(`${other.url}anomalies?range=6h`);
  const errors = page.locator('[data-incident][data-state="open"]').filter({ hasText: /error.share of/ });
  await within('failures of clients of one kind are an incident', async () => (await errors.count()) > 0);
  await errors.first().getByRole('button').click();
  const first = page.getByRole('table', { name: 'Main contributors' }).locator('tbody tr').first();
  await within('whose first contributor is their user agent', async () =>
    /user_agent curl\/8\.4\.0/.test(await first.textContent({ timeout: 1_000 })),
  );
}

/** An hour and a half of steady traffic, of which one endpoint fails and is slow in the end. */
function failing() {
  const minutes = 90;
  const begin = minuteBegan() - minutes * 60_000;
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
