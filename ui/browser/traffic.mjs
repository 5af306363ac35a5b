/**
 * Steady traffic of a shop's web server, made record by record, whose faults a check begins and ends: what is true of it
 * is known, so what the page says of it can be judged.
 */
const ENDPOINTS = ['/api/users', '/api/orders', '/api/products', '/home', '/search'];
const AGENTS = ['Mozilla/5.0 (X11)', 'Mozilla/5.0 (Mac)', 'Mozilla/5.0 (iPhone)', 'curl/8.4.0'];
/** Of a hundred requests so many are of the last agent. */
const CURL_OF_100 = 13;
const FEED_EVERY_MS = 250;

/** Numbers as by chance, the same every time. */
function below(seed) {
  let state = seed;
  return end => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % end;
  };
}

function recordAt(ms, random) {
  const chance = random(100);
  return {
    timestamp: new Date(ms).toISOString(),
    ip: `198.51.100.${random(200)}`,
    method: 'GET',
    endpoint: ENDPOINTS[random(ENDPOINTS.length)],
    status_code: chance < 1 ? 500 : chance < 4 ? 404 : 200,
    response_time: 100 + random(200),
    user_agent: random(100) < CURL_OF_100 ? AGENTS.at(-1) : AGENTS[random(AGENTS.length - 1)],
    session_id: `session_${random(50)}`,
    bytes_sent: 1_000 + random(1_000),
  };
}

const lines = records => records.map(it => `${JSON.stringify(it)}\n`).join('');

/**
 * When the minute began that is now. What starts with a minute has the same records in each of its windows whenever it is
 * made, so that what chance alone makes of them, which a detector may tell of, is the same too.
 */
export function minuteBegan() {
  return Math.floor(Date.now() / 60_000) * 60_000;
}

/** Records of so many minutes up to a moment, as text, evenly spread. `fault` changes each, by its time. */
export function history({ per_second, minutes, until = minuteBegan(), fault = it => it }) {
  const random = below(7);
  const count = minutes * 60 * per_second;
  const records = Array.from({ length: count }, (_, at) => {
    const ms = until - ((count - at) * 1_000) / per_second;
    return fault(recordAt(ms, random), random, ms);
  });
  return lines(records);
}

/**
 * Goes on with it by the clock, until it is ended. A fault is a function that changes a record, or leaves it out with
 * `null`; one at a time.
 */
export function feed(server, { per_second, since }) {
  const random = below(11);
  let next_ms = since;
  let fault = it => it;
  let writing = Promise.resolve();
  const timer = setInterval(() => {
    const records = [];
    for (; next_ms <= Date.now(); next_ms += 1_000 / per_second) {
      const record = fault(recordAt(next_ms, random), random);
      if (record !== null) records.push(record);
    }
    if (records.length > 0) writing = writing.then(() => server.append(lines(records))).catch(() => {});
  }, FEED_EVERY_MS);
  return {
    begin(next) {
      fault = next;
    },
    stop() {
      fault = it => it;
    },
    async end() {
      clearInterval(timer);
      await writing;
    },
  };
}

/** Faults of a whole server or of a part of it. */
export const FAULTS = {
  ordersFail: (it, random) =>
    it.endpoint === '/api/orders' && random(100) < 60
      ? { ...it, status_code: 503, response_time: 2_800 + random(400) }
      : it,
  curlFails: (it, random) =>
    it.user_agent.startsWith('curl') ? { ...it, status_code: 500, response_time: 1_500 + random(200) } : it,
  slow: it => ({ ...it, response_time: it.response_time * 2.8 }),
  few: (it, random) => (random(100) < 91 ? null : it),
  silence: () => null,
};
