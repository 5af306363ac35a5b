/**
 * Looks at a page while ten thousand records a second come: whether it stays quick and its memory flat.
 *
 *     npm run load -- PATH_OF_TIDELAKE [RECORDS_A_SECOND [SECONDS]]
 *
 * For the overview and for the log it tells: tasks of the main thread over 50 ms, the delay of input at the 95th of a hundred,
 * how the heap grew, and the memory of the server. It exits with 1 if a limit is broken.
 *
 * On a machine that does other things too a task takes long because it waits for a processor. Tasks are therefore measured by
 * the processor time they used; how many were long by the clock is told beside.
 */
import { launch, startTidelake } from './harness.mjs';

const [binary, rate = '10000', seconds = '60'] = process.argv.slice(2);
if (binary === undefined) {
  console.error('usage: load.mjs PATH_OF_TIDELAKE [RECORDS_A_SECOND [SECONDS]]');
  process.exit(2);
}

const TASK_MS_MAX = 50;
const INPUT_MS_MAX = 100;
const HEAP_MB_MAX = 15;
/** The generator's clock is not the server's. */
const RATE_SHARE_MIN = 0.8;

const server = await startTidelake(binary, { rate: Number(rate) });
const browser = await launch();
let broken = 0;
try {
  for (const path of ['', 'logs']) broken += await look(path);
} finally {
  await browser.close();
  await server.end();
}
process.exit(broken > 0 ? 1 : 0);

/** How many limits a page breaks. */
async function look(path) {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(server.url + path);
  await page.locator('[data-link="live"]').waitFor();
  // What is loaded once is no growth.
  await page.waitForTimeout(10_000);
  const session = await page.context().newCDPSession(page);
  const heap_MB = async () => {
    await session.send('HeapProfiler.collectGarbage');
    return (await session.send('Runtime.getHeapUsage')).usedSize / 1e6;
  };
  await page.evaluate(() => {
    globalThis.delays = [];
    addEventListener('keydown', event => globalThis.delays.push(performance.now() - event.timeStamp), true);
  });
  const [heapBefore, serverBefore] = [await heap_MB(), await server.memory_MB()];
  await browser.startTracing(page, { categories: ['toplevel'] });
  const end = Date.now() + Number(seconds) * 1000;
  while (Date.now() < end) {
    await page.keyboard.press('Shift');
    await page.waitForTimeout(200);
  }
  const tasks = tasksOf(JSON.parse((await browser.stopTracing()).toString()).traceEvents);
  const [heapAfter, serverAfter] = [await heap_MB(), await server.memory_MB()];
  const delays = (await page.evaluate(() => globalThis.delays)).sort((a, b) => a - b);
  const p95 = delays[Math.floor(delays.length * 0.95)] ?? Number.NaN;
  const { eventsPerSec, totalRequests } = await (await fetch(`${server.url}api/metrics`)).json();
  await page.close();

  const longest = of => tasks.reduce((most, task) => Math.max(most, task[of]), 0);
  const over = of => tasks.filter(task => task[of] > TASK_MS_MAX).length;
  console.log(
    `${path || 'overview'}: ${Math.round(eventsPerSec)} of ${rate} records/s, ${totalRequests} in all`,
  );
  const limits = [
    [`records come as fast as asked for`, eventsPerSec >= RATE_SHARE_MIN * Number(rate)],
    [
      `${over('cpu_ms')} of ${tasks.length} tasks used over ${TASK_MS_MAX} ms, the longest ${Math.round(longest('cpu_ms'))} ms (by the clock ${over('wall_ms')}, ${Math.round(longest('wall_ms'))} ms)`,
      over('cpu_ms') === 0 && tasks.length > 0,
    ],
    [`input delay p95 ${p95.toFixed(1)} ms (< ${INPUT_MS_MAX})`, p95 < INPUT_MS_MAX],
    [
      `heap ${heapBefore.toFixed(1)} → ${heapAfter.toFixed(1)} MB (< +${HEAP_MB_MAX})`,
      heapAfter - heapBefore < HEAP_MB_MAX,
    ],
  ];
  for (const [what, holds] of limits) console.log(`  ${holds ? 'ok    ' : 'BROKEN'} ${what}`);
  console.log(`         server ${serverBefore.toFixed(0)} → ${serverAfter.toFixed(0)} MB`);
  return limits.filter(([, holds]) => !holds).length;
}

/** Tasks of the page's main thread. A task within a task is a part of it. */
function tasksOf(events) {
  const names = events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain');
  const mains = new Set(names.map(({ pid, tid }) => `${pid}/${tid}`));
  const tasks = events
    .filter(({ ph, name, pid, tid }) => ph === 'X' && /RunTask$/.test(name) && mains.has(`${pid}/${tid}`))
    .sort((a, b) => a.ts - b.ts || b.dur - a.dur);
  const outer = [];
  const ends = new Map();
  for (const { pid, tid, ts, dur, tdur = 0 } of tasks) {
    const thread = `${pid}/${tid}`;
    if (ts < (ends.get(thread) ?? 0)) continue;
    ends.set(thread, ts + dur);
    outer.push({ wall_ms: dur / 1000, cpu_ms: tdur / 1000 });
  }
  return outer;
}
