#!/usr/bin/env python3
"""What is done to log files while they are read, done to the binary: rotated, compressed, copied, cut, overwritten, made twice.

    files_reality.py BINARY [--only NAME]

Each test has its own folder and lake and says in its name what must hold. What is checked is what an operator can see: the health over
HTTP, tables, and what `tidelake verify` says at the end.
"""

import argparse
import gzip
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from pipeline import Pipeline

DATAFLOW = """
CREATE SOURCE events (at TIMESTAMP NOT NULL, n BIGINT, WATERMARK FOR at AS at - INTERVAL '1' SECOND)
  WITH (connector = 'kafka', brokers = 'none', topic = 'none') FORMAT JSON;
CREATE TABLE archive AS SELECT at, n FROM events;
CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS records, sum(n) AS total FROM events;
"""
ARCHIVED = "SELECT count(*) FROM lake.archive"
NUMBERS = "SELECT count(DISTINCT n) FROM lake.archive"


class Logs:
    """Files that somebody writes, each record with the next number."""

    def __init__(self, binary, folder):
        self.folder = folder / "input"
        self.folder.mkdir(parents=True)
        (folder / "flow").mkdir()
        (folder / "flow/dataflow.sql").write_text(DATAFLOW)
        self.written = 0
        self.pipeline = Pipeline(binary, folder / "flow", folder / "state", source=self.folder, commit_interval=0.3)

    def append(self, name, count=1000, mode="a"):
        with open(self.folder / name, mode) as out:
            for _ in range(count):
                out.write(json.dumps({"at": "2026-01-31T12:00:00Z", "n": self.written}) + "\n")
                self.written += 1

    def all_read_once(self):
        self.pipeline.wait_value(ARCHIVED, self.written)
        self.pipeline.wait_value(NUMBERS, self.written)

    def restart(self):
        self.pipeline.kill()
        self.pipeline.start()

    def proof(self):
        command = [self.pipeline.binary, "verify", str(self.pipeline.dataflow), "--input", str(self.folder)]
        return subprocess.run([*command, "--lake", str(self.pipeline.lake)], capture_output=True, text=True)

    def proven(self):
        proof = self.proof()
        assert proof.returncode == 0, proof.stdout + proof.stderr


def a_log_that_is_renamed_and_compressed_is_read_once(logs):
    logs.append("a.log")
    logs.pipeline.start()
    logs.all_read_once()
    for turn in range(3):
        logs.append("a.log")
        if turn % 2:
            logs.pipeline.kill()
        if (logs.folder / "a.log.1").exists():
            os.rename(logs.folder / "a.log.1", logs.folder / "a.log.2")
        os.rename(logs.folder / "a.log", logs.folder / "a.log.1")
        logs.append("a.log.1", 10)  # the writer has not been told yet
        logs.append("a.log")
        if turn % 2:
            logs.pipeline.start()
        logs.all_read_once()
        oldest = logs.folder / "a.log.2"
        if oldest.exists():
            with open(oldest, "rb") as plain, gzip.open(logs.folder / ".packing", "wb") as packed:
                shutil.copyfileobj(plain, packed)
            oldest.unlink()
            os.rename(logs.folder / ".packing", logs.folder / f"old-{turn}.gz")
        logs.restart()
        logs.append("a.log", 10)
        logs.all_read_once()
    logs.pipeline.wait_health("ok", "1 partition")
    logs.pipeline.stop()
    logs.proven()


def a_log_that_is_copied_and_cut_is_read_once(logs):
    logs.append("a.log")
    logs.pipeline.start()
    logs.all_read_once()
    for turn in range(4):
        logs.append("a.log")
        if turn % 2:
            logs.pipeline.kill()
        shutil.copy(logs.folder / "a.log", logs.folder / f"a.log.{turn}")
        os.truncate(logs.folder / "a.log", 0)
        logs.append("a.log", 3000 if turn == 1 else 20)
        if turn % 2:
            logs.pipeline.start()
        logs.all_read_once()
    logs.pipeline.wait_health("ok", "1 partition")
    logs.pipeline.stop()
    logs.proven()


def what_is_overwritten_leaves_a_dead_letter_and_the_new_is_read_once(logs):
    logs.append("a.log")
    logs.append("b.log", 10)
    logs.pipeline.start()
    logs.all_read_once()
    logs.append("a.log", 500, mode="w")
    logs.all_read_once()
    detail = logs.pipeline.wait_health("degraded", "were gone before they could be read")
    assert "2 partitions" in detail, detail
    letters = logs.pipeline.sql("SELECT * FROM lake.dead_letters")
    assert len(letters) == 1 and "is not known" in letters[0]["reason"], letters
    logs.pipeline.kill()
    logs.append("a.log", 700, mode="w")
    logs.pipeline.start()
    logs.all_read_once()
    logs.pipeline.wait_value("SELECT count(*) FROM lake.dead_letters", 2)
    os.truncate(logs.folder / "a.log", 5000 - 5000 % len(json.dumps({"at": "2026-01-31T12:00:00Z", "n": 2000}) + "\n"))
    logs.pipeline.wait_value("SELECT count(*) FROM lake.dead_letters", 3)
    logs.append("a.log", 5)
    logs.all_read_once()
    logs.pipeline.stop()
    proof = logs.proof()
    assert proof.returncode == 0 and "cannot be read again" in proof.stdout, proof.stdout + proof.stderr


def what_is_not_read_is_told(logs):
    logs.append("a.log")
    shutil.copy(logs.folder / "a.log", logs.folder / "copy.log")
    (logs.folder / "broken.log.gz").write_bytes(b"no gzip")
    os.symlink("nowhere", logs.folder / "link.log")
    logs.pipeline.start()
    logs.all_read_once()
    logs.pipeline.wait_health("degraded", "3 files are not read as it should be", "copy.log", "broken.log.gz", "link.log")
    for name in ("copy.log", "broken.log.gz", "link.log"):
        (logs.folder / name).unlink()
    logs.pipeline.wait_health("ok")
    with open(logs.folder / "a.log", "a") as out:
        out.write('{"at": "2026-01-31T12:00:00Z", ')
    logs.pipeline.wait_health("degraded", "a.log: its last line has no end yet: 31 bytes")
    with open(logs.folder / "a.log", "a") as out:
        out.write(f'"n": {logs.written}}}\n')
    logs.written += 1
    logs.all_read_once()
    logs.pipeline.wait_health("ok")
    logs.pipeline.stop()
    logs.proven()


def fifteen_hundred_files_leave_descriptors_for_everything_else(logs):
    for number in range(1500):
        logs.append(f"part-{number}.log", 3)
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
    try:
        logs.pipeline.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    logs.all_read_once()
    for number in range(0, 1500, 7):
        logs.append(f"part-{number}.log", 2)
    logs.all_read_once()
    logs.pipeline.wait_health("ok", "1500 partitions")
    links = Path(f"/proc/{logs.pipeline.process.pid}/fd").iterdir()
    held = sum(1 for it in links if str(logs.folder) in os.path.realpath(it))
    assert held <= 200, f"{held} input files are open"
    logs.pipeline.stop()
    logs.proven()


TESTS = [
    a_log_that_is_renamed_and_compressed_is_read_once,
    a_log_that_is_copied_and_cut_is_read_once,
    what_is_overwritten_leaves_a_dead_letter_and_the_new_is_read_once,
    what_is_not_read_is_told,
    fifteen_hundred_files_leave_descriptors_for_everything_else,
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary", type=Path)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    chosen = [it for it in TESTS if options.only in it.__name__]
    assert chosen, f"no test is called like {options.only}"
    with tempfile.TemporaryDirectory() as folder:
        for test in chosen:
            began = time.monotonic()
            logs = Logs(options.binary.resolve(), Path(folder) / test.__name__)
            with logs.pipeline:
                test(logs)
            print(f"ok {time.monotonic() - began:5.1f} s  {test.__name__.replace('_', ' ')}", flush=True)


if __name__ == "__main__":
    main()
