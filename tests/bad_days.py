#!/usr/bin/env python3
"""Bad days, each lived through by a running server whose health is asked all the while.

    bad_days.py BINARY [--long]

Run it with the Python that tests/readers/setup.sh makes; all that is needed is Python. What each day must end with stands in the
name of its test: the promise is kept, or what cannot be done is refused in clear words. Broker outages have kafka_reality.py, full and
read-only disks disk_faults.py, memory limits memory.py, and floods of connections connections.py. --long has ten times as many records,
and ten million groups.
"""

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from pipeline import Pipeline, wait  # noqa: E402

DATAFLOW = """
SET dataflow = 'days';
CREATE SOURCE events (at TIMESTAMP NOT NULL, n BIGINT, key TEXT, WATERMARK FOR at AS at - INTERVAL '1' SECOND)
  WITH (connector = 'files', path = '${FOLDER}') FORMAT JSON;
CREATE TABLE archive AS SELECT at, n, key FROM events;
CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS records, sum(n) AS total FROM events;
CREATE MATERIALIZED VIEW per_key AS SELECT key, count(*) AS records FROM events GROUP BY key;
CREATE MATERIALIZED VIEW windows AS
  SELECT window_start, count(*) AS records FROM TUMBLE(events, at, INTERVAL '10' SECOND) GROUP BY window_start;
"""
START = datetime(2026, 1, 1, tzinfo=UTC)
# Longer than any stall that a reader of the health should meet, on a machine that is as busy as it can be.
HEALTH_WITHIN_S = 5
READERS, STALLED = 1000, 100


def record(second, n=1, key="a"):
    at = (START + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps({"at": at, "n": n, "key": key})


class Day:
    """A pipeline over a folder of files, and somebody who asks for its health twice a second."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.input = folder / "input"
        self.input.mkdir(parents=True)
        (folder / "flow").mkdir()
        (folder / "flow/dataflow.sql").write_text(DATAFLOW)
        self.environment = {"FOLDER": str(self.input)}
        self.pipeline = Pipeline(binary, folder / "flow", folder / "run", environment=self.environment)
        self.ended, self.unanswered, self.answers = threading.Event(), [], 0

    def __enter__(self):
        self.pipeline.start()
        wait("the server", lambda: self.pipeline.get("/api/v1/status"))
        threading.Thread(target=self.watch, daemon=True).start()
        return self

    def __exit__(self, kind, error, trace):
        self.ended.set()
        self.pipeline.__exit__(kind, error, trace)

    def watch(self):
        while not self.ended.wait(0.5):
            began = time.monotonic()
            try:
                url = f"http://127.0.0.1:{self.pipeline.port}/healthz"
                with urllib.request.urlopen(url, timeout=HEALTH_WITHIN_S) as answer:
                    assert answer.status == 200
                self.answers += 1
            except (OSError, AssertionError) as error:
                if not self.ended.is_set():
                    self.unanswered.append(f"{error} after {time.monotonic() - began:.1f} s")

    def write(self, name, lines):
        path = self.folder / name
        with open(path, "wb") as file:
            for line in lines:
                file.write((line.encode() if isinstance(line, str) else line) + b"\n")
        path.rename(self.input / name)

    def over(self):
        """The day is over: health was told all the while, and the lake is proved."""
        self.ended.set()
        assert not self.unanswered, f"health was not told {len(self.unanswered)} times of {self.answers}: {self.unanswered[0]}"
        assert 0 < self.answers
        self.pipeline.stop()
        self.proved()

    def proved(self):
        command = [self.binary, "verify", self.folder / "flow", "--lake", self.pipeline.lake]
        proof = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **self.environment}, timeout=600)
        assert proof.returncode == 0 and "PROVEN" in proof.stdout, proof.stdout + proof.stderr


def malformed_input_at_full_rate_becomes_rows_that_say_why(binary, folder, many):
    rest = random.Random(1)
    kinds = [
        lambda: rest.randbytes(200).replace(b"\n", b" ").replace(b"\r", b" ") or b"x",
        lambda: record(1)[: rest.randrange(1, 20)].encode(),
        lambda: b"[" * 500,
        lambda: b'{"at": 5e400, "n": 1}',
        lambda: b'{"at": "no time at all", "n": 1}',
        lambda: b'{"n": 1}',
        lambda: b"\xff\xfe\x00" * 20,
        lambda: b'{"at": "2026-01-01T00:00:00Z", "n": 99999999999999999999999}',
    ]
    bad = 30_000 * many
    with Day(binary, folder) as day:
        def lines():
            for number in range(bad):
                yield kinds[number % len(kinds)]()
                if number % 30 == 0:
                    yield record(number // 3000)
        good = (bad + 29) // 30
        day.write("a.jsonl", lines())
        day.pipeline.wait_value("SELECT records FROM totals", good, 300)
        day.pipeline.wait_value("SELECT count(*) FROM lake.archive", good, 60)
        day.pipeline.wait_value("SELECT count(*) FROM lake.dead_letters", bad, 60)
        without = day.pipeline.value("SELECT count(*) FROM lake.dead_letters WHERE reason IS NULL OR reason = ''")
        assert without == 0, f"{without} dead letters say no reason"
        assert day.pipeline.health()[0] == "degraded", day.pipeline.health()
        day.over()


def a_record_of_2099_makes_no_other_late(binary, folder, _many):
    with Day(binary, folder) as day:
        future = '{"at": "2099-12-31T23:59:59Z", "n": 7, "key": "future"}'
        day.write("a.jsonl", [record(0), record(1), future, record(2)])
        day.pipeline.wait_value("SELECT records FROM totals", 4)
        day.write("b.jsonl", [record(it) for it in range(3, 60)])
        day.pipeline.wait_value("SELECT records FROM totals", 61)
        day.pipeline.wait_value("SELECT count(*) FROM lake.archive", 61)
        late = day.pipeline.value("SELECT count(*) FROM lake.archive WHERE _late_watermark IS NOT NULL")
        assert late == 0, f"{late} records came late because of one in the future"
        full = day.pipeline.value("SELECT sum(records) FROM windows WHERE window_start < '2027-01-01'")
        assert full == 60, f"windows have {full} of 60 records"
        day.over()


def readers_that_stall_cost_the_others_nothing(binary, folder, _many):
    with Day(binary, folder) as day:
        day.write("a.jsonl", [record(0)])
        day.pipeline.wait_value("SELECT records FROM totals", 1)
        request = b"GET /api/v1/views/totals/changes HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
        sockets = []
        for _ in range(READERS):
            it = socket.create_connection(("127.0.0.1", day.pipeline.port), timeout=30)
            it.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            it.sendall(request)
            sockets.append(it)
        wait("all streams", lambda: READERS <= metric(day.pipeline, "tidelake_sse_clients"), 60)
        for number in range(1, 11):
            day.write(f"b{number}.jsonl", [record(number * 10 + it) for it in range(100)])
            time.sleep(0.3)
        day.pipeline.wait_value("SELECT records FROM totals", 1001)
        # The first ones have read nothing so far, and go on doing so.
        behind = []
        for number, it in enumerate(sockets[STALLED:]):
            it.settimeout(10)
            text = b""
            while b'"records":1001' not in text.replace(b" ", b""):
                part = it.recv(65536)
                if not part:
                    behind.append(number)
                    break
                text += part
        assert not behind, f"{len(behind)} readers were cut off"
        for it in sockets:
            it.close()
        wait("all streams to end", lambda: metric(day.pipeline, "tidelake_sse_clients") == 0, 60)
        day.pipeline.wait_value("SELECT count(*) FROM lake.archive", 1001)
        day.over()


def metric(pipeline, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{pipeline.port}/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
    return -1.0


def a_query_that_wants_all_memory_is_refused(binary, folder, _many):
    with Day(binary, folder) as day:
        day.write("a.jsonl", [record(it) for it in range(100)])
        day.pipeline.wait_value("SELECT count(*) FROM lake.archive", 100)
        for query in (
            "SELECT array_agg(repeat('x', 1000) || CAST(value AS TEXT)) FROM (SELECT unnest(generate_series(1, 16000000)) AS value)",
            "SELECT count(DISTINCT concat(a.at, b.at, c.at, d.at, e.at)) FROM lake.archive a, lake.archive b, lake.archive c, lake.archive d, lake.archive e",
            "SELECT repeat('x', 2000000000)",
        ):
            body = json.dumps({"query": query}).encode()
            url = f"http://127.0.0.1:{day.pipeline.port}/api/v1/sql"
            request = urllib.request.Request(url, body, {"content-type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    raise AssertionError(f"{query} was answered: {answer.read(300)}")
            except urllib.error.HTTPError as error:
                problem = json.load(error)
                assert error.code < 500 or error.code in (503, 504), problem
                assert any(it in problem["detail"] for it in ("memory", "time", "MiB", "at most")), problem
        day.write("b.jsonl", [record(it) for it in range(100, 200)])
        day.pipeline.wait_value("SELECT records FROM totals", 200)
        day.pipeline.wait_value("SELECT count(*) FROM lake.archive", 200)
        day.over()


def very_many_groups_are_counted(binary, folder, many):
    groups = 100_000 if many == 1 else 10_000_000
    with Day(binary, folder) as day:
        for part in range(10):
            size = groups // 10
            day.write(f"p{part}.jsonl", (record(part, key=f"key-{part * size + it}") for it in range(size)))
        day.pipeline.wait_value("SELECT records FROM totals", groups, 1200)
        assert day.pipeline.value("SELECT count(*) FROM per_key") == groups
        day.over()


def a_damaged_file_of_each_kind_is_told_by_its_name(binary, folder, _many):
    with Day(binary, folder) as day:
        day.write("a.jsonl", [record(it, key=f"key-{it}") for it in range(2000)])
        day.pipeline.wait_value("SELECT count(*) FROM lake.archive", 2000)
        day.write("b.jsonl", [record(2000 + it) for it in range(100)])
        day.pipeline.wait_value("SELECT count(*) FROM lake.archive", 2100)
        day.over()
        whole = folder / "whole"
        shutil.copytree(day.pipeline.lake, whole)
        newest = {
            "manifest": sorted(whole.glob("_tidelake/*/manifests/*.json"))[-1],
            "state": max(whole.glob("_tidelake/*/state/*"), key=lambda it: it.stat().st_mtime),
            "data": sorted(whole.glob("archive/**/*.parquet"))[0],
            "log": sorted(whole.glob("archive/_delta_log/*.json"))[-1],
        }
        for kind, path in newest.items():
            for how in ("cut", "changed", "gone"):
                day.pipeline.lake = folder / f"{kind}-{how}"
                shutil.copytree(whole, day.pipeline.lake)
                damaged = day.pipeline.lake / path.relative_to(whole)
                content = damaged.read_bytes()
                middle = len(content) // 2
                if how == "gone":
                    damaged.unlink()
                else:
                    changed = content[:middle] if how == "cut" else content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
                    damaged.write_bytes(changed)
                told(day, kind, how, damaged)


def told(day, kind, how, damaged):
    """A start is refused with the file's name, or a proof names it; a server that runs is never made of what is not there."""
    log = len(day.pipeline.log())
    day.pipeline.start()
    try:
        code = day.pipeline.process.wait(timeout=8)
        day.pipeline.process = None
    except subprocess.TimeoutExpired:
        code = None
        day.pipeline.stop()
    said = day.pipeline.log()[log:]
    command = [day.binary, "verify", day.folder / "flow", "--lake", day.pipeline.lake]
    proof = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **day.environment}, timeout=120)
    found = proof.stdout + proof.stderr
    if code is not None:
        assert code in (1, 3, 78), f"{kind} {how}: exit code {code}: {said}"
        # What is gone has no name, but its number is missing.
        assert damaged.name in said or "commits were deleted or lost" in said, f"{kind} {how} is not named: {said}"
        print(f"    {kind} {how}: the start is refused: {said.strip().splitlines()[-1][:200]}", flush=True)
    elif proof.returncode == 0:
        # A start may have mended it: what a manifest decided can be written once more.
        assert kind in ("manifest", "log"), f"{kind} {how} went unnoticed: {found}"
        print(f"    {kind} {how}: the start has put it right, and it is proved", flush=True)
    else:
        assert "PROVEN" not in found.replace("NOT PROVEN", ""), found
        assert damaged.name in found or kind in ("manifest", "log"), f"{kind} {how} is not named: {found}"
        print(f"    {kind} {how}: the proof finds it", flush=True)


TESTS = [
    malformed_input_at_full_rate_becomes_rows_that_say_why,
    a_record_of_2099_makes_no_other_late,
    readers_that_stall_cost_the_others_nothing,
    a_query_that_wants_all_memory_is_refused,
    very_many_groups_are_counted,
    a_damaged_file_of_each_kind_is_told_by_its_name,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", help="the test with this name")
    options = parser.parse_args()
    binary = options.binary.resolve()
    passed = 0
    with tempfile.TemporaryDirectory(prefix="tidelake-") as folder:
        for test in TESTS:
            if options.only in (None, test.__name__):
                began = time.monotonic()
                test(binary, Path(folder) / test.__name__, 10 if options.long else 1)
                passed += 1
                print(f"ok {test.__name__.replace('_', ' ')} ({time.monotonic() - began:.1f} s)", flush=True)
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main()
