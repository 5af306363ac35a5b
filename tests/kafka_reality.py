#!/usr/bin/env python3
"""What a Kafka does to those who read from it, done to the binary by a real one.

    kafka_reality.py BINARY --jars DIR [--only NAME]

Run it with the Python that tests/readers/setup.sh makes; DIR is what tests/kafka/fetch.sh prints. Each test has its
own topic and lake and says in its name what must hold. Records come from confluent-kafka, which shares no code
with ours; what is checked is what an operator can see: the health over HTTP, views, tables.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

sys.path.insert(0, str(Path(__file__).resolve().parent / "kafka"))
from cluster import Cluster, event  # noqa: E402
from pipeline import Pipeline, free_port, wait  # noqa: E402
from recount import connect, create_view, replay  # noqa: E402

DATAFLOW = """
CREATE SOURCE events (at TIMESTAMP NOT NULL, n BIGINT, WATERMARK FOR at AS at - INTERVAL '1' SECOND)
  WITH (connector = 'kafka', brokers = '${BROKERS}', topic = '${TOPIC}', group = '${GROUP:-}', start = '${START:-earliest}',
        on_offset_gap = '${ON_OFFSET_GAP:-stop}', on_topic_recreated = '${ON_TOPIC_RECREATED:-stop}',
        on_topic_missing = '${ON_MISSING:-wait}') FORMAT JSON;
CREATE TABLE archive AS SELECT at, n FROM events;
CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS records, sum(n) AS total FROM events;
CREATE MATERIALIZED VIEW windows AS
  SELECT window_start, count(*) AS records FROM TUMBLE(events, at, INTERVAL '10' SECOND) GROUP BY window_start;
"""
KEYED = """
CREATE SOURCE devices (id BIGINT, name TEXT NOT NULL, PRIMARY KEY (id))
  WITH (connector = 'kafka', brokers = '${BROKERS}', topic = '${TOPIC}') FORMAT JSON;
CREATE TABLE archive AS SELECT * FROM devices;
CREATE MATERIALIZED VIEW latest AS SELECT id, name FROM devices;
"""
RECORDS = "SELECT records FROM totals"
ARCHIVED = "SELECT count(*) FROM lake.archive"
DISTINCT = "SELECT count(DISTINCT CAST(_partition AS TEXT) || '/' || CAST(_offset AS TEXT)) FROM lake.archive"


class Scene:
    """A broker, and pipelines that read one topic of it."""

    def __init__(self, binary, folder, cluster):
        self.binary, self.folder, self.cluster = binary, folder, cluster

    def pipeline(self, topic, dataflow=DATAFLOW, **environment):
        folder = self.folder / topic
        (folder / "flow").mkdir(parents=True)
        (folder / "flow/dataflow.sql").write_text(dataflow)
        environment = {"BROKERS": self.cluster.bootstrap, "TOPIC": topic, **environment}
        return Pipeline(self.binary, folder / "flow", folder, environment=environment, commit_interval=0.5)


def archived_once(pipeline, total):
    pipeline.wait_value(ARCHIVED, total)
    pipeline.wait_value(DISTINCT, total)


def gone(pipeline):
    """Dead letters that say what was never there to read."""
    return pipeline.sql("SELECT _partition AS partition, _offset AS offset, reason FROM lake.dead_letters ORDER BY 1, 2")


# --- the broker is away ---------------------------------------------------------------


def a_broker_that_is_absent_at_the_start_is_waited_for(scene):
    with Cluster(scene.folder / "late-broker", scene.cluster.jars, free_port()) as cluster:
        with Scene(scene.binary, scene.folder, cluster).pipeline("absent") as pipeline:
            pipeline.start()
            pipeline.wait_health("down", cluster.bootstrap, "do not answer")
            cluster.start()
            pipeline.wait_health("degraded", "topic absent does not exist")
            told = pipeline.log().count("do not answer")
            assert told == 1, f"two readers that look twice a second wrote {told} lines"
            cluster.create("absent", 3)
            pipeline.wait_health("ok", "3 partitions, 0 records behind")
            cluster.send("absent", map(event, range(100)))
            pipeline.wait_value(RECORDS, 100)
            archived_once(pipeline, 100)


def a_missing_topic_is_made_if_that_is_asked(scene):
    with scene.pipeline("made", ON_MISSING="create") as pipeline:
        pipeline.start()
        pipeline.wait_health("ok", "3 partitions, 0 records behind")
    for topic, partitions in (("made-by-gen", 3), ("made-with-five", 5)):
        command = [scene.binary, "gen", "--brokers", scene.cluster.bootstrap, "--topic", topic, "--count", "1000"]
        command += [] if partitions == 3 else ["--partitions", str(partitions)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        assert f"made it with {partitions} partitions" in said, said
        assert f"1000 events written to topic {topic}" in said, said
        assert sum(scene.cluster.end_offset(topic, it) for it in range(partitions)) == 1000


def a_broker_that_is_killed_and_comes_back_is_read_on(scene):
    with Cluster(scene.folder / "killed-broker", scene.cluster.jars).start() as cluster:
        cluster.create("killed", 2)
        cluster.send("killed", map(event, range(1000)))
        with Scene(scene.binary, scene.folder, cluster).pipeline("killed") as pipeline:
            pipeline.start()
            pipeline.wait_value(RECORDS, 1000)
            cluster.stop(kill=True)
            pipeline.wait_health("down", cluster.bootstrap, "do not answer")
            assert not pipeline.get("/api/v1/status")["sources"][0]["connected"]
            assert pipeline.value(RECORDS) == 1000, "live views are served meanwhile"
            cluster.start()
            pipeline.wait_health("ok", "2 partitions, 0 records behind")
            cluster.send("killed", map(event, range(1000)), partition=1)
            pipeline.wait_value(RECORDS, 2000)
            archived_once(pipeline, 2000)
            pipeline.stop()


def windows_wait_for_a_broker_that_is_away(scene):
    """Records that come when it is back are not late, however long it was away."""
    with Cluster(scene.folder / "windows-broker", scene.cluster.jars).start() as cluster:
        cluster.create("waiting", 1)
        cluster.send("waiting", [event(1)])
        with Scene(scene.binary, scene.folder, cluster).pipeline("waiting") as pipeline:
            pipeline.start()
            pipeline.wait_value(RECORDS, 1)
            watermark = lambda: pipeline.get("/api/v1/status")["watermarks"].get("events")
            wait("a watermark", watermark)
            cluster.stop(kill=True)
            pipeline.wait_health("down")
            before = watermark()
            # With every partition at its end the wall clock would close windows after 30 s.
            until = time.monotonic() + 34
            wait("34 seconds without broker", lambda: until < time.monotonic(), 60)
            assert watermark() == before, "event time went on while nothing could be known"
            cluster.start()
            pipeline.wait_health("ok")
            cluster.send("waiting", [event(2, "2026-01-31T12:00:01Z")])
            pipeline.wait_value("SELECT sum(records) FROM windows", 2)
            assert pipeline.value("SELECT coalesce(sum(records), 0) FROM late") == 0


# --- what is in the topic -------------------------------------------------------------


def partitions_that_are_added_are_read_from_their_start_and_nothing_twice(scene):
    scene.cluster.create("growing", 1)
    with scene.pipeline("growing", START="latest") as pipeline:
        scene.cluster.send("growing", map(event, range(50)))
        pipeline.start(3)
        pipeline.wait_health("ok", "1 partition")
        stop, sent = threading.Event(), 0

        def keep_sending():
            nonlocal sent
            while not stop.is_set():
                scene.cluster.send("growing", map(event, range(200)))
                sent += 200

        sending = threading.Thread(target=keep_sending)
        sending.start()
        try:
            for partitions in (4, 9):
                scene.cluster.grow("growing", partitions)
                scene.cluster.send("growing", map(event, range(100)), partition=partitions - 1)
                pipeline.wait_health("ok", f"{partitions} partitions")
        finally:
            stop.set()
            sending.join()
        # Those before the first start are not asked for; those in partitions that came later all are.
        pipeline.wait_value(RECORDS, sent + 200)
        archived_once(pipeline, sent + 200)


def every_compression_is_read(scene):
    scene.cluster.create("compressed", 1)
    with scene.pipeline("compressed") as pipeline:
        pipeline.start()
        codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
        for number, codec in enumerate(codecs, 1):
            scene.cluster.send("compressed", map(event, range(500)), compression_type=codec)
            pipeline.wait_value(RECORDS, 500 * number, 30)
        archived_once(pipeline, 500 * len(codecs))


def aborted_transactions_are_not_seen_and_their_marks_are_no_lag(scene):
    topic = "transactional"
    scene.cluster.create(topic, 2)
    with scene.pipeline(topic) as pipeline:
        pipeline.start()
        producer = scene.cluster.producer(transactional_id="test")
        producer.init_transactions(30)
        for round in range(6):
            producer.begin_transaction()
            for number in range(100):
                producer.produce(topic, event(number), partition=number % 2)
            producer.flush(30)
            producer.commit_transaction(30) if round % 2 == 0 else producer.abort_transaction(30)
        pipeline.wait_value(RECORDS, 300)
        pipeline.wait_health("ok", "2 partitions, 0 records behind")
        assert 0 < scene.cluster.end_offset(topic, 0) - 300, "the topic has offsets that hold no record"
        pipeline.stop()
        # What was never committed stays out after a restart too, and what comes next comes once.
        pipeline.start(1)
        producer.begin_transaction()
        producer.produce(topic, event(7), partition=0)
        producer.commit_transaction(30)
        pipeline.wait_value(RECORDS, 301)
        archived_once(pipeline, 301)
        assert gone(pipeline) == []


def poison_becomes_dead_letters_and_the_rest_goes_on(scene):
    scene.cluster.create("poison", 1, max_message_bytes=8 << 20)
    large = b"x" * (5 << 20)
    padded = event(4)[:-1] + b', "more": "' + large + b'"}'
    values = [event(0), b"not json", b"", None, large, b'{"n": 1}', event(1), padded, b"\xff\xfe\x00", event(2)]
    with scene.pipeline("poison") as pipeline:
        pipeline.start()
        scene.cluster.send("poison", values, message_max_bytes=8 << 20)
        pipeline.wait_value(RECORDS, 4)
        archived_once(pipeline, 4)
        pipeline.wait_value("SELECT count(*) FROM lake.dead_letters", 6)
        scene.cluster.send("poison", [event(3)])
        pipeline.wait_value(RECORDS, 5)
        pipeline.wait_health("ok", "1 partition, 0 records behind")
        pipeline.stop()
    with connect() as connection:
        create_view(connection, replay(pipeline.lake / "dead_letters"), "letters")
        letters = connection.execute("SELECT _offset, raw, reason FROM letters ORDER BY 1").fetchall()
    wanted = [(1, b"not json"), (2, b""), (3, b""), (4, large), (5, b'{"n": 1}'), (8, b"\xff\xfe\x00")]
    assert [it[:2] for it in letters] == wanted, [(it[0], it[1][:20], it[2]) for it in letters]
    assert all(it[2] for it in letters), letters


def a_message_without_a_value_removes_the_row_of_its_key(scene):
    scene.cluster.create("devices", 2)
    named = [(b"1", b'{"id": 1, "name": "a"}'), (b"2", b'{"id": 2, "name": "b"}'), (b"3", b'{"id": 3, "name": "c"}')]
    gone_by_key = [(b"1", None), (b'{"id": 3}', None), (b"x", None), (None, None)]
    with scene.pipeline("devices", KEYED) as pipeline:
        pipeline.start()
        scene.cluster.send_keyed("devices", [*named, (b"2", b'{"id": 2, "name": "B"}')])
        pipeline.wait_value("SELECT string_agg(name, ',' ORDER BY id) FROM latest", "a,B,c")
        scene.cluster.send_keyed("devices", gone_by_key)
        pipeline.wait_value("SELECT string_agg(name, ',' ORDER BY id) FROM latest", "B")
        pipeline.kill()
        scene.cluster.send_keyed("devices", [(b"1", b'{"id": 1, "name": "A"}'), (b"2", None)])
        pipeline.start()
        pipeline.wait_value("SELECT string_agg(name, ',' ORDER BY id) FROM latest", "A")
        pipeline.wait_value("SELECT count(*) FROM lake.archive WHERE _deleted", 3)
        reasons = pipeline.sql("SELECT reason FROM lake.dead_letters ORDER BY _offset")
        assert all("id" in it["reason"] for it in reasons) and len(reasons) == 2, reasons
        pipeline.stop()
        proof = [scene.binary, "verify", str(pipeline.dataflow), "--lake", str(pipeline.lake)]
        subprocess.run(proof, env={**os.environ, **pipeline.environment}, check=True, stdout=subprocess.DEVNULL)


def idle_partitions_do_not_hold_windows_back(scene):
    scene.cluster.create("idle", 5)
    with scene.pipeline("idle") as pipeline:
        pipeline.start()
        start = datetime(2026, 1, 31, 12, tzinfo=UTC)
        times = [(start + timedelta(seconds=it)).isoformat() for it in range(60)]
        scene.cluster.send("idle", [event(1, it) for it in times], partition=3)
        pipeline.wait_value("SELECT count(*) FROM windows", 6)

        def closed():
            scene.cluster.send("idle", [event(1, times[-1])], partition=3)
            return pipeline.get("/api/v1/status")["watermarks"].get("events") == "2026-01-31T12:00:58Z"

        wait("the watermark of the one partition that has records", closed, 30)


def a_hundred_partitions_are_read_by_three_workers(scene):
    scene.cluster.create("wide", 100)
    with scene.pipeline("wide") as pipeline:
        pipeline.start(3)
        for partition in range(100):
            scene.cluster.send("wide", map(event, range(partition)), partition=partition)
        total = sum(range(100))
        pipeline.wait_value(RECORDS, total)
        pipeline.wait_health("ok", "100 partitions, 0 records behind")
        archived_once(pipeline, total)
        pipeline.kill()
        pipeline.start(2)
        scene.cluster.send("wide", [event(1)], partition=99)
        pipeline.wait_value(RECORDS, total + 1)
        archived_once(pipeline, total + 1)


# --- what is gone ---------------------------------------------------------------------


def an_expired_offset_stops_until_someone_decides_and_leaves_a_noted_gap(scene):
    scene.cluster.create("expired", 2)
    with scene.pipeline("expired") as pipeline:
        pipeline.start()
        scene.cluster.send("expired", map(event, range(100)))
        pipeline.wait_value(RECORDS, 100)
        pipeline.stop()
        scene.cluster.send("expired", map(event, range(100)))
        scene.cluster.delete_before("expired", 0, 150)
        pipeline.start()
        words = "expired/0", "offsets 100 to 149 expired", "on_offset_gap = 'earliest'"
        pipeline.wait_health("down", *words)
        scene.cluster.send("expired", map(event, range(10)), partition=1)
        pipeline.wait_value(RECORDS, 110)
        partitions = pipeline.get("/api/v1/status")["sources"][0]["partitions"]
        assert [(it["offset"], bool(it["problem"])) for it in partitions] == [(100, True), (10, False)], partitions
        pipeline.stop()
        pipeline.start(ON_OFFSET_GAP="earliest")
        pipeline.wait_value(RECORDS, 160)
        pipeline.wait_health("degraded", "0 records behind", "50 records were gone")
        gaps = pipeline.get("/api/v1/status")["sources"][0]["gaps"]
        assert [(it["partition"], it["from"], it["to"]) for it in gaps] == [(0, 100, 150)], gaps
        archived_once(pipeline, 160)
        wait("the gap among the dead letters", lambda: gone(pipeline))
        assert [(it["partition"], it["offset"]) for it in gone(pipeline)] == [(0, 100)]
        assert "100 to 149 expired" in gone(pipeline)[0]["reason"]
        pipeline.stop()
        # Decided once: the next start has no gap, and notes none again.
        pipeline.start()
        pipeline.wait_health("ok", "2 partitions, 0 records behind")
        assert len(gone(pipeline)) == 1


def records_that_expire_under_a_reader_are_noticed_too(scene):
    scene.cluster.create("outrun", 1)
    with scene.pipeline("outrun", ON_OFFSET_GAP="earliest") as pipeline:
        pipeline.start()
        scene.cluster.send("outrun", map(event, range(100)))
        pipeline.wait_value(RECORDS, 100)
        pipeline.process.send_signal(signal.SIGSTOP)
        # More than the answer it has asked for can hold: 400 records of 100 kB.
        padding = b', "more": "' + b"x" * 100_000 + b'"}'
        scene.cluster.send("outrun", [event(it)[:-1] + padding for it in range(400)])
        scene.cluster.delete_before("outrun", 0, 450)
        pipeline.process.send_signal(signal.SIGCONT)
        pipeline.wait_health("degraded", "records were gone")
        gap = pipeline.get("/api/v1/status")["sources"][0]["gaps"][0]
        assert 100 <= gap["from"] < 450 == gap["to"], gap
        total = 500 - (450 - gap["from"])
        pipeline.wait_value(RECORDS, total)
        archived_once(pipeline, total)
        wait("the gap among the dead letters", lambda: gone(pipeline))
        assert [it["offset"] for it in gone(pipeline)] == [gap["from"]]


def a_recreated_topic_stops_until_someone_decides(scene):
    """Whether the new one ends before or behind where the old one was read to: its id tells."""
    for name, records in (("shorter", 30), ("longer", 300)):
        scene.cluster.create(name, 1)
        with scene.pipeline(name) as pipeline:
            pipeline.start()
            scene.cluster.send(name, map(event, range(100)))
            pipeline.wait_value(RECORDS, 100)
            scene.cluster.delete(name)
            pipeline.wait_health("degraded", f"topic {name} does not exist")
            recreate(scene.cluster, name)
            scene.cluster.send(name, map(event, range(records)))
            pipeline.wait_health("down", f"{name}/0", "recreated", "on_topic_recreated = 'earliest'")
            assert pipeline.value(RECORDS) == 100, f"{name}: {pipeline.sql('SELECT * FROM totals')}"
            pipeline.kill()
            pipeline.start(1)
            pipeline.wait_health("down", "recreated")
            pipeline.stop()
            pipeline.start(ON_TOPIC_RECREATED="earliest")
            pipeline.wait_value(RECORDS, 100 + records)
            archived_once(pipeline, 100 + records)
            wait("the end of the old topic among the dead letters", lambda: gone(pipeline))
            assert [it["offset"] for it in gone(pipeline)] == [100]
            pipeline.kill()
            # Numbered behind the old topic from now on, through restarts.
            pipeline.start(2)
            scene.cluster.send(name, map(event, range(10)))
            pipeline.wait_value(RECORDS, 110 + records)
            archived_once(pipeline, 110 + records)
            assert pipeline.value("SELECT max(_offset) FROM lake.archive") == 100 + records + 10
            pipeline.wait_health("ok", "0 records behind")


def a_group_is_told_what_the_lake_has_and_never_asked(scene):
    scene.cluster.create("reported", 2)
    scene.cluster.send("reported", map(event, range(100)))
    scene.cluster.send("reported", map(event, range(50)), partition=1)
    told = Consumer({"bootstrap.servers": scene.cluster.bootstrap, "group.id": "told"})
    places = [TopicPartition("reported", 0), TopicPartition("reported", 1)]
    offsets = lambda: [it.offset for it in told.committed(places, timeout=30)]
    with scene.pipeline("reported", GROUP="told") as pipeline:
        pipeline.start()
        archived_once(pipeline, 150)
        wait("the report", lambda: offsets() == [100, 50])
        pipeline.kill()
        # Whatever others do to the group: the lake knows where to go on.
        told.commit(offsets=[TopicPartition("reported", 0, 7), TopicPartition("reported", 1, 99)], asynchronous=False)
        scene.cluster.send("reported", map(event, range(10)))
        pipeline.start()
        archived_once(pipeline, 160)
        wait("the report", lambda: offsets() == [110, 50])
        pipeline.wait_health("ok")
        pipeline.stop()
    told.close()


def recreate(cluster, topic):
    """A deleted topic's name is free a moment later."""

    def made():
        try:
            cluster.create(topic, 1)
            return True
        except Exception as error:
            if "already exists" in str(error) or "marked for deletion" in str(error):
                return False
            raise

    wait(f"topic {topic} to be made again", made, 30)


TESTS = [
    a_broker_that_is_absent_at_the_start_is_waited_for,
    a_missing_topic_is_made_if_that_is_asked,
    a_broker_that_is_killed_and_comes_back_is_read_on,
    partitions_that_are_added_are_read_from_their_start_and_nothing_twice,
    every_compression_is_read,
    aborted_transactions_are_not_seen_and_their_marks_are_no_lag,
    poison_becomes_dead_letters_and_the_rest_goes_on,
    a_message_without_a_value_removes_the_row_of_its_key,
    idle_partitions_do_not_hold_windows_back,
    a_hundred_partitions_are_read_by_three_workers,
    an_expired_offset_stops_until_someone_decides_and_leaves_a_noted_gap,
    records_that_expire_under_a_reader_are_noticed_too,
    a_recreated_topic_stops_until_someone_decides,
    a_group_is_told_what_the_lake_has_and_never_asked,
    windows_wait_for_a_broker_that_is_away,
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary", type=Path)
    parser.add_argument("--jars", type=Path, required=True)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    chosen = [it for it in TESTS if options.only in it.__name__]
    assert chosen, f"no test is called like {options.only}"
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        with Cluster(folder / "broker", options.jars).start() as cluster:
            for test in chosen:
                began = time.monotonic()
                test(Scene(options.binary.resolve(), folder, cluster))
                print(f"ok {time.monotonic() - began:5.1f} s  {test.__name__.replace('_', ' ')}", flush=True)


if __name__ == "__main__":
    main()
