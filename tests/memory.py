#!/usr/bin/env python3
"""Gives the program less memory than the state of its dataflow needs, and holds it to that.

    memory.py BINARY

Needs nothing but Python and Linux. Three things are shown of one input with very many groups:
  what is told of the state is what the allocator says, within a factor;
  with a budget the process stays below it, health names the view, and what to do;
  started again with more memory it reads on, and the lake is proved to lack nothing.
"""

import argparse
import pathlib
import re
import subprocess
import tempfile
import time
import urllib.request

from pipeline import Pipeline, wait

RECORDS = 700_000
BUDGET_MIB = 448
# What is told of all state, against what the allocator gave out since there was none: between these.
TOLD_LEAST, TOLD_MOST = 0.6, 1.2

DATAFLOW = """
SET dataflow = 'crowd';
CREATE SOURCE visits (at TIMESTAMP NOT NULL, visitor TEXT, page TEXT, bytes BIGINT) WITH (connector = 'kafka', brokers = 'localhost:9092', topic = 'visits') FORMAT JSON;
CREATE TABLE visit_log AS SELECT at, visitor, page, bytes FROM visits;
CREATE MATERIALIZED VIEW visitors AS
SELECT visitor, count(*) AS visits, sum(bytes) AS bytes, max(page) AS last_page FROM visit_log GROUP BY visitor;
CREATE MATERIALIZED VIEW pages AS SELECT page, count(*) AS visits FROM visit_log GROUP BY page;
CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS visits FROM visit_log;
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "crowd").mkdir()
        (root / "crowd" / "dataflow.sql").write_text(DATAFLOW)
        files = root / "input"
        files.mkdir()
        write(files / "visits-0.jsonl", 0, RECORDS // 2)
        told(options.binary, root, files)
        write(files / "visits-0.jsonl", RECORDS // 2, RECORDS)
        held_to_a_budget(options.binary, root, files)


def write(path, first, end):
    with open(path, "a") as file:
        for it in range(first, end):
            at = f"2026-02-01T{it // 3600000 % 24:02d}:{it // 60000 % 60:02d}:{it // 1000 % 60:02d}.{it % 1000:03d}Z"
            file.write(f'{{"at":"{at}","visitor":"a visitor with the number {it:012d}","page":"/{it % 97}","bytes":{it % 5003}}}\n')


def metrics(pipeline):
    with urllib.request.urlopen(f"http://127.0.0.1:{pipeline.port}/metrics", timeout=10) as it:
        text = it.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", text, re.MULTILINE)}


def of_state(all_metrics):
    return sum(value for name, value in all_metrics.items() if name.startswith("tidelake_view_state_bytes{"))


def told(binary, root, files):
    """The sum of all state against the allocator."""
    empty = root / "none"
    empty.mkdir()
    (empty / "visits-0.jsonl").touch()
    # One with nothing to read, for what the program takes by itself.
    with Pipeline(binary, root / "crowd", root / "told", empty) as pipeline:
        pipeline.start(workers=2)
        wait("a server", lambda: pipeline.get("/api/v1/status")["overall"] == "ok")
        time.sleep(3)
        before = metrics(pipeline)["tidelake_allocated_bytes"]
        pipeline.stop()
    with Pipeline(binary, root / "crowd", root / "told2", files) as pipeline:
        pipeline.start(workers=2)
        pipeline.wait_value("SELECT visits FROM totals", RECORDS // 2, 300)
        # Commits are made, the ring of changes is as it stays, and counts are told once a second.
        time.sleep(8)
        now = metrics(pipeline)
        taken, state = now["tidelake_allocated_bytes"] - before, of_state(now)
        rows = now['tidelake_view_state_rows{view="visitors"}']
        busy = sum(it for name, it in now.items() if name.startswith('tidelake_relation_busy_seconds_total{relation="vis'))
        print(f"state {state / 1e6:.0f} MB told, {taken / 1e6:.0f} MB taken: {state / taken:.2f}; {busy:.1f} s busy")
        assert TOLD_LEAST < state / taken < TOLD_MOST, (state, taken)
        # Each group, and each live row.
        assert rows == 2 * (RECORDS // 2), rows
        assert 0.1 < busy, busy
        node = next(it for it in pipeline.get("/api/v1/pipeline")["nodes"] if it["id"] == "view:visitors")
        assert node["state_bytes"] > state / 2 and node["busy_share"] is not None, node
        assert node["limits"] == "memory", node
        explained = pipeline.sql("EXPLAIN SELECT count(*) FROM visitors")[-1]
        assert explained["plan_type"] == "live view visitors", explained
        assert f"state {rows:.0f} rows" in explained["plan"], explained
        assert f"keeps {rows / 2:.0f} rows" in explained["plan"], explained
        nodes = pipeline.get("/api/v1/views/visitors/plan")["nodes"]
        of_groups = next(it for it in nodes if it["text"].startswith("Aggregate"))
        assert of_groups["state_rows"] == rows / 2 and of_groups["state_bytes"] > state / 5, of_groups
        # A rate is of two counts, which a busy machine takes longer to tell.
        def has_rates():
            return all(it["changes_per_second"] is not None for it in pipeline.get("/api/v1/views/visitors/plan")["nodes"])

        wait("rates of each node", has_rates, 60)
        pipeline.stop()


def resident_mib(pipeline):
    status = pathlib.Path(f"/proc/{pipeline.process.pid}/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
    return peak / 1024


def held_to_a_budget(binary, root, files):
    with Pipeline(binary, root / "crowd", root / "held", files) as pipeline:
        pipeline.start(workers=2, arguments=["--memory-max", f"{BUDGET_MIB}MiB"])

        def full():
            component = next((it for it in pipeline.get("/api/v1/status")["components"] if it["name"] == "memory"), None)
            return component if component and component["status"] == "degraded" else None

        component = wait("memory is full", full, 300)
        assert "largest state: visitors " in component["detail"], component
        assert "--memory-max" in component["detail"], component
        read, peak = 0, 0
        # It stays there: what was read is committed, and no more is read.
        for _ in range(12):
            time.sleep(1)
            peak = resident_mib(pipeline)
            assert peak < BUDGET_MIB, f"{peak:.0f} MiB were taken of {BUDGET_MIB}"
            read = pipeline.value("SELECT visits FROM totals") or 0
        assert 0 < read < RECORDS, read
        print(f"{read} of {RECORDS} records with {BUDGET_MIB} MiB, at most {peak:.0f} MiB taken: {component['detail']}")
        pipeline.stop()
        pipeline.start(workers=2, arguments=["--memory-max", "6GiB"])
        pipeline.wait_value("SELECT visits FROM totals", RECORDS, 300)
        pipeline.wait_value("SELECT count(*) FROM visitors", RECORDS)
        pipeline.wait_value("SELECT count(*) FROM lake.visitors", RECORDS)
        component = next(it for it in pipeline.get("/api/v1/status")["components"] if it["name"] == "memory")
        assert component["status"] == "ok", component
        pipeline.stop()
        proof = [binary, "verify", str(root / "crowd"), "--input", str(files), "--lake", str(pipeline.lake)]
        assert subprocess.run(proof, stdout=subprocess.DEVNULL).returncode == 0, f"the proof failed: {proof}"
    print("ok: held to its budget, named the view, and lost nothing")


if __name__ == "__main__":
    main()
