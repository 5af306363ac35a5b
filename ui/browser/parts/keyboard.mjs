/** What is done without a mouse. */
import { check, within } from '../harness.mjs';

export default { keyboard };

async function keyboard({ open, checkQuiet }) {
  const page = await open('');
  await page.keyboard.press('?');
  await within('? shows the keys', () => page.getByRole('dialog', { name: 'Keys' }).isVisible());
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+K');
  await within('the palette takes what is typed', () =>
    page.getByRole('combobox', { name: 'Command' }).evaluate(it => it === document.activeElement),
  );
  await page.keyboard.type('pipel');
  await page.keyboard.press('Enter');
  await within('the palette goes to a page', () => page.url().endsWith('/pipeline'));
  // On a machine that is busy the second key may come too late; a person would press both again.
  await within('g l goes to the log', async () => {
    await page.keyboard.press('g');
    await page.keyboard.press('l');
    await page.waitForURL(/\/logs$/, { timeout: 2_000 });
    return true;
  });
  await within('records come', async () => (await page.locator('[data-record]').count()) > 3);
  await page.keyboard.press('Space');
  await within('Space freezes the page', () => page.getByText(/^Resume ·/).isVisible());
  const lines = await page.locator('[data-record]').first().textContent();
  await within(
    'the newest goes on behind it',
    async () => !/ 0\.0 s behind/.test(await page.getByText(/^Resume ·/).textContent()),
  );
  check(
    'the frozen list stands still',
    (await page.locator('[data-record]').first().textContent()) === lines,
  );
  await page.keyboard.press('Space');
  await within('Space goes on', () => page.getByRole('button', { name: 'Freeze' }).isVisible());
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await within('j and Enter open a record', () => /record=\d+-\d+/.test(page.url()));
  await page.keyboard.press('Escape');
  await page.keyboard.press('/');
  await within('/ goes to the filter', () =>
    page.getByRole('textbox', { name: 'Add a filter' }).evaluate(it => it === document.activeElement),
  );
  checkQuiet();
  await page.close();
}
