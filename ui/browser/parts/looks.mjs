/** Whether everybody can use the pages: with a screen reader, on a phone, on a small screen. */
import { check, within } from '../harness.mjs';
import { filled, PAGES } from '../stage.mjs';

export default { accessible, phone, sizes };

async function accessible({ open, checkQuiet, checkAccessible }) {
  const minute = Math.floor(Date.now() / 60_000) * 60;
  const iso = seconds => new Date(seconds * 1000).toISOString();
  const [from, to] = [iso(minute - 1_800), iso(minute - 600)];
  const more = {
    [`?a=${iso(minute - 1_800)}&b=${iso(minute - 600)}`]:
      'section[aria-label="Fields that changed"][data-state="live"]',
    [`?from=${from}&to=${to}&box=times`]: 'aside section, aside p:has-text("difference in")',
  };
  for (const theme of ['dark', 'light']) {
    for (const [path, ready] of Object.entries({ ...PAGES, ...more })) {
      const page = await open(path);
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
      await filled(page, path, ready);
      await checkAccessible(path || 'overview', page, theme);
      await page.close();
    }
  }
  checkQuiet();
}

async function phone({ apart, server }) {
  for (const path of Object.keys(PAGES)) {
    const page = await apart({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
    await page.goto(server.url + path);
    await within(`${path || 'overview'} is live on a phone`, () =>
      page.locator('[data-link="live"]').isVisible(),
    );
    await filled(page, path);
    // A phone shows all of a page that is too wide, smaller: `innerWidth` grows with it.
    const over =
      (await page.evaluate(() => document.documentElement.scrollWidth)) - page.viewportSize().width;
    check(`and not wider than it (${over} px)`, over <= 0);
    await page.close();
  }
}

/** On a small screen nothing is cut off: what does not fit can be scrolled to. */
async function sizes({ apart, server }) {
  for (const [width, height] of [
    [1024, 768],
    [1440, 900],
  ]) {
    const page = await apart({ viewport: { width, height } });
    await page.goto(server.url);
    await filled(page, '');
    const cut = await page.evaluate(() =>
      [...document.querySelectorAll('main section[data-state] .uplot, main section[data-state] canvas')]
        .filter(it => {
          const panel = it.closest('section').getBoundingClientRect();
          return it.getBoundingClientRect().bottom > panel.bottom + 1;
        })
        .map(it => it.closest('section').getAttribute('aria-label')),
    );
    check(`no chart is cut off at ${width}×${height}: ${cut.join()}`, cut.length === 0);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    check(`nor is it wider than the screen (${over} px)`, over <= 0);
    await page.close();
  }
}
