/**
 * Nothing that a check starts outlives it, even if it is killed.
 *
 * @vitest-environment node
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const HARNESS = join(import.meta.dirname, 'harness.mjs');

/** Starts two processes, the first of which ends, and says their numbers. */
const CHECK = `
  import { spawnGuarded } from ${JSON.stringify(HARNESS)};
  const first = spawnGuarded('sleep', ['0']);
  const second = spawnGuarded('sleep', ['300']);
  first.once('exit', () => {
    console.log(second.pid);
    if (process.argv[1] === 'fails') throw new Error('as it should');
    if (process.argv[1] === 'ends') process.exit(0);
  });
`;

it.each(['SIGKILL', 'SIGINT', 'SIGTERM', 'fails', 'ends'])(
  'ends what it started: %s',
  { timeout: 60_000 },
  async how => {
    const check = spawn(process.execPath, ['--input-type=module', '-e', CHECK, how], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const gone = new Promise(resolve => check.once('exit', resolve));
    const pid = await new Promise(resolve => check.stdout.once('data', data => resolve(Number(data))));
    expect(pid).toBeGreaterThan(1);
    if (how.startsWith('SIG')) check.kill(how);
    await gone;
    const deadline = Date.now() + 30_000;
    while (isRunning(pid) && Date.now() < deadline) await new Promise(resolve => setTimeout(resolve, 20));
    expect(isRunning(pid)).toBe(false);
  },
);

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    // A process that ended stays in the list until its parent has looked.
    return !existsSync('/proc/self/stat') || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
