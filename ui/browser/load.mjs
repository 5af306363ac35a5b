/**
 * Looks at a page while ten thousand records a second come: whether it stays quick and its memory flat.
 *
 *     npm run load -- PATH_OF_TIDELAKE [RECORDS_A_SECOND [SECONDS]]
 *
 * It prints, for the overview and for the log: tasks of the main thread over 50 ms, the delay of input at the 95th of a
 * hundred, and how the heap grew. Figures depend on the machine, so it only prints them, with the limits beside.
 */
import { launch, startTidelake } from './harness.mjs';

const [binary, rate = '10000', seconds = '60'] = process.argv.slice(2);
if (binary === undefined) {
  console.error('usage: load.mjs PATH_OF_TIDELAKE [RECORDS_A_SECOND [SECONDS]]');
  process.exit(2);
}

const server = await startTidelake(binary, { rate: Number(rate) });
const browser = await launch();
try {
  for (const path of ['', 'logs']) await look(path);
} finally {
  await browser.close();
  await server.end();
}

async function look(path) {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(server.url + path);
  await page.locator('[data-link="live"]').waitFor();
  // What is loaded once is no growth.
  await page.waitForTimeout(10_000);
  const session = await page.context().newCDPSession(page);
  const heap = async () => {
    await session.send('HeapProfiler.collectGarbage');
    return (await session.send('Runtime.getHeapUsage')).usedSize;
  };
  await page.evaluate(() => {
    globalThis.seen = { tasks: [], delays: [] };
    new PerformanceObserver(list => {
      for (const entry of list.getEntries()) globalThis.seen.tasks.push(entry.duration);
    }).observe({ type: 'longtask' });
    addEventListener(
      'keydown',
      event => globalThis.seen.delays.push(performance.now() - event.timeStamp),
      true,
    );
  });
  const before = await heap();
  const end = Date.now() + Number(seconds) * 1000;
  while (Date.now() < end) {
    await page.keyboard.press('Shift');
    await page.waitForTimeout(200);
  }
  const after = await heap();
  const { tasks, delays } = await page.evaluate(() => globalThis.seen);
  delays.sort((a, b) => a - b);
  const p95 = delays[Math.floor(delays.length * 0.95)] ?? Number.NaN;
  const metrics = await (await fetch(`${server.url}api/metrics`)).json();
  console.log(
    `${path || 'overview'}: ${metrics.eventsPerSec} records/s · ${tasks.length} tasks over 50 ms (0), longest ${Math.round(Math.max(0, ...tasks))} ms · input delay p95 ${p95.toFixed(1)} ms (< 100) · heap ${(before / 1e6).toFixed(1)} → ${(after / 1e6).toFixed(1)} MB (+15)`,
  );
  await page.close();
}
