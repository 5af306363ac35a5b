#!/usr/bin/env python3
"""Runs the binary on generated files, kills it at random moments, and compares lake and views with a recount.

Usage: end_to_end.py BINARY [--kills N] [--events N]

Standard library only: the recount is made from the input lines themselves, the lake is read through the API
and by a replay of the Delta log that shares no code with the engine. Ends with 0 if everything agrees.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as it:
        return json.load(it)


def sql(port, query):
    body = json.dumps({"query": query, "limit": 10000}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/sql", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as it:
        return json.load(it)["rows"]


def start(binary, root, port, log):
    command = [binary, "run", str(root / "dataflows/web_logs"), "--input", str(root / "input"), "--lake", str(root / "lake")]
    command += ["--listen", f"127.0.0.1:{port}", "--workers", str(random.choice([1, 2, 3])), "--commit-interval", "1"]
    return subprocess.Popen(command, stderr=log, env={**os.environ, "WATERMARK_DELAY_SECONDS": "3600"})


def wait(what, test, seconds=120):
    end = time.time() + seconds
    while time.time() < end:
        try:
            if test():
                return
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.1)
    sys.exit(f"gave up waiting for: {what}")


def replay(table):
    """Active files and the txn versions of a Delta table, from its JSON log alone."""
    files, txns = {}, {}
    for entry in sorted((table / "_delta_log").glob("*.json")):
        for line in entry.read_text().splitlines():
            action = json.loads(line)
            if "add" in action:
                files[action["add"]["path"]] = json.loads(action["add"]["stats"])["numRecords"]
            if "remove" in action:
                assert files.pop(action["remove"]["path"], None) is not None, f"{entry}: removes a file that is not there"
            if "txn" in action:
                txns[action["txn"]["appId"]] = action["txn"]["version"]
    for path in files:
        assert (table / path).exists(), f"{table}: {path} is named and missing"
    return files, txns


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--events", type=int, default=300_000)
    options = parser.parse_args()
    seed = int(os.environ.get("SEED", time.time()))
    random.seed(seed)
    print(f"seed {seed}")
    source = pathlib.Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "dataflows").symlink_to(source / "dataflows")
        half = options.events // 2
        generate = [options.binary, "gen", "--rate", "2000", "--out", str(root / "input"), "--start", "2026-01-31T12:00:00Z"]
        subprocess.run([*generate, "--count", str(half), "--seed", "1"], check=True)
        with open(root / "input/events-0.jsonl", "a") as it:
            it.write("not json\n{\"timestamp\": \"yesterday\"}\n\n")
        log = open(root / "log", "w")
        port = free_port()
        for kill in range(options.kills):
            process = start(options.binary, root, port, log)
            time.sleep(random.uniform(0.05, 2.5))
            process.send_signal(signal.SIGKILL)
            process.wait()
            if kill == options.kills // 2:
                subprocess.run([*generate, "--count", str(options.events - half), "--seed", "2"], check=True)
        process = start(options.binary, root, port, log)
        try:
            lines = [json.loads(it) for file in sorted((root / "input").iterdir()) for it in file.read_text().splitlines() if it.startswith('{"timestamp": "2') or it.startswith('{"timestamp":"2')]
            total = len(lines)
            assert total == options.events, f"{total} lines were generated"
            wait("all records in the views", lambda: sql(port, "SELECT requests FROM totals")[0]["requests"] >= total)
            wait("all records in the lake", lambda: sql(port, "SELECT count(*) AS n FROM lake.logs")[0]["n"] >= total)
            check(port, root, lines)
            anomalies = len(sql(port, "SELECT * FROM anomalies"))
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0, "the stop was not clean"
            proof = [options.binary, "verify", str(root / "dataflows/web_logs"), "--input", str(root / "input"), "--lake", str(root / "lake")]
            assert subprocess.run(proof, env={**os.environ, "WATERMARK_DELAY_SECONDS": "3600"}).returncode == 0, "the proof failed"
            files, txns = replay(root / "lake/logs")
            assert sum(files.values()) == total, f"the log of the archive counts {sum(files.values())} records of {total}"
            generation = max(version for app, version in txns.items() if app.endswith("#generation"))
            print(f"ok: {total} records, {options.kills} kills, generation {generation}, {len(files)} files, {anomalies} anomalies: everything once")
        except BaseException:
            process.kill()
            log.flush()
            print((root / "log").read_text()[-5000:], file=sys.stderr)
            raise


def check(port, root, lines):
    """Views and lake against a recount of the input lines."""
    total = len(lines)
    logs = sql(port, "SELECT count(*) AS n, count(DISTINCT CAST(_partition AS TEXT) || '/' || CAST(_offset AS TEXT)) AS d FROM lake.logs")[0]
    assert logs == {"n": total, "d": total}, f"archive: {logs}, input: {total}"
    dead = sql(port, "SELECT count(*) AS n FROM lake.dead_letters")[0]["n"]
    assert dead == 3, f"{dead} dead letters"
    expected = collections.defaultdict(lambda: [0, 0, 0.0, 0.0])
    for it in lines:
        entry = expected[it["endpoint"]]
        entry[0] += 1
        entry[1] += it["status_code"] >= 400
        entry[2] += it["response_time"]
        entry[3] = max(entry[3], it["response_time"])
    for row in sql(port, "SELECT * FROM endpoints"):
        want = expected.pop(row["endpoint"])
        assert (row["requests"], row["errors"], row["response_time_max"]) == (want[0], want[1], want[3]), (row, want)
        assert abs(row["response_time_mean"] - want[2] / want[0]) < 1e-9 * want[2], (row, want)
    assert not expected, expected
    minutes = collections.Counter((it["timestamp"][:16], it["endpoint"]) for it in lines)
    for table in ("traffic_1m", "lake.traffic_1m"):
        wait(table, lambda table=table: sql(port, f"SELECT sum(requests) AS n FROM {table}")[0]["n"] == total)
        rows = sql(port, f"SELECT window_start, endpoint, requests FROM {table}")
        found = {(row["window_start"][:16], row["endpoint"]): row["requests"] for row in rows}
        assert found == dict(minutes) and len(rows) == len(minutes), f"{table} differs from the recount"
    users = collections.defaultdict(set)
    for it in lines:
        users[it["timestamp"][:13]].add(it["session_id"])
    for row in sql(port, "SELECT window_start, sessions FROM hourly"):
        want = len(users[row["window_start"][:13]] - {None})
        assert row["sessions"] == want, (row, want)
    batch = sql(port, "SELECT endpoint, approx_percentile_cont(response_time, 0.95) AS p FROM lake.logs GROUP BY endpoint")
    live = sql(port, "SELECT endpoint, response_time_p95 AS p FROM endpoints")
    order = lambda rows: sorted((row["endpoint"], row["p"]) for row in rows)
    assert order(batch) == order(live), "percentiles over the lake differ from the live ones"


if __name__ == "__main__":
    main()
