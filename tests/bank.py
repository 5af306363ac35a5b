#!/usr/bin/env python3
"""Transfers between accounts, watched by a reader that never sees money come or go.

    bank.py BINARY [--kills N] [--seconds S]

Run it with the Python that tests/readers/setup.sh makes. Every transfer is one record, and changes two accounts that are
mostly kept by different workers. Records come without a pause; the program is killed and started again. A subscriber of the
balances adds them up after every frame of the event stream, across all restarts; afterwards the balances of every
version of the table are added up. Each of these sums must be zero, or an epoch was shown by halves. First with one
process, then with three.
"""

import argparse
import collections
import itertools
import json
import os
import pathlib
import random
import tempfile
import threading
import time
import urllib.request
from datetime import UTC, datetime

from pipeline import SOURCE, Cluster, Pipeline, wait

import recount  # noqa: F401  (finds replay)
from replay import connect, create_view, replay  # isort: skip

DATAFLOW = SOURCE / "tests" / "dataflows" / "bank"
ACCOUNTS, PARTITIONS, PER_SECOND = 200, 4, 2000
STOP_SECONDS_MAX = 10


class Payments(threading.Thread):
    """Writes transfers into partition files until it is told to stop; knows what every account must have."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        folder.mkdir()
        self.files = [open(folder / f"transfers-{it}.jsonl", "a") for it in range(PARTITIONS)]
        self.balances, self.count = collections.Counter(), 0
        self.over = threading.Event()

    def run(self):
        began = time.monotonic()
        while not self.over.is_set():
            while self.count < PER_SECOND * (time.monotonic() - began):
                payer, payee = random.sample(range(ACCOUNTS), 2)
                amount = random.randint(1, 1000)
                self.balances[f"a{payer}"] -= amount
                self.balances[f"a{payee}"] += amount
                transfer = {"at": datetime.now(UTC).isoformat(), "payer": f"a{payer}", "payee": f"a{payee}", "amount": amount}
                print(json.dumps(transfer), file=self.files[self.count % PARTITIONS])
                self.count += 1
            for it in self.files:
                it.flush()
            time.sleep(0.01)

    def stop(self):
        self.over.set()
        self.join()
        for it in self.files:
            it.close()


class Auditor(threading.Thread):
    """Follows the balances, breaks off now and then, goes on from where it was, and adds up after each frame."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.url = f"http://127.0.0.1:{port}/api/v1/views/balances/changes"
        self.balances = collections.Counter()
        self.last, self.frames, self.resumed, self.wrong = None, 0, 0, None
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            try:
                headers = {"last-event-id": self.last} if self.last else {}
                with urllib.request.urlopen(urllib.request.Request(self.url, headers=headers), timeout=30) as stream:
                    self.listen(stream)
            except OSError:
                pass
            except Exception as error:
                self.wrong = self.wrong or f"{error!r}"
                return
            time.sleep(0.05)

    def listen(self, stream):
        first, frame = True, {}
        until = self.frames + random.randint(2, 12)
        for line in stream:
            if self.over.is_set() or until < self.frames:
                return
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                frame[name] = value
                continue
            if frame.get("event") in ("snapshot", "reset", "changes"):
                self.resumed += first and frame["event"] == "changes"
                first = False
                self.take(frame["event"], json.loads(frame["data"]))
            self.last = frame.get("id", self.last)
            frame = {}

    def take(self, event, data):
        key = lambda row: (row["account"], row["balance"], row["postings"])
        if event == "changes":
            for it in data["changes"]:
                self.balances[key(it["row"])] += it["diff"]
        else:
            self.balances = collections.Counter(map(key, data["rows"]))
        self.frames += 1
        money = sum(balance * count for (_, balance, _), count in self.balances.items())
        strange = [it for it in self.balances.items() if it[1] not in (0, 1)]
        if money != 0 or strange:
            self.wrong = self.wrong or f"{event} of epoch {data['epoch']}: money {money}, rows {strange[:5]}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="between two kills, at most")
    options = parser.parse_args()
    seed = int(os.environ.get("SEED", time.time()))
    random.seed(seed)
    print(f"seed {seed}")
    for processes in (1, 3):
        with tempfile.TemporaryDirectory() as folder:
            run(options, pathlib.Path(folder), processes)


def run(options, root, processes):
    files = root / "input"
    payments = Payments(files)
    kind = Pipeline if processes == 1 else Cluster
    with kind(options.binary, DATAFLOW, root, files, commit_interval=0.5) as pipeline:
        auditor = Auditor(pipeline.port)
        payments.start()
        auditor.start()
        for _ in range(options.kills):
            start(pipeline, processes)
            wait("the auditor is at work", lambda: auditor.frames, 60)
            time.sleep(random.uniform(0.2, options.seconds))
            pipeline.kill()
        start(pipeline, processes)
        frames = auditor.frames
        wait("the auditor goes on after the last start", lambda: auditor.wrong or frames + 5 < auditor.frames, 60)
        payments.stop()
        pipeline.wait_value("SELECT postings FROM bank", 2 * payments.count)
        wait("the auditor has seen everything", lambda: auditor.wrong or seen(auditor) == payments.balances, 30)
        assert pipeline.value("SELECT money FROM bank") == 0
        began = time.monotonic()
        pipeline.stop()  # with the auditor at its stream
        seconds = time.monotonic() - began
        assert seconds < STOP_SECONDS_MAX, f"it took {seconds:.1f} s to stop"
        auditor.over.set()
        assert auditor.wrong is None, f"the stream showed {auditor.wrong}"
    assert auditor.resumed, "the auditor never resumed where it was"
    versions = check_versions(root / "lake" / "balances", payments)
    shape = "1 process" if processes == 1 else f"{processes} processes"
    print(
        f"ok, {shape}: {payments.count} transfers, {options.kills} kills, {auditor.frames} frames ({auditor.resumed} times resumed)"
        f" and {versions} versions: no money came or went"
    )


def start(pipeline, processes):
    if processes == 1:
        pipeline.start(workers=3)
    else:
        pipeline.start(workers=1, processes=processes)


def seen(auditor):
    return {account: balance for (account, balance, _), count in auditor.balances.items() if count}


def check_versions(table, payments):
    for version in itertools.count(1):
        if not (table / "_delta_log" / f"{version:020}.json").exists():
            break
        with connect() as connection:
            create_view(connection, replay(table, version), "t")
            rows = dict(connection.execute("SELECT account, balance FROM t").fetchall())
        money = sum(rows.values())
        assert money == 0, f"version {version} has {money} more than nothing"
    assert rows == payments.balances, "the last version is not what was paid"
    return version - 1


if __name__ == "__main__":
    main()
