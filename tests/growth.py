#!/usr/bin/env python3
"""Changes the dataflow of a lake while the program is ended at every step of making the lake follow, and proves the lake.

    growth.py BINARY [--long]

Needs nothing but Python. Each case has a dataflow that differs from the one before (a column and views come, change, go), is ended by abort at a named
step (see `crash_point` in src/coordinator/commit.rs), and is started again in another shape until all input is read. Then
`tidelake verify` must prove the lake, and the new views must hold every record. A refused change must leave the lake as it was. At the end, records that
lacked a required field are replayed, one field at a time, with an end at a step each time; and then by pipelines that run, alone and as a cluster, and are asked
to restart in their place.
--long tries each step in more shapes. SEED repeats a run.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time

from pipeline import DATAFLOWS, Cluster, Pipeline, wait

# The last one is passed once per table that changes.
STEPS = [("filled", 1), ("parts", 1), ("state", 1), ("manifest", 1), ("table", 1), ("table", 2)]
EVENTS_PER_CASE = 3000
# Fields that are required at first; each case has one record that lacks it.
REQUIRED = ["method", "endpoint", "user_agent"]
REPLAY_STEPS = [("filled", 1), ("manifest", 1), ("table", 3)]
# The same for the restarts in place: workers and processes of each.
IN_PLACE = {"ip": (2, 1), "query_params": (1, 3)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    seed = int(os.environ.get("SEED", time.time()))
    random.seed(seed)
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        run(options, pathlib.Path(folder))


def run(options, root):
    dataflow, files, environment = root / "web_logs", root / "input", {"WATERMARK_DELAY_SECONDS": "30"}
    dataflow.mkdir()
    shapes = [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)]
    total = 0
    single = Pipeline(options.binary, dataflow, root, files, environment, commit_interval=0.5)
    several = Cluster(options.binary, dataflow, root, files, environment, commit_interval=0.5)
    cases = [(step, shape) for step in STEPS for shape in (shapes if options.long else [random.choice(shapes)])]

    def settled(text):
        """Starts in some shape, waits until everything is read, stops, and lets the lake be proved."""
        pipeline, shape = choose(random.choice(shapes))
        pipeline.start(*shape)
        pipeline.wait_value("SELECT requests FROM totals", total)
        pipeline.wait_value("SELECT count(*) FROM lake.logs", total)
        if "VIEW by_method" in text:
            pipeline.wait_value("SELECT sum(requests) FROM by_method", total)
            pipeline.wait_value("SELECT sum(requests) FROM lake.by_method", total)
        pipeline.stop()
        prove(options.binary, dataflow, files, root / "lake", environment)

    def choose(shape):
        workers, processes = shape
        return (single, (workers,)) if processes == 1 else (several, (workers, processes))

    with single, several:
        for number, ((step, times), shape) in enumerate(cases):
            text = variant(number)
            if number == 0:
                (dataflow / "dataflow.sql").write_text(variant(-1))
                total += generate(options.binary, files, 0)
                settled(variant(-1))
            (dataflow / "dataflow.sql").write_text(text)
            said = subprocess.run([options.binary, "check", str(dataflow), "--lake", str(root / "lake")], capture_output=True, text=True, check=True)
            assert "filled" in said.stdout, said.stdout
            total += generate(options.binary, files, number + 1)
            pipeline, arguments = choose(shape)
            crash(pipeline, arguments, step, times)
            settled(text)
            refuse(options.binary, single, dataflow, text)
        letters = len(cases) + 1
        for field, (step, times) in zip(REQUIRED, REPLAY_STEPS):
            loose = REQUIRED[: REQUIRED.index(field) + 1]
            text = variant(len(cases), loose)
            (dataflow / "dataflow.sql").write_text(text)
            command = [options.binary, "replay", "dead-letters", str(dataflow), "--lake", str(root / "lake"), "--reason", f'"{field}"']
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert f"{letters} of them decode now" in said, said
            total += letters
            pipeline, arguments = choose(random.choice(shapes))
            crash(pipeline, arguments, step, times)
            settled(text)
            assert not requests(single), "a request was done and is still there"
        loose = list(REQUIRED)
        for field, shape in IN_PLACE.items():
            pipeline, arguments = choose(shape)
            pipeline.start(*arguments)
            pipeline.wait_value("SELECT requests FROM totals", total)
            pids = workers_of(pipeline)
            loose.append(field)
            text = variant(len(cases), loose)
            (dataflow / "dataflow.sql").write_text(text)
            command = [options.binary, "replay", "dead-letters", str(dataflow), "--lake", str(root / "lake"), "--reason", f'"{field}"']
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert f"{letters} of them decode now" in said and "/api/v1/restart" in said, said
            asked = pipeline.post("/api/v1/restart", {})
            assert asked["process"] in pids, f"process {asked['process']} is none of {pids}"
            total += letters
            pipeline.wait_value("SELECT count(*) FROM lake.logs", total)
            pipeline.wait_value("SELECT requests FROM totals", total)
            assert workers_of(pipeline) == pids, f"{pids} became {workers_of(pipeline)}"
            assert not requests(pipeline), "a request was done and is still there"
            kept = pipeline.value("SELECT count(DISTINCT CAST(_partition AS TEXT) || '/' || CAST(_offset AS TEXT)) FROM lake.logs")
            assert kept == total, f"{total} rows of {kept} records"
            pipeline.stop()
            prove(options.binary, dataflow, files, root / "lake", environment)
    changes = f"{len(cases)} changes and {len(REQUIRED)} replays, each ended at a step and started again"
    print(f"ok: {total} records, {changes}, and {len(IN_PLACE)} replays by restarts in place: proven")


def variant(number, loose=()):
    """A dataflow that differs from the one before: views change form, one comes and goes, and after some cases a column is there for good."""
    text = (DATAFLOWS / "web_logs" / "dataflow.sql").read_text()
    for field in [*REQUIRED, *IN_PLACE]:
        if field not in loose:
            declared = f"  {field:<14} TEXT"
            assert declared in text, declared
            text = text.replace(declared, declared + " NOT NULL")
    if number < 2:
        text = text.replace("  request_size   BIGINT,\n", "").replace("request_size, ", "")
    if number % 3 != 2:
        text += f"""
CREATE MATERIALIZED VIEW by_method AS SELECT method, count(*) AS requests, count(DISTINCT ip) AS ips, {number} AS form FROM logs GROUP BY method;
CREATE MATERIALIZED VIEW method_windows AS
SELECT window_start, method, count(*) AS requests FROM TUMBLE(logs, timestamp, INTERVAL '{10 + 10 * (number % 2)}' SECOND) GROUP BY window_start, method;
CREATE MATERIALIZED VIEW busiest_windows AS SELECT window_start, method, requests FROM method_windows ORDER BY requests DESC, window_start LIMIT 5;
"""
    return text.replace("'60' SECOND", f"'{60 + number % 2}' SECOND")


def generate(binary, files, number):
    command = [binary, "gen", "--rate", "100", "--count", str(EVENTS_PER_CASE), "--seed", str(number), "--out", str(files)]
    # Newer and newer, so that windows of earlier cases are closed.
    subprocess.run([*command, "--start", f"2026-01-31T{12 + number // 60}:{number % 60:02d}:00Z"], check=True, stderr=subprocess.DEVNULL)
    with open(files / "events-0.jsonl", "r+") as file:
        whole = json.loads(file.readlines()[-1])
        for field in [*REQUIRED, *IN_PLACE]:
            file.write(json.dumps({name: it for name, it in whole.items() if name != field}) + "\n")
    return EVENTS_PER_CASE


def workers_of(pipeline):
    """Numbers of the processes that do the work."""
    return pipeline.pids() if isinstance(pipeline, Cluster) else [pipeline.process.pid]


def requests(pipeline):
    """Replays that wait in the lake."""
    return list((pipeline.lake / "_tidelake" / "web_logs" / "requests").iterdir())


def crash(pipeline, arguments, step, times):
    pipeline.start(*arguments, TIDELAKE_CRASH_AT=f"{step}:{times}")
    if isinstance(pipeline, Cluster):
        pipeline.crash(f"{step}:{times}")
        return
    wait(f"step {step}", lambda: pipeline.process.poll() is not None, 60)
    assert pipeline.process.returncode == -signal.SIGABRT, f"{step}: it ended with {pipeline.process.returncode}"
    pipeline.process = None


def refuse(binary, pipeline, dataflow, text):
    """A column of another type is refused in words, with its line, and nothing is written."""
    newest = lambda: max((pipeline.lake / "_tidelake" / "web_logs" / "manifests").iterdir())
    before = newest()
    (dataflow / "dataflow.sql").write_text(text.replace("bytes_sent     BIGINT", "bytes_sent     DOUBLE"))
    pipeline.start(1)
    wait("the refusal", lambda: pipeline.process.poll() is not None, 60)
    assert pipeline.process.returncode == 3, f"it ended with {pipeline.process.returncode}"
    pipeline.process = None
    assert "line 5: source web_logs: column bytes_sent was BIGINT and is now DOUBLE" in pipeline.log()[-3000:], pipeline.log()[-3000:]
    assert newest() == before, "a refused start has written something"
    (dataflow / "dataflow.sql").write_text(text)


def prove(binary, dataflow, files, lake, environment):
    proof = [binary, "verify", str(dataflow), "--input", str(files), "--lake", str(lake)]
    assert subprocess.run(proof, env={**os.environ, **environment}, stdout=subprocess.DEVNULL).returncode == 0, f"the proof failed: {proof}"


if __name__ == "__main__":
    main()
