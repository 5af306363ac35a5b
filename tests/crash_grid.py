#!/usr/bin/env python3
"""Ends the program at every step of the commit protocol, with every shape of cluster, and recounts.

    crash_grid.py BINARY [--long] [--s3]

Run it with the Python that tests/readers/setup.sh makes. All cases work on one lake, one after the other, each with more
input than the one before: the process is ended (by abort, at the n-th time it passes a named step, see `crash_point` in
src/coordinator/commit.rs), and the next case starts where that left the lake. Then a second instance is started
while the first one runs: it is refused, and takes the lake over when it is told to; the first must stop by itself then, and say why. At the end views and lake must equal DuckDB's recount.
--long tries each step at more moments and in more shapes. With --s3 the lake is a bucket whose server refuses, delays or
loses some of its answers. SEED repeats a run.
"""

import argparse
import contextlib
import itertools
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time

import recount
from object_store import Bucket
from pipeline import DATAFLOWS, Cluster, Pipeline, wait

STEPS = ["claim", "rolled", "parts", "state", "manifest", "table", "tables", "after"]
EVENTS_PER_CASE = 1500
# Share of requests to the object store that go wrong.
FAULTS = 0.03


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--s3", action="store_true")
    options = parser.parse_args()
    seed = int(os.environ.get("SEED", time.time()))
    random.seed(seed)
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        bucket = stack.enter_context(Bucket(faults=FAULTS, seed=seed)) if options.s3 else None
        run(options, pathlib.Path(folder), bucket)


def cases(long):
    """Step, how often it is passed before the end, workers, processes."""
    for step in STEPS:
        once = step in ("claim", "rolled")
        times = [1] if once else [1, 3] if step != "table" else [1, 4, 9]
        if long:
            times = [1] if once else [1, 2, 3, 5, 8, 13]
        shapes = list(itertools.product([1, 2, 4], [1, 2, 3])) if long else [(1, 1), (2, 1), (4, 1), (1, 3)]
        for number in times:
            for workers, processes in shapes if long else [random.choice(shapes)]:
                yield step, number, workers, processes


def run(options, root, bucket):
    files = root / "input"
    environment = {"WATERMARK_DELAY_SECONDS": "7200", **(bucket.environment if bucket else {})}
    count = 0
    single = Pipeline(options.binary, DATAFLOWS / "web_logs", root, files, environment, commit_interval=0.5)
    several = Cluster(options.binary, DATAFLOWS / "web_logs", root, files, environment, commit_interval=0.5)
    if bucket:
        single.lake = several.lake = bucket.uri
    with single, several:
        for step, number, workers, processes in cases(options.long):
            generate(options.binary, files, count)
            crash(single if processes == 1 else several, step, number, workers, processes)
            count += 1
        generate(options.binary, files, count)
        fence(options.binary, single, root)
        single.start(workers=2)
        if bucket:
            outage(options.binary, single, bucket)
        lines = root / "lines.jsonl"
        total = recount.lines_of_files(files, lines)
        single.wait_value("SELECT requests FROM totals", total)
        recount.check_live(single, lines)
        single.stop()
    if bucket:
        assert all(bucket.faults.counts.values()), f"some kind of fault did not happen: {bucket.faults.counts}"
        print(f"requests that went wrong: {bucket.faults.counts}")
        bucket.download(root / "lake")
    facts = recount.check_lake(root / "lake", lines, readers=False)
    print(f"ok: {total} records, {count} crashes, {facts}: everything once")


def generate(binary, files, number):
    command = [binary, "gen", "--rate", "1000", "--count", str(EVENTS_PER_CASE), "--seed", str(number), "--out", str(files)]
    # Newer and newer, so that every commit has something to do.
    subprocess.run([*command, "--start", f"2026-01-31T12:{number % 60:02d}:00Z"], check=True, stderr=subprocess.DEVNULL)


def crash(pipeline, step, number, workers, processes):
    """Runs until the step is passed so often. More input comes while it runs, so that there are commits enough."""
    settings = {"TIDELAKE_CRASH_AT": f"{step}:{number}"}
    feeding = itertools.count(1001)

    def feed():
        generate(pipeline.binary, pipeline.source, next(feeding))
        time.sleep(0.2)

    if processes != 1:
        pipeline.start(workers, processes, **settings)
        pipeline.crash(f"{step}:{number}", feed=feed)
        return
    pipeline.start(workers, **settings)
    wait(f"step {step}:{number}", lambda: feed() or pipeline.process.poll() is not None, 180)
    assert pipeline.process.returncode == -signal.SIGABRT, f"{step}: it ended with {pipeline.process.returncode}"
    pipeline.process = None


def fence(binary, first, root):
    """A second instance on the same lake: it is refused, unless told to take over; then the first one stops at its next commit and says so."""
    first.start(workers=1)
    wait("the first instance serves", lambda: first.get("/readyz"))
    second = Pipeline(binary, DATAFLOWS / "web_logs", root / "second", first.source, first.environment, commit_interval=0.5)
    second.lake = first.lake
    with second:
        second.start(workers=1)
        wait("the second instance ends", lambda: second.process.poll() is not None)
        assert second.process.returncode == 4, f"it ended with {second.process.returncode}"
        assert "--take-over" in second.log(), "it does not say what one can do"
        second.process = None
        assert first.process.poll() is None and first.get("/readyz"), "the first instance was disturbed"
        second.start(workers=1, arguments=["--take-over"])
        wait("the second instance serves", lambda: second.get("/readyz"))
        for number in itertools.count():
            if first.process.poll() is not None:
                break
            assert number < 100, "the first instance goes on although its lake was taken over"
            generate(binary, first.source, 2000 + number)
            time.sleep(0.2)
        assert first.process.returncode == 1, f"it ended with {first.process.returncode}"
        assert "has taken over this lake" in first.log(), "it does not say why it stopped"
        first.process = None
        second.stop()


def outage(binary, pipeline, bucket):
    """The object store refuses everything for a while: the health says so soon, and then everything goes on."""
    lake = lambda: next(it for it in pipeline.get("/api/v1/status")["components"] if it["name"] == "lake")
    wait("the lake is well", lambda: lake()["status"] == "ok")
    share, bucket.faults.share, bucket.faults.only = bucket.faults.share, 1.0, "refused"
    began = time.monotonic()
    generate(binary, pipeline.source, 3000)
    wait("the health says that the lake does not answer", lambda: lake()["status"] == "down", 30)
    print(f"an object store that refuses everything is told of after {time.monotonic() - began:.1f} s: {lake()['detail']}")
    bucket.faults.share, bucket.faults.only = share, None
    wait("the lake is well again", lambda: lake()["status"] == "ok", 60)


if __name__ == "__main__":
    main()
