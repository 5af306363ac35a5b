/** What fails beside the page is seen on it, and seen well again. */
import { mkdir, readdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { check, within } from '../harness.mjs';

export default { brokenLake, stoppedBroker };
stoppedBroker.isApart = true;
stoppedBroker.needsJars = true;

/** Whoever takes the lake's folder away sees it on the page, and sees it well again. */
async function brokenLake({ open, checkQuiet, server }) {
  const page = await open('');
  const lake = status =>
    page.locator(`[data-tile="freshness"] [data-component="lake"][data-status="${status}"]`);
  await within('the lake is ok', () => lake('ok').isVisible());
  const manifests = join(server.lake, '_tidelake', 'web_logs', 'manifests');
  await swap(manifests, `${manifests}-away`, () => writeFile(manifests, 'in the way'));
  await within(
    'a lake that cannot be written turns its tile within 15 s',
    () => lake('down').isVisible(),
    15_000,
  );
  await within('and is the first thing said', async () =>
    /lake/.test(await page.getByLabel('Current status').textContent()),
  );
  await rm(manifests);
  await swap(`${manifests}-away`, manifests);
  await within('a lake that can be written again is ok again', () => lake('ok').isVisible(), 60_000);
  checkQuiet();
  await page.close();
}

/** Whoever stops Kafka sees it on the page, and sees it well again when it is back, without touching anything. */
async function stoppedBroker({ broker: startBroker, tidelake, apart }) {
  const topic = 'web-logs';
  const broker = await startBroker(topic);
  const other = await tidelake({ kafka: { brokers: broker.bootstrap, topic } });
  const page = await apart();
  await page.goto(other.url);
  const source = page.locator('[data-tile="freshness"] [data-component="source web_logs"]');
  const is = status => source.and(page.locator(`[data-status="${status}"]`)).isVisible();
  // What is over is told behind it, in the detail.
  const said = () => page.getByLabel('Current status').locator('b').textContent();
  const records = async () => {
    const { sources } = await (await fetch(`${other.url}api/v1/status`)).json();
    return sources[0].records;
  };
  await within('a source in Kafka is ok', () => is('ok'));
  await within('its records come', async () => (await records()) > 20);
  await broker.stop();
  await within(
    'a broker that is stopped turns its tile within 15 s',
    async () => (await is('down')) || (await is('degraded')),
    15_000,
  );
  await within('and is the first thing said', async () => /source web_logs/i.test(await said()));
  check(
    'which is that the source has a problem, and not the page',
    await page.locator('[data-link="live"]').isVisible(),
  );
  await broker.start();
  await within('a broker that is started again is ok again by itself', () => is('ok'), 60_000);
  await within('and no longer spoken of', async () => !/source web_logs/i.test(await said()));
  const before = await records();
  await within('its records come again', async () => (await records()) > before, 60_000);
}

/**
 * Moves a folder, and has something put in its place. A commit that comes between makes the folder anew; its files move too.
 */
async function swap(from, to, instead = async () => {}) {
  for (let tries = 0; ; tries++) {
    await mkdir(to, { recursive: true });
    for (const name of await readdir(from)) await rename(join(from, name), join(to, name));
    try {
      await rmdir(from);
      return await instead();
    } catch (error) {
      if (tries > 20) throw error;
    }
  }
}
