/**
 * What the parts of the browser test share: one Tidelake with an hour and a half of history, a browser, and for each part
 * a context of its own whose console and requests are watched.
 *
 * What a part starts through the stage is ended after it, also if it fails, and only after its picture is taken.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { check, inPart, launch, say, startBroker, startTidelake, within } from './harness.mjs';

/** Pages by address, with what is there once a page has its data. */
export const PAGES = {
  '': '[data-tile="events"] .tile-value',
  logs: '[data-record]',
  query: '[data-run="done"]',
  boards: 'nav[aria-label="Boards"]',
  anomalies: 'section[aria-label="Incidents"]:is([data-state="live"],[data-state="empty"])',
  'anomalies?tab=rules': 'section[aria-label="Rule matches in anomalies"] tbody tr',
  pipeline: '[data-node]',
  'pipeline?tab=lake': '[data-lake-table]',
  reports: '[data-report]',
};

const SCREEN = { viewport: { width: 1440, height: 900 }, colorScheme: 'dark' };

/** Where all parts play. `jars` is the folder of a Kafka broker's, undefined if there is none. */
export async function makeTheatre(binary, jars) {
  const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  const browser = await launch();
  const server = await startTidelake(binary, { rate: 60, history: 5_400 });
  const foreign = [];
  return {
    /**
     * Plays one part on a stage of its own.
     *
     * @returns what went wrong, null if nothing did
     */
    play: (name, part) => inPart(name, () => play(name, part)),
    checkOrigin() {
      check(`no request left the origin${foreign.map(url => `: ${url}`).join('')}`, foreign.length === 0);
    },
    async end() {
      await browser.close();
      await server.end();
    },
  };

  async function play(name, part) {
    const complaints = [];
    const endings = [];
    const contexts = [];
    const context = await browser.newContext({ ...SCREEN, acceptDownloads: true });
    contexts.push(context);
    watch(context, complaints);
    let error = null;
    try {
      await part(stageOf({ context, contexts, complaints, endings }));
    } catch (failure) {
      error = failure instanceof Error ? failure : new Error(String(failure));
      say(`FAILED ${error.message}`);
      await tellAbout(name, contexts, complaints).catch(() => {});
    }
    for (const ending of endings.reverse())
      await ending().catch(failure => {
        error ??= failure;
      });
    for (const it of contexts) await it.close();
    // A part that failed may have left the server that all share stopped.
    if (error !== null && !part.isApart) await server.start();
    return error;
  }

  function watch(context, complaints) {
    context.setDefaultTimeout(30_000);
    context.on('page', page => {
      page.on(
        'console',
        message =>
          message.type() === 'error' &&
          complaints.push(`${page.url()}: ${message.text()} ${message.location().url}`),
      );
      page.on('pageerror', error => complaints.push(`${page.url()}: ${error.message}`));
    });
    context.on('request', request => {
      const url = request.url();
      if (!url.startsWith(server.url) && !url.startsWith('blob:') && !url.startsWith('data:'))
        foreign.push(url);
    });
  }

  function stageOf({ context, contexts, complaints, endings }) {
    /** Has something done after the part, however it ends; what was given last is done first. */
    const afterwards = ending => endings.push(ending);
    return {
      server,
      afterwards,

      /** A new page of the server that all parts share, once it is live. */
      async open(path) {
        const page = await context.newPage();
        await page.goto(server.url + path);
        await within(`${path || 'overview'} is live`, () => page.locator('[data-link="live"]').isVisible());
        return page;
      },

      /** A new page in a context of its own: of another size, or of another server. Its console is not watched. */
      async apart(options = {}) {
        const own = await browser.newContext({ ...SCREEN, ...options });
        contexts.push(own);
        return own.newPage();
      },

      /** Another Tidelake, see `startTidelake`. */
      async tidelake(options) {
        const other = await startTidelake(binary, options);
        afterwards(() => other.end());
        return other;
      },

      /** A real Kafka broker with one topic. */
      async broker(topic) {
        const broker = await startBroker(jars, topic);
        afterwards(() => broker.end());
        return broker;
      },

      /** Nothing but what a part brings about itself may be complained of in the console, whenever it comes. */
      checkQuiet(expected = /^$/) {
        const others = complaints.splice(0).filter(text => !expected.test(text));
        check(`the console has no errors${others.map(text => `\n  ${text}`).join('')}`, others.length === 0);
      },

      /** Nobody is shut out: axe finds nothing wrong with a page, in dark or light. */
      async checkAccessible(what, page, theme) {
        // A colour that is still fading is not one of ours.
        await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run());
        const told = violations.map(
          ({ id, nodes }) =>
            `\n  ${id}: ${nodes
              .slice(0, 3)
              .map(node => `${node.html.slice(0, 160)} ${node.failureSummary?.split('\n')[1] ?? ''}`)
              .join('\n    ')}`,
        );
        check(`${what} is accessible in ${theme}${told.join('')}`, violations.length === 0);
      },
    };
  }

  /** What one would look at first: a picture, where the page is, how its panels are, and what the server said. */
  async function tellAbout(name, contexts, complaints) {
    const page = contexts.flatMap(it => it.pages()).at(-1);
    if (page !== undefined) {
      const picture = `browser-failed-${name}.png`;
      say(`at ${page.url()}, picture in ${picture}`);
      await page.screenshot({ path: picture }).catch(() => {});
      const panels = await page
        .locator('section[data-state]')
        .evaluateAll(all => all.map(it => `${it.getAttribute('aria-label')}: ${it.dataset.state}`));
      say([...panels, ...complaints].map(line => `  ${line}`).join('\n'));
    }
    say(server.log().split('\n').slice(-8).join('\n'));
  }
}

/** Waits until a page shows data, in all its panels. */
export function filled(page, path, ready = PAGES[path]) {
  return within(
    `${path || 'overview'} has its data`,
    async () =>
      (await page.locator(ready).count()) > 0 &&
      (await page.locator('section[data-state="loading"]').count()) === 0,
  );
}

/** Draw with the mouse from one place of an element to another, both as shares of its size. */
export async function drag(page, element, from, to) {
  await element.hover();
  const { x, y, width, height } = await element.boundingBox();
  await page.mouse.move(x + width * from[0], y + height * from[1]);
  await page.mouse.down();
  await page.mouse.move(x + width * to[0], y + height * to[1], { steps: 5 });
  await page.mouse.up();
}
