/** What the strip of Overview says of faults: what and since when, steadily enough to be read, and that they are over. */
import { check, within } from '../harness.mjs';
import { FAULTS, feed, history, minuteBegan } from '../traffic.mjs';

export default { faultsTold, backlogTold, overTold };
faultsTold.isApart = true;
backlogTold.isApart = true;
overTold.isApart = true;

const PER_SECOND = 20;
const MINUTES = 75;
/** What is said is listened to for so long after it was said first: twice the time in which words may change. */
const HEARD_MS = 12_000;
/** Before a fault begins, all is read, and nothing was wrong for so long. */
const CALM_MS = 4_000;
const UNREAD_BYTES = 100_000;
/** The words of one thing change no more often, so that they can be read aloud. */
const WORDS_EVERY_MS = 5_000;
/** A moment more or less, on a machine that does other things too. */
const TOLERANCE_MS = 1_500;

/**
 * How soon it is said. Of 20 records a second, 2.4 of which fail instead of 0.8, it takes 3 to 9 s until chance does not
 * explain them (`evidenceOf`), and two more until a record is read, counted and looked at. Traffic that is missing is known
 * after four of the ten seconds of its rate. The rest is for machines that do other things too.
 */
const TOLD_WITHIN_MS = 30_000;
/** What must be said of each fault. */
const EXPECTED = {
  ordersFail: { says: /^Error rate of \/api\/orders is/ },
  curlFails: { says: /error rate is|error share above|latency/i },
  slow: { says: /latency|slow resp|p95/i },
  few: { says: /traffic|records/i },
  silence: { says: /records|traffic|silent/i },
};
const CALM = /^No active incidents/;

/** Two at a time, which is what a small machine can do. */
async function faultsTold(stage) {
  const names = Object.keys(EXPECTED);
  const lane = async () => {
    for (let name = names.shift(); name !== undefined; name = names.shift()) await told(stage, name);
  };
  await Promise.all([lane(), lane()]);
}

/** All that the strip says from now on, each with its time: the first thing alone, without lists and buttons. */
async function listen(page, strip, heard) {
  await page.exposeFunction('stripSays', said => heard.push(said));
  await strip.evaluate(it => {
    let before = '';
    const look = () => {
      const copy = it.cloneNode(true);
      for (const other of copy.querySelectorAll('ul, button')) other.remove();
      const title = copy.querySelector('b')?.textContent ?? '';
      const text = [...copy.children]
        .map(part => part.textContent.trim())
        .join(' ')
        .trim();
      if (text !== before) globalThis.stripSays({ title, text, at: Date.now() });
      before = text;
    };
    new MutationObserver(look).observe(it, { subtree: true, childList: true, characterData: true });
    look();
  });
}

/** Begins a fault in calm traffic and judges all that is said of it. */
async function told({ tidelake, apart }, name) {
  const { says } = EXPECTED[name];
  const since = minuteBegan();
  const text = history({ per_second: PER_SECOND, minutes: MINUTES, until: since });
  const server = await tidelake({ text, file: 'given.jsonl' });
  const traffic = feed(server, { per_second: PER_SECOND, since });
  const page = await apart({ viewport: { width: 1024, height: 400 } });
  const heard = [];
  let began = Date.now();
  try {
    await page.goto(server.url);
    const strip = page.getByLabel('Current status');
    const title = () => strip.locator('b').first().textContent({ timeout: 1_000 });
    let calm_since = Number.POSITIVE_INFINITY;
    const isCalm = async () => {
      const said = await title();
      const isNow = (await unread(server)) < UNREAD_BYTES && CALM.test(said);
      calm_since = isNow ? Math.min(calm_since, Date.now()) : Number.POSITIVE_INFINITY;
      if (!isNow) throw new Error(`the strip says: ${said}`);
      return Date.now() - calm_since > CALM_MS;
    };
    await within(`${name}: nothing is wrong before`, isCalm, 120_000);
    await listen(page, strip, heard);
    began = Date.now();
    traffic.begin(FAULTS[name]);
    const first = () => heard.find(it => it.at >= began && says.test(it.title));
    await within(`${name}: is told`, () => first() !== undefined, TOLD_WITHIN_MS);
    check(`${name}: after ${((first().at - began) / 1000).toFixed(1)} s: ${first().text}`, true);
    await page.waitForTimeout(HEARD_MS);
    const all = heard.filter(it => it.at >= began && !CALM.test(it.title));
    for (const [thing, words] of grouped(all, thingOf)) {
      const begins = new Set(words.map(it => /since ([\d: -]+\d)/.exec(it.text)?.[1]));
      check(`${name}: the begin of "${thing}" stays: ${[...begins].join(', ')}`, begins.size === 1);
      const hasty = words.filter(
        (it, at) => at > 0 && it.at - words[at - 1].at < WORDS_EVERY_MS - TOLERANCE_MS,
      );
      check(`${name}: it can be read aloud`, hasty.length === 0);
    }
    const { incidents } = await (await fetch(`${server.url}api/v1/incidents`)).json();
    const series = grouped(incidents, it => JSON.stringify([it.detector, it.key, it.metric]));
    check(
      `${name}: no series has two incidents`,
      [...series.values()].every(it => it.length === 1),
    );
  } catch (error) {
    const words = heard.map(it => `\n  ${((it.at - began) / 1000).toFixed(1)} s: ${it.text}`).join('');
    throw new Error(`${error.message}${words}`);
  } finally {
    await traffic.end();
    await page.close();
    await server.end();
  }
}

/** Which thing it is about, whatever its figures are now. */
function thingOf({ title }) {
  return title.replace(/\d[\d\s.,–]*/gu, '# ').trim();
}

function grouped(all, keyOf) {
  const groups = new Map();
  for (const it of all) groups.set(keyOf(it), [...(groups.get(keyOf(it)) ?? []), it]);
  return groups;
}

/** Bytes of records that are there and not read. */
async function unread({ url }) {
  const { sources } = await (await fetch(`${url}api/v1/status`)).json();
  return sources
    .flatMap(it => it.partitions)
    .reduce((sum, it) => sum + (it.lag ?? Number.POSITIVE_INFINITY), 0);
}

/** Whoever comes while a day of records is still being read is not told that nothing is wrong. */
async function backlogTold({ tidelake, apart }) {
  const since = minuteBegan();
  const text = history({ per_second: 4, minutes: 26 * 60, until: since });
  const server = await tidelake({ text, file: 'given.jsonl', path: 'healthz' });
  // Traffic that ceases would be told of.
  const traffic = feed(server, { per_second: 4, since });
  const page = await apart();
  await page.goto(server.url);
  const title = () => page.getByLabel('Current status').locator('b').first().textContent({ timeout: 1_000 });
  const said = new Set();
  await within(
    'a day of records is read',
    async () => {
      const now = await title();
      const rest = await unread(server);
      if (rest > UNREAD_BYTES) said.add(now);
      return rest < UNREAD_BYTES;
    },
    120_000,
  );
  // On a quick machine it is read before anybody could look; the units of the strip hold what is said meanwhile.
  check(
    said.size === 0
      ? 'it was read before the page could say anything'
      : `until then nothing was called well: ${[...said].join(' | ')}`,
    ![...said].some(it => CALM.test(it)),
  );
  await within('and then it is', async () => CALM.test(await title()), 90_000);
  await traffic.end();
}

/** Whoever comes after a fault is told that it is over, and of when it was. */
async function overTold({ tidelake, apart }) {
  const until = minuteBegan();
  const [from, to] = [until - 25 * 60_000, until - 20 * 60_000];
  const text = history({
    per_second: 12,
    minutes: 100,
    until,
    fault: (it, random, ms) => (ms < from || to <= ms ? it : FAULTS.ordersFail(it, random)),
  });
  const server = await tidelake({ text, file: 'given.jsonl' });
  // Traffic that ceases would be told of instead.
  const traffic = feed(server, { per_second: 12, since: until });
  const page = await apart();
  await page.goto(`${server.url}?range=6h`);
  const strip = page.getByLabel('Current status');
  let said = '';
  await within('a fault that is over is told as such', async () => {
    said = await strip.textContent({ timeout: 1_000 });
    return CALM.test(said) && /last: /.test(said);
  }).catch(error => {
    throw new Error(`${error.message}; it says ${said}`);
  });
  await page.goto(`${server.url}anomalies?range=6h`);
  const rows = page.locator('[data-incident]').filter({ hasText: /error.share of \/api\/orders/ });
  await within('it is one incident', async () => (await rows.count()) === 1);
  const clock = new Date(from).toISOString().slice(11, 16);
  check('which began when it did', (await rows.first().textContent()).includes(clock));
  check('is closed', (await rows.first().getAttribute('data-state')) === 'closed');
  check('and lasted as long as it did', /5 min/.test(await rows.first().textContent()));
  await traffic.end();
}
