#!/usr/bin/env python3
"""Fills the disk of the lake and makes it read-only, while the program runs and when it starts.

    disk_faults.py BINARY

Run it with the Python that tests/readers/setup.sh makes. The lake lies on a small disk in memory, mounted where only this test
sees it; that takes `unshare` with the right to mount, and without it the test fails. While nothing can be written, the health
must say why within 15 seconds, live views must go on, then reading must wait, and memory must not grow; when it can be again, everything must
go on without a restart. A stop meanwhile must end the program and say what is not in the lake. Then the program is killed while the disk is full: a start on the full disk must end with a reason, a start
after that go on. Then the disk fills, and the program is killed, at random moments. At each quiet moment `tidelake verify` must prove the lake; at the
end DuckDB recounts it. SEED repeats a run.
"""

import contextlib
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

import recount
from pipeline import DATAFLOWS, Pipeline, wait

INSIDE = "TIDELAKE_TEST_OWN_MOUNTS"
DISK_BYTES = 96 << 20
TOLD_SECONDS_MAX = 15
EVENTS = 20_000
MEMORY_GROWTH_MAX = 64 << 20
KILLS = 8


def main():
    if INSIDE not in os.environ:
        enter_namespace()
    binary = sys.argv[1]
    seed = int(os.environ.get("SEED", time.time()))
    random.seed(seed)
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        with Disk(root / "disk") as disk:
            run(binary, root, disk)


def enter_namespace():
    """Starts this program again where it may mount."""
    for own in (["--mount"], ["--user", "--map-root-user", "--mount"]):
        command = ["unshare", *own, "--"]
        with contextlib.suppress(FileNotFoundError):
            if subprocess.run([*command, "true"], stderr=subprocess.DEVNULL).returncode == 0:
                os.environ[INSIDE] = "1"
                os.execvp("unshare", [*command, sys.executable, *sys.argv])
    sys.exit("disk_faults.py: `unshare --mount` does not work here, so no disk can be filled; run it as root or allow user namespaces")


class Disk:
    """A small disk. Use it in a `with`."""

    def __init__(self, path):
        self.path = path
        self.filler = path / "filler"

    def __enter__(self):
        self.path.mkdir()
        self.mount("-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tidelake-test")
        return self

    def __exit__(self, kind, error, trace):
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)

    def mount(self, *how):
        subprocess.run(["mount", *how, str(self.path)], check=True)

    def fill(self):
        with open(self.filler, "wb", buffering=0) as it:
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while True:
                        it.write(bytes(size))

    def free(self):
        self.filler.unlink()

    def make_read_only(self):
        # Refused while a file is just being written.
        command = ["mount", "-o", "remount,ro", str(self.path)]
        wait("the disk is read-only", lambda: subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0, 10)

    def make_writable(self):
        self.mount("-o", "remount,rw")


class Input:
    """Partition files of generated events, newer and newer."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.parts, self.total = 0, 0

    def grow(self):
        command = [self.binary, "gen", "--rate", "1000", "--count", str(EVENTS), "--seed", str(self.parts), "--out", str(self.folder)]
        start = f"2026-01-31T12:{self.parts:02d}:00Z"
        subprocess.run([*command, "--start", start], check=True, stderr=subprocess.DEVNULL)
        self.parts += 1
        self.total += EVENTS


def run(binary, root, disk):
    source = Input(binary, root / "input")
    environment = {"WATERMARK_DELAY_SECONDS": "7200"}
    lines = root / "lines.jsonl"
    with Pipeline(binary, DATAFLOWS / "web_logs", root, source.folder, environment, commit_interval=2) as pipeline:
        pipeline.lake = disk.path / "lake"
        source.grow()
        pipeline.start()
        settle(pipeline, source)

        suffer(pipeline, source, disk.fill, disk.free, "disk is full")
        suffer(pipeline, source, disk.make_read_only, disk.make_writable, "read-only")

        for signals in ([signal.SIGTERM], [signal.SIGINT, signal.SIGINT]):
            stop_without_commit(pipeline, source, disk, signals)

        disk.fill()
        source.grow()
        wait("the lake is down", lambda: lake(pipeline)["status"] == "down")
        pipeline.kill()
        before = len(pipeline.log())
        pipeline.start()
        code = pipeline.process.wait(timeout=60)
        pipeline.process = None
        said = pipeline.log()[before:]
        assert code == 1 and "No space left on device" in said, f"a start on a full disk ended with {code}: {said}"
        print("a start on a full disk says:", said.strip().splitlines()[-1])
        prove(pipeline)
        disk.free()
        for _ in range(KILLS):
            pipeline.start()
            time.sleep(random.uniform(0, 2))
            disk.fill()
            source.grow()
            time.sleep(random.uniform(0, 3))
            # It may have ended by itself, if it had not started when the disk was full.
            pipeline.kill()
            disk.free()
        pipeline.start()
        settle(pipeline, source)
        recount.lines_of_files(source.folder, lines)
        recount.check_live(pipeline, lines)
        pipeline.stop()
        prove(pipeline)
        facts = recount.check_lake(pipeline.lake, lines, readers=False)
        print(f"ok: {source.total} records, {facts}: everything once")


def lake(pipeline):
    return next(it for it in pipeline.get("/api/v1/status")["components"] if it["name"] == "lake")


def failures(pipeline):
    """How often a step of a commit failed, as the metrics tell it."""
    found = [value for series, value in pipeline.metrics().items() if series.startswith("tidelake_commit_failures_total{")]
    assert found, "the metrics tell nothing of failed commits"
    return sum(found)


def settle(pipeline, source):
    """Everything is read, shown and committed."""
    pipeline.wait_value("SELECT requests FROM totals", source.total)
    pipeline.wait_value("SELECT count(*) FROM lake.logs", source.total)
    wait("the lake is well", lambda: lake(pipeline)["status"] == "ok")


def suffer(pipeline, source, begin, end, words):
    process = pipeline.process
    before = failures(pipeline)
    begin()
    began = time.monotonic()
    source.grow()

    def told():
        found = lake(pipeline)
        return found["detail"] if found["status"] == "down" and words in found["detail"] else None

    detail = wait(f"the health says {words!r}", told, TOLD_SECONDS_MAX)
    print(f"told after {time.monotonic() - began:.1f} s: {detail}")
    pipeline.wait_value("SELECT requests FROM totals", source.total)

    def has_stopped_reading():
        source.grow()
        shown = pipeline.value("SELECT requests FROM totals")
        time.sleep(3)
        return pipeline.value("SELECT requests FROM totals") == shown < source.total

    wait("reading waits", has_stopped_reading)
    used = memory(process)
    for _ in range(3):
        source.grow()
        time.sleep(2)
    grown = memory(process) - used
    assert grown < MEMORY_GROWTH_MAX, f"it grew by {grown} bytes while nothing could be written"
    assert pipeline.value("SELECT requests FROM totals") < source.total
    assert lake(pipeline)["status"] == "down"
    failed = failures(pipeline)
    assert before < failed, f"commits failed {before} times before, and {failed} times now"
    end()
    ended = time.monotonic()
    settle(pipeline, source)
    failed = failures(pipeline)
    time.sleep(2)
    assert failures(pipeline) == failed, "commits go on to fail"
    print(f"all is well {time.monotonic() - ended:.1f} s after, {failed:.0f} tries of commits failed")
    assert process.poll() is None
    prove(pipeline)


def stop_without_commit(pipeline, source, disk, signals):
    """While nothing can be written, a stop ends the process all the same, and says what is not in the lake; nothing is lost."""
    disk.fill()
    source.grow()
    wait("the lake is down", lambda: lake(pipeline)["status"] == "down")
    pipeline.wait_value("SELECT requests FROM totals", source.total)
    before = len(pipeline.log())
    began = time.monotonic()
    for number in signals:
        pipeline.process.send_signal(number)
        wait("it says that it stops", lambda: "stopping" in pipeline.log()[before:])
    code = pipeline.process.wait(timeout=60)
    pipeline.process = None
    said = pipeline.log()[before:].strip().splitlines()[-1]
    assert code == 5 and f"{EVENTS} records" in said and "not in the lake" in said, f"it ended with {code}: {said}"
    print(f"stopped after {time.monotonic() - began:.1f} s: {said}")
    prove(pipeline)
    disk.free()
    pipeline.start()
    settle(pipeline, source)


def memory(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) << 10


def prove(pipeline):
    command = [pipeline.binary, "verify", str(pipeline.dataflow), "--input", str(pipeline.source), "--lake", str(pipeline.lake)]
    proof = subprocess.run(command, env={**os.environ, **pipeline.environment}, stdout=subprocess.PIPE, text=True)
    assert proof.returncode == 0, f"the proof failed:\n{proof.stdout}"


if __name__ == "__main__":
    main()
