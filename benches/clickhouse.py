#!/usr/bin/env python3
"""The same work in batch by ClickHouse and live by Tidelake: processor seconds per million records.

    clickhouse.py BINARY [--records N]

Run it with the Python that tests/readers/setup.sh makes; ClickHouse runs inside it, as chdb, with two threads. The work: generated
records of 13 fields, to Parquet (zstd 1), and per minute and endpoint how many, their mean response time, errors and different
addresses. ClickHouse reads each file once per step, from the page cache; what it needs to start is taken off. Tidelake does it with two
workers, its start, commits and stop counted in, and again with all views and columns of `web_logs`.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

from pipeline import DATAFLOWS, Pipeline, wait  # noqa: E402

FIELDS = """timestamp DateTime64(6), ip String, method String, endpoint String, status_code Int32, response_time Float64,
user_agent String, user_id Nullable(String), session_id Nullable(String), bytes_sent Int64, referer Nullable(String),
request_size Int64, query_params Nullable(String)"""
SETTINGS = """SETTINGS max_threads = 2, date_time_input_format = 'best_effort', output_format_parquet_compression_method = 'zstd',
output_format_compression_level = 1"""
GROUPED = """SELECT toStartOfMinute(timestamp) AS minute, endpoint, count() AS requests, avg(response_time), countIf(status_code >= 400),
uniqExact(ip) FROM {input} GROUP BY minute, endpoint"""

DATAFLOW = """
CREATE SOURCE events (
  timestamp TIMESTAMP NOT NULL, ip TEXT, method TEXT, endpoint TEXT, status_code INT, response_time DOUBLE, user_agent TEXT, user_id TEXT,
  session_id TEXT, bytes_sent BIGINT, referer TEXT, request_size BIGINT, query_params TEXT,
  WATERMARK FOR timestamp AS timestamp - INTERVAL '10' SECOND
) WITH (connector = 'kafka', brokers = 'localhost:1', topic = 'events') FORMAT JSON;
CREATE TABLE logs AS SELECT timestamp, ip, method, endpoint, status_code, response_time, user_agent, user_id, session_id, bytes_sent, referer,
  request_size, query_params FROM events;
CREATE MATERIALIZED VIEW traffic AS
SELECT window_start, endpoint, count(*) AS requests, avg(response_time) AS response_time_mean,
       count(*) FILTER (WHERE status_code >= 400) AS errors, count(DISTINCT ip) AS addresses
FROM TUMBLE(logs, timestamp, INTERVAL '1' MINUTE) GROUP BY window_start, endpoint;
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--records", type=int, default=4_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files = folder / "input"
        generate = [options.binary, "gen", "--rate", "100000", "--count", str(options.records), "--seed", "1", "--partitions", "8"]
        start = ["--start", "2026-01-01T00:00:00Z", "--out", str(files)]
        subprocess.run([*generate, *start], check=True, stderr=subprocess.DEVNULL)
        for path in files.iterdir():
            path.read_bytes()
        print(f"{options.records} records; processor seconds per million")
        for name, seconds in [*clickhouse(folder, files), *tidelake(options, folder, files)]:
            print(f"{name:<58}{seconds / options.records * 1e6:6.2f}", flush=True)


def clickhouse(folder, files):
    source = f"file('{files}/*.jsonl', 'JSONEachRow', '{' '.join(FIELDS.split())}')"
    grouped = GROUPED.format(input=source)
    archived = f"INSERT INTO FUNCTION file('{folder}/archive.parquet', 'Parquet') SELECT * FROM {source}"
    start = batch("SELECT 1")
    yield "ClickHouse in batch: grouped", batch(grouped) - start
    yield "ClickHouse in batch: to Parquet", batch(archived) - start
    (folder / "archive.parquet").unlink()
    yield "ClickHouse in batch: both", batch(archived, grouped) - start


def batch(*queries):
    """Processor seconds of a process that asks these, one after the other."""
    program = "import sys, chdb\nfor query in sys.argv[1:]: chdb.query(query, 'CSV')"
    child = subprocess.Popen([sys.executable, "-c", program, *(f"{it} {SETTINGS}" for it in queries)])
    return used(child)


def used(child):
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"it ended with {child.returncode}"
    return used.ru_utime + used.ru_stime


def tidelake(options, folder, files):
    same = folder / "same"
    same.mkdir()
    (same / "dataflow.sql").write_text(DATAFLOW)
    for name, dataflow in [("the same, live, in commits", same), ("all views and columns of web_logs", DATAFLOWS / "web_logs")]:
        with Pipeline(options.binary, dataflow, folder / dataflow.name) as pipeline:
            pipeline.source = files
            pipeline.start(workers=2, TIDELAKE_LOG="warn")
            read = lambda: sum(it["records"] for it in pipeline.get("/api/v1/status")["sources"])  # noqa: B023, E731
            wait("all records are read", lambda: read() == options.records)  # noqa: B023
            pipeline.process.terminate()
            child, pipeline.process = pipeline.process, None
            yield f"Tidelake: {name}", used(child)


if __name__ == "__main__":
    main()
