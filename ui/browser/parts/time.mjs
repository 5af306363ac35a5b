/** Times: typed, moved through, shown whole in the zone that was chosen, and read from charts without a mouse. */
import { check, within } from '../harness.mjs';
import { filled, PAGES } from '../stage.mjs';

export default { ranges, zones, chartKeys, wholeTimes, touchTargets };

const rangeButton = page => page.getByRole('button', { name: /^Time range/ });

async function ranges({ open, checkQuiet }) {
  const page = await open('');
  await page.keyboard.press('r');
  const field = page.getByLabel('Any range, as text');
  await within('r goes into the field of the range', async () =>
    field.evaluate(it => it === document.activeElement && it.value === ''),
  );
  await field.fill('2024-02-30');
  await within('a date that there is not is refused, with what to write', () =>
    page.getByText('2024-02 has no day 30. Write 2024-02-01 to 2024-02-29.').isVisible(),
  );
  await field.fill('2024-05-12 14:00 .. 15:30');
  await within('what was read is shown', () =>
    page.getByText('2024-05-12 14:00 – 15:30 UTC · 1 h 30 min').isVisible(),
  );
  await page.keyboard.press('Enter');
  await within('and in the address', () =>
    page.url().endsWith('from=2024-05-12T14%3A00%3A00.000Z&to=2024-05-12T15%3A30%3A00.000Z'),
  );
  await within('the bar says that it is fixed', () => page.getByText('fixed range').isVisible());
  await page.keyboard.press('ArrowRight');
  await within('forward by its length', () => /from=2024-05-12T15%3A30/.test(page.url()));
  await page.keyboard.press('-');
  await within('out to twice of it', () => /from=2024-05-12T14%3A45.*to=2024-05-12T17%3A45/.test(page.url()));
  await page.keyboard.press('Backspace');
  await within('undone', () => /from=2024-05-12T15%3A30.*to=2024-05-12T17%3A00/.test(page.url()));
  await page.getByRole('button', { name: 'Back to live' }).click();
  await within('live again', () => !/from=/.test(page.url()));
  await rangeButton(page).click();
  await field.fill('90 min');
  await page.getByRole('button', { name: 'Apply' }).click();
  await within('any length', () => page.url().endsWith('range=90m'));
  await page.keyboard.press('ArrowLeft');
  await within('back by it', () => /from=.*to=/.test(page.url()));
  await page.keyboard.press('Control+K');
  await page.keyboard.type('2024-05-12..20');
  await page.keyboard.press('Enter');
  await within('the palette takes times too', () => /from=2024-05-12T00.*to=2024-05-21T00/.test(page.url()));
  checkQuiet();
  await page.close();
}

async function zones({ apart, server }) {
  const page = await apart({ timezoneId: 'Asia/Kolkata' });
  await page.goto(`${server.url}logs?from=2024-05-12T14:00:00Z&to=2024-05-12T15:00:00Z`);
  await within('a link is in UTC', () => rangeButton(page).getByText('2024-05-12 14:00 – 15:00').isVisible());
  await page.getByRole('button', { name: 'Times in UTC. Show local times' }).click();
  await within('and local by a click', () =>
    rangeButton(page).getByText('2024-05-12 19:30 – 20:30').isVisible(),
  );
  await page.reload();
  await within('which is kept', () => rangeButton(page).getByText('2024-05-12 19:30 – 20:30').isVisible());
  await rangeButton(page).click();
  await page.getByLabel('Any range, as text').fill('2024-05-12 00:00 .. 06:00');
  await page.keyboard.press('Enter');
  await within('what is typed is local too', () => /from=2024-05-11T18%3A30/.test(page.url()));
}

async function chartKeys({ open, checkQuiet }) {
  const page = await open('?range=1h');
  const chart = page.locator('section[aria-label="Requests by status"] [role="application"]');
  const said = page.locator('section[aria-label="Requests by status"] [data-said]');
  await chart.focus();
  await within('the arrow keys say a point of the chart', async () => {
    await page.keyboard.press('ArrowLeft');
    return /^\d\d:\d\d:00 UTC, .*\/s/.test(await said.textContent());
  });
  const point = await said.textContent();
  await page.keyboard.press('ArrowLeft');
  check('and the one before', (await said.textContent()) !== point);
  check('the range stays', /range=1h$/.test(page.url()));
  await page.keyboard.press('Shift+ArrowLeft');
  await page.keyboard.press('Shift+ArrowLeft');
  check('Shift selects', /^Selected \d\d:\d\d/.test(await said.textContent()));
  await page.keyboard.press('Enter');
  await within('Enter zooms to what is selected', () => {
    const { searchParams } = new URL(page.url());
    return Date.parse(searchParams.get('to')) - Date.parse(searchParams.get('from')) === 180_000;
  });
  checkQuiet();
  await page.close();
}

/** A time of which the end is missing is none. */
async function wholeTimes({ apart, server }) {
  const now = Date.now();
  const iso = minutes => new Date(now - 60_000 * minutes).toISOString();
  const paths = [...Object.keys(PAGES), 'logs?past=true', `logs?past=true&from=${iso(12)}&to=${iso(8)}`];
  for (const [width, height] of [
    [390, 844],
    [1024, 768],
    [1280, 800],
    [1440, 900],
  ]) {
    const page = await apart({ viewport: { width, height } });
    for (const path of paths) {
      await page.goto(server.url + path);
      await filled(page, path.split('?')[0], PAGES[path] ?? '[data-record]');
      const cut = await page.evaluate(() =>
        [...document.querySelectorAll('body *')]
          .filter(it => {
            const own = [...it.childNodes].filter(node => node.nodeType === 3);
            return own.some(node => /\d\d:\d\d/.test(node.textContent ?? ''));
          })
          .filter(it => {
            for (let at = it; at !== null && at !== document.body; at = at.parentElement) {
              const { overflowX } = getComputedStyle(at);
              if (overflowX === 'auto' || overflowX === 'scroll') return false;
              if (overflowX === 'visible') continue;
              const [inner, outer] = [it.getBoundingClientRect(), at.getBoundingClientRect()];
              if (
                at.scrollWidth > at.clientWidth + 1 &&
                inner.left < outer.right &&
                (at === it || inner.right > outer.right + 1)
              )
                // What follows the time may be cut.
                return /\d\d:\d\d[:.\d]*( \S{0,5})?$/.test(it.textContent.trim());
            }
            return false;
          })
          .map(it => it.textContent),
      );
      check(`${path || 'overview'} cuts no time at ${width} px: ${cut.slice(0, 3).join()}`, cut.length === 0);
    }
    await page.close();
  }
}

/** A finger hits what is at least so large. */
async function touchTargets({ apart, server }) {
  const page = await apart({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  for (const path of Object.keys(PAGES)) {
    await page.goto(server.url + path);
    await filled(page, path);
    const small = await page.evaluate(() =>
      [...document.querySelectorAll('button, select, input:not([type=checkbox], [type=radio]), nav a')]
        .filter(it => it.closest('[data-spans], .cm-editor, .inline-target') === null)
        .map(it => [it, it.getBoundingClientRect()])
        .filter(([, { width, height }]) => width > 0 && (height < 39.5 || width < 39.5))
        .map(
          ([it, { width, height }]) =>
            `${it.ariaLabel ?? it.textContent} ${Math.round(width)}×${Math.round(height)}`,
        ),
    );
    check(
      `${path || 'overview'} has targets of 40 px on a phone: ${small.slice(0, 4).join(', ')}`,
      small.length === 0,
    );
  }
  for (const name of ['Copy link', 'Command palette, Ctrl K', 'Keys', 'Theme'])
    check(`${name} is there on a phone`, await page.getByRole('button', { name, exact: true }).isVisible());
}
