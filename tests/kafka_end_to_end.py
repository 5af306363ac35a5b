#!/usr/bin/env python3
"""A real broker, a million generated records, and everything counted again by programs that are not ours.

    kafka_end_to_end.py BINARY --jars DIR [--events N] [--kills N]

Run it with the Python that tests/readers/setup.sh makes; DIR is what tests/kafka/fetch.sh prints. Two parts:

catching up   all records are in the topic when the binary starts; it says how long it will take, reads all of
              them once, and views and tables are what DuckDB counts from the records as confluent-kafka reads them
kills         records arrive all the time while the binary is killed at random moments and started with other
              numbers of workers; afterwards the same must hold, and the sample queries of older pages are right

The tables are read by all independent readers. SEED repeats the random choices of a run.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "kafka"))
import recount  # noqa: E402
from cluster import Cluster  # noqa: E402
from pipeline import DATAFLOWS, Pipeline, wait  # noqa: E402

PARTITIONS = 4


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary", type=Path)
    parser.add_argument("--jars", type=Path, required=True)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    seed = int(os.environ.get("SEED", time.time()))
    random.seed(seed)
    print(f"seed {seed}", flush=True)
    binary = options.binary.resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        with Cluster(folder / "broker", options.jars).start() as cluster:
            catch_up(binary, folder / "catch-up", cluster, options.events)
            survive_kills(binary, folder / "kills", cluster, options.kills)


def pipeline_of(binary, folder, cluster, topic):
    environment = {"KAFKA_BROKERS": cluster.bootstrap, "KAFKA_TOPIC": topic}
    return Pipeline(binary, DATAFLOWS / "web_logs", folder, environment=environment)


def generator(binary, cluster, topic, *arguments):
    return [str(binary), "gen", "--brokers", cluster.bootstrap, "--topic", topic, *map(str, arguments)]


# --- catching up ----------------------------------------------------------------------


def catch_up(binary, folder, cluster, events):
    topic = "catch-up"
    cluster.create(topic, PARTITIONS)
    # Forty minutes of event time: several hours' and minutes' windows, and all of them still live at the end.
    arguments = ["--count", events, "--rate", events / 2400, "--seed", 7, "--start", "2026-01-31T12:30:00Z"]
    subprocess.run(generator(binary, cluster, topic, *arguments), check=True)
    with pipeline_of(binary, folder, cluster, topic) as pipeline:
        began = time.monotonic()
        pipeline.start()
        told = watch_catching_up(pipeline)
        pipeline.wait_value("SELECT requests FROM totals", events)
        took = time.monotonic() - began
        lines = folder / "lines.jsonl"
        total = recount.lines_of_topic(cluster.bootstrap, topic, lines)
        assert total == events, f"the topic has {total} records"
        recount.check_live(pipeline, lines)
        pipeline.stop()
    facts = recount.check_lake(pipeline.lake, lines, readers=True)
    print(f"ok: catching up with {events} records in {took:.1f} s from the start; {told}; {facts}", flush=True)


def watch_catching_up(pipeline):
    """The status says how far it is behind, how fast it reads and when it will be there; and then that it is."""
    seen = []

    def caught_up():
        source = pipeline.get("/api/v1/status")["sources"][0]
        pace = source["pace"]
        if 0 < pace["lag"] and pace["seconds_to_catch_up"] is not None:
            seen.append(pace)
        return source["connected"] and len(source["partitions"]) == PARTITIONS and pace["lag"] == 0

    wait("lag to be gone", caught_up)
    assert seen, "it never said when it would have caught up"
    assert all(0 < it["read_per_second"] and 0 < it["seconds_to_catch_up"] for it in seen), seen
    pace = max(seen, key=lambda it: it["read_per_second"])
    return f"told {pace['read_per_second']:.0f} records/s, {pace['lag']} behind, {pace['seconds_to_catch_up']:.1f} s to go"


# --- kills ----------------------------------------------------------------------------


def survive_kills(binary, folder, cluster, kills):
    topic = "kills"
    cluster.create(topic, PARTITIONS)
    with pipeline_of(binary, folder, cluster, topic) as pipeline:
        with arriving(generator(binary, cluster, topic, "--rate", 3000, "--seed", 11)):
            for _ in range(kills):
                pipeline.start(random.choice([1, 2, 3, 4]))
                time.sleep(random.uniform(0.05, 3))
                pipeline.kill()
        pipeline.start()
        lines = folder / "lines.jsonl"
        total = recount.lines_of_topic(cluster.bootstrap, topic, lines)
        assert kills * 1000 < total, f"only {total} records arrived"
        pipeline.wait_value("SELECT requests FROM totals", total)
        pipeline.wait_value("SELECT count(*) FROM lake.logs", total)
        recount.check_live(pipeline, lines)
        recount.check_samples(pipeline, lines)
        pipeline.stop()
    facts = recount.check_lake(pipeline.lake, lines, readers=True)
    print(f"ok: {total} records that arrived during {kills} kills; {facts}", flush=True)


@contextmanager
def arriving(command):
    """Records keep arriving inside of it, and none is under way after it."""
    process = subprocess.Popen(command)
    try:
        yield
        assert process.poll() is None, "the generator ended by itself"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0, "the generator failed"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
