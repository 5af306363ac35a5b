/**
 * What all checks with a real browser share: the browser, a Tidelake of their own with real input, and waiting for
 * something to hold instead of for time to pass.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { spawn } from 'node:child_process';
import { appendFile, chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const WITHIN_MS = 60_000;
const BROKER = join(ROOT, 'tests', 'kafka', 'broker.py');
/** Longer than the limits of broker.py itself. */
const BROKER_WITHIN_MS = 120_000;

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--enable-precise-memory-info'],
  });
}

/** Which part of a test is at work, where several are at once. */
const partNow = new AsyncLocalStorage();

/** Has all that is said by what a function starts said under a name. */
export function inPart(name, act) {
  return partNow.run(name, act);
}

export function say(text) {
  const name = partNow.getStore();
  console.log(name === undefined ? text : `${name.padEnd(PART_CHARACTERS)} ${text}`);
}
const PART_CHARACTERS = 14;

/** Wait until something holds, but not forever. */
export async function within(what, holds, within_ms = WITHIN_MS) {
  const deadline = Date.now() + within_ms;
  let last;
  for (;;) {
    try {
      if (await holds()) break;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline)
      throw new Error(`${what}, within ${within_ms / 1000} s${last ? `: ${last.message}` : ''}`);
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  say(`ok     ${what}`);
}

export function check(what, holds) {
  if (!holds) throw new Error(what);
  say(`ok     ${what}`);
}

export async function freePort() {
  const server = createServer();
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise(resolve => server.close(resolve));
  return port;
}

/**
 * Ends what was started when this process ends, however it does: done, failed, interrupted or killed.
 *
 * A shell waits for its input, which the system closes with this process, and then ends all that it was told of and not
 * told to forget. It has a process group of its own, so that Ctrl+C does not end it first.
 */
const GUARD = `
  trap '' HUP
  processes=' ' folders='' brokers=''
  while read -r word what; do
    case $word in
      process) processes="$processes$what " ;;
      ended) processes="\${processes%% $what *} \${processes#* $what }" ;;
      folder) folders="$folders
$what" ;;
      broker) brokers="$brokers
$what" ;;
    esac
  done
  for it in $processes; do kill -9 "$it"; done
  echo "$brokers" | while read -r it; do [ -d "$it" ] && python3 "$0" stop --kill --dir "$it"; done
  echo "$folders" | while read -r it; do [ -n "$it" ] && rm -rf -- "$it"; done
`;
let guard = null;

function tellGuard(line) {
  if (guard === null) {
    guard = spawn('/bin/sh', ['-c', GUARD, BROKER], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    guard.stdin.on('error', () => {});
    guard.stdin.unref();
    guard.unref();
  }
  guard.stdin.write(`${line}\n`);
}

/** Start a process that does not outlive this one. */
export function spawnGuarded(...command) {
  const child = spawn(...command);
  if (child.pid !== undefined) {
    tellGuard(`process ${child.pid}`);
    child.once('exit', () => tellGuard(`ended ${child.pid}`));
  }
  return child;
}

/** A real Kafka broker on a folder of its own. It stops and starts again on the same data and port, and has one topic. */
export async function startBroker(jars, topic) {
  const folder = await mkdtemp(join(tmpdir(), 'tidelake-broker-'));
  tellGuard(`folder ${folder}`);
  tellGuard(`broker ${folder}`);
  const broker = (...words) => output('python3', [BROKER, ...words, '--dir', folder]);
  const it = {
    bootstrap: '',
    async start() {
      it.bootstrap = (await broker('start', '--jars', jars)).trim();
    },
    stop: () => broker('stop'),
    async end() {
      await broker('stop', '--kill');
      await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
    },
  };
  try {
    await it.start();
    await broker('topic', '--jars', jars, '--create', topic, '--partitions', '2');
  } catch (error) {
    await it.end();
    throw error;
  }
  return it;
}

/** What a command prints; an error with what it complains of if it fails or takes too long. */
async function output(command, words) {
  const child = spawnGuarded(command, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), BROKER_WITHIN_MS);
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'])
    child[name].on('data', data => {
      texts[name] += data;
    });
  const gone = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  const code = await gone.finally(() => clearTimeout(timer));
  if (code !== 0) throw new Error(`${command} ${words.join(' ')}: ${texts.stderr}`);
  return texts.stdout;
}

/**
 * A Tidelake on a folder of its own: a generator writes records, or they are given as text; the server reads them. With
 * a topic of a Kafka broker they go through that. It is there once `path` answers.
 */
export async function startTidelake(
  binary,
  {
    rate = 50,
    history = 0,
    dataflow = 'web_logs',
    text = null,
    file = 'given.log',
    kafka = null,
    path = 'readyz',
  } = {},
) {
  const folder = await mkdtemp(join(tmpdir(), 'tidelake-browser-'));
  tellGuard(`folder ${folder}`);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  const input = join(folder, 'input');
  const lake = join(folder, 'lake');
  if (history > 0) {
    const start = new Date(Date.now() - history * 1000).toISOString();
    await finished(
      spawnGuarded(binary, [
        'gen',
        '--rate',
        '10',
        // Spikes use up a count sooner; the duration ends the history where the present begins, and a count that is
        // not reached has it written at once.
        '--count',
        String(history * 1_000),
        '--duration',
        String(history),
        '--start',
        start,
        '--out',
        input,
      ]),
    );
  }
  let generator = null;
  if (text === null) {
    const to = kafka === null ? ['--out', input] : ['--brokers', kafka.brokers, '--topic', kafka.topic];
    generator = spawnGuarded(binary, ['gen', '--rate', String(rate), ...to], { stdio: 'ignore' });
  } else {
    await mkdir(input);
    await writeFile(join(input, file), text);
  }
  let server = null;
  const log = [];
  const it = {
    url,
    folder,
    lake,
    log: () => log.join(''),
    /** Adds to the records that were given as text. */
    append: more => appendFile(join(input, file), more),
    /** Starts the server if it is not running. */
    async start() {
      if (server !== null) return;
      server = spawnGuarded(
        binary,
        [
          'run',
          join(ROOT, 'dataflows', dataflow),
          ...(kafka === null ? ['--input', input] : []),
          '--lake',
          lake,
          '--listen',
          `127.0.0.1:${port}`,
          '--commit-interval',
          '3',
        ],
        {
          stdio: ['ignore', 'ignore', 'pipe'],
          env: {
            ...process.env,
            TIDELAKE_SAVED_QUERIES: join(folder, 'queries'),
            ...(kafka === null ? {} : { KAFKA_BROKERS: kafka.brokers, KAFKA_TOPIC: kafka.topic }),
          },
        },
      );
      server.stderr.on('data', data => log.push(String(data)));
      await answering(url + path);
    },
    /** Memory of the server that is not shared, where the system tells it. */
    async memory_MB() {
      const status = await readFile(`/proc/${server?.pid}/status`, 'utf8').catch(() => '');
      return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1000;
    },
    async stop(signal = 'SIGTERM') {
      if (server === null) return;
      const gone = finished(server);
      server.kill(signal);
      await gone;
      server = null;
    },
    async end() {
      generator?.kill('SIGKILL');
      await it.stop('SIGKILL');
      await chmod(lake, 0o755).catch(() => {});
      await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
    },
  };
  try {
    await it.start();
  } catch (error) {
    await it.end();
    throw new Error(`${error.message}: ${it.log()}`);
  }
  return it;
}

async function answering(url) {
  const deadline = Date.now() + WITHIN_MS;
  for (;;) {
    const ready = await fetch(url).catch(() => null);
    if (ready?.ok) return;
    if (Date.now() > deadline) throw new Error('the server does not become ready');
    await new Promise(resolve => setTimeout(resolve, 100));
  }
}

function finished(child) {
  return new Promise(resolve => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('exit', resolve);
  });
}
