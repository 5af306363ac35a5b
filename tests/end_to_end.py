#!/usr/bin/env python3
"""Runs the binary on generated files, kills it at random moments, and compares lake and views with a recount.

    end_to_end.py BINARY [--kills N] [--events N]

Run it with the Python that tests/readers/setup.sh makes. The recount is DuckDB's, over the input lines
themselves; the lake is read by a replay of the Delta log that shares no code with the engine. Records are
generated in two parts, the second one in the middle of the kills. SEED repeats a run.
"""

import argparse
import os
import pathlib
import random
import subprocess
import tempfile
import time

import recount
from pipeline import DATAFLOWS, Pipeline


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--events", type=int, default=300_000)
    options = parser.parse_args()
    seed = int(os.environ.get("SEED", time.time()))
    random.seed(seed)
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        run(options, pathlib.Path(folder))


def run(options, root):
    files = root / "input"
    half = options.events // 2
    generate = [options.binary, "gen", "--rate", "2000", "--out", str(files), "--start", "2026-01-31T12:00:00Z"]
    subprocess.run([*generate, "--count", str(half), "--seed", "1"], check=True)
    with open(files / "events-0.jsonl", "a") as it:
        it.write('not json\n{"timestamp": "yesterday"}\n\n')
    # The second part has the times of the first again: the delay keeps it from being late.
    environment = {"WATERMARK_DELAY_SECONDS": "3600"}
    with Pipeline(options.binary, DATAFLOWS / "web_logs", root, files, environment) as pipeline:
        for kill in range(options.kills):
            pipeline.start(random.choice([1, 2, 3]))
            time.sleep(random.uniform(0.05, 2.5))
            pipeline.kill()
            if kill == options.kills // 2:
                subprocess.run([*generate, "--count", str(options.events - half), "--seed", "2"], check=True)
        pipeline.start()
        lines = root / "lines.jsonl"
        total = recount.lines_of_files(files, lines)
        assert total == options.events, f"{total} lines were generated"
        pipeline.wait_value("SELECT requests FROM totals", total)
        recount.check_live(pipeline, lines)
        assert pipeline.value("SELECT count(*) FROM lake.dead_letters") == 3
        batch = "SELECT endpoint, approx_percentile_cont(response_time, 0.95) AS p FROM lake.logs GROUP BY endpoint"
        live = "SELECT endpoint, response_time_p95 AS p FROM endpoints"
        in_order = lambda query: sorted((row["endpoint"], row["p"]) for row in pipeline.sql(query))
        pipeline.wait_value("SELECT count(*) FROM lake.logs", total)
        assert in_order(batch) == in_order(live), "percentiles over the lake differ from the live ones"
        pipeline.stop()
    proof = [options.binary, "verify", str(DATAFLOWS / "web_logs"), "--input", str(files), "--lake", str(root / "lake")]
    assert subprocess.run(proof, env={**os.environ, **environment}).returncode == 0, "the proof failed"
    facts = recount.check_lake(root / "lake", lines, readers=False)
    print(f"ok: {total} records, {options.kills} kills, {facts}: everything once")


if __name__ == "__main__":
    main()
