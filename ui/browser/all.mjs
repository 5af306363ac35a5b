/**
 * Uses the page as a person would, in a real browser, against the real program on real input.
 *
 *     npm run browser -- PATH_OF_TIDELAKE [--jars DIR] [--one] [part…]
 *
 * DIR is what tests/kafka/fetch.sh prints; without it, the part that stops a real Kafka broker is left out, and said to be.
 * It starts a generator and a server on folders of their own and ends them. It prints each check, goes on after a part
 * that fails, tells those that did in the end, and exits with 1 if any did. The browser is the one named by CHROMIUM, else
 * /usr/bin/chromium.
 *
 * The parts are in parts/, a file for each page or theme, whose default export has them by name. A part takes a stage of
 * stage.mjs and opens its pages on it; it relies on no other part, and leaves the server running. Parts that only use
 * servers of their own say so, `part.isApart = true`; they play beside the others, unless --one is given, for a machine that
 * is busy with other things.
 */
import { readdir } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { makeTheatre } from './stage.mjs';

const { values, positionals } = parseArgs({
  options: { jars: { type: 'string' }, one: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const [binary, ...only] = positionals;
const parts = {};
for (const file of (await readdir(new URL('parts/', import.meta.url))).sort())
  Object.assign(parts, (await import(`./parts/${file}`)).default);

const unknown = only.filter(name => !(name in parts));
const lacking = only.filter(name => parts[name]?.needsJars && values.jars === undefined);
if (binary === undefined || unknown.length > 0 || lacking.length > 0) {
  console.error('usage: all.mjs PATH_OF_TIDELAKE [--jars DIR] [--one] [PART…]');
  if (unknown.length > 0) console.error(`no part is named ${unknown.join(' or ')}`);
  if (lacking.length > 0) console.error(`${lacking.join(' and ')} needs --jars`);
  console.error(`parts: ${Object.keys(parts).join(', ')}`);
  process.exit(2);
}

const failed = [];
const began = Date.now();
let theatre = null;
try {
  theatre = await makeTheatre(binary, values.jars);
  const chosen = Object.entries(parts).filter(([name]) => only.length === 0 || only.includes(name));
  const isApart = ([, part]) => part.isApart === true && !values.one;
  await Promise.all([playAll(chosen.filter(it => !isApart(it))), playAll(chosen.filter(isApart))]);
  theatre.checkOrigin();
} catch (error) {
  failed.push(error instanceof Error ? error.message : String(error));
} finally {
  await theatre?.end();
}
console.log(`all took ${seconds(began)} s`);
for (const it of failed) console.error(`FAILED ${it}`);
process.exit(failed.length > 0 ? 1 : 0);

/** One after the other. */
async function playAll(some) {
  for (const [name, part] of some) {
    if (part.needsJars && values.jars === undefined) {
      console.log(`-- ${name} is left out: no --jars`);
      continue;
    }
    console.log(`-- ${name}`);
    const start = Date.now();
    const error = await theatre.play(name, part);
    if (error !== null) failed.push(`${name}: ${error.message}`);
    console.log(`-- ${name} took ${seconds(start)} s`);
  }
}

function seconds(since) {
  return ((Date.now() - since) / 1000).toFixed(1);
}
