#!/usr/bin/env python3
"""A real broker, a million generated records, and everything counted again by programs that are not ours.

    kafka_end_to_end.py BINARY --jars DIR [--events N] [--kills N]

Run it with the Python that tests/readers/setup.sh makes; DIR is what tests/kafka/fetch.sh prints. Three parts:

catching up   all records are in the topic when the binary starts; it says how long it will take, reads all of
              them once, and views and tables are what DuckDB counts from the records as confluent-kafka reads them
delays        the metrics tell how old records were when views showed them, by the times that Kafka has of them: of
              records that are two hours old, and of some that are followed one by one
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
from confluent_kafka import Producer  # noqa: E402
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
            tell_delays(binary, folder / "delays", cluster)
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
        # Kafka's client writes lines like %7|1796044908.691|INIT|… where nobody takes its log.
        of_client = [it for it in pipeline.log().splitlines() if it.startswith("%")]
        assert not of_client, of_client
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


# --- delays ---------------------------------------------------------------------------

OLD_SECONDS = 7200
START = "2026-01-31T12:30:00Z"


def tell_delays(binary, folder, cluster):
    topic = "delays"
    cluster.create(topic, 1)
    parts = folder / "parts"
    command = [str(binary), "gen", "--count", "130", "--rate", "1000", "--seed", "3", "--start", START, "--out", str(parts)]
    subprocess.run(command, check=True)
    lines = [line for it in sorted(parts.glob("events-*.jsonl")) for line in it.read_bytes().splitlines()]
    assert len(lines) == 130, f"{len(lines)} lines were made"
    producer = Producer({"bootstrap.servers": cluster.bootstrap})
    with pipeline_of(binary, folder, cluster, topic) as pipeline:
        pipeline.start()
        wait("it answers", lambda: pipeline.get("/readyz"))
        assert not [it for it in pipeline.metrics() if it.startswith("tidelake_record_to_view_delay_seconds")], "a delay of no record"
        began = time.time()
        for line in lines[:100]:
            producer.produce(topic, line, timestamp=int((began - OLD_SECONDS) * 1000))
        producer.flush()
        pipeline.wait_value("SELECT requests FROM totals", 100)
        took = time.time() - began
        count, seconds = wait("the delays of records", lambda: delays_of(pipeline))
        assert count % 2 == 0, f"{count} observations, expected two for each epoch"
        mean = seconds / count
        assert OLD_SECONDS <= mean <= OLD_SECONDS + took + 0.01, f"records were said to be {mean} s old, and shown after {took} s"
        worst = 0
        for number, line in enumerate(lines[100:], 101):
            sent = time.time()
            producer.produce(topic, line)
            producer.flush()
            pipeline.wait_value("SELECT requests FROM totals", number)
            worst = max(worst, time.time() - sent)
        later, more = delays_of(pipeline)
        new = (more - seconds) / (later - count)
        assert 0 < new <= worst, f"records were said to be {new} s old, and were shown after {worst} s at most"
        pipeline.stop()
    print(f"ok: delays of {mean:.1f} s for records of two hours ago, {new:.3f} s for others", flush=True)


def delays_of(pipeline):
    """Number and sum of the observed delays, or nothing."""
    told = pipeline.metrics()
    found = [told.get(f'tidelake_record_to_view_delay_seconds_{it}{{source="web_logs"}}') for it in ("count", "sum")]
    return found if found[0] else None


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
