#!/usr/bin/env python3
"""Runs real access logs through dataflows/access_log and counts them again.

    real_logs.py BINARY [--logs DIR]

Run it with the Python that tests/readers/setup.sh makes. Without DIR it takes the parts in tests/fixtures/access_log;
DIR holds the whole files under the same names. Every line must be a record or a dead letter with its very bytes.
The recount reads lines by one regular expression and shares nothing with the engine's parser.
"""

import argparse
import re
import shutil
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from pipeline import DATAFLOWS, Pipeline
from recount import connect, create_view, micros, replay

FIXTURES = Path(__file__).resolve().parent / "fixtures/access_log"
# What is known of a file, by its number of lines: records and dead letters.
KNOWN = {
    ("erddap-nginx.log", 16_275): (10_394, 5_881),
    ("erddap-nginx.log", 400): (284, 116),
    ("apache-combined.log", 10_000): (9_999, 1),
    ("apache-combined.log", 300): (299, 1),
}
LINE = re.compile(
    rb"(?P<ip>\S+) \S+ (?P<user>\S+) \[(?P<time>[^]]+)\] "
    rb'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<bytes>\d+|-)'
    rb'( "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*")?'
)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary", type=Path)
    parser.add_argument("--logs", type=Path, default=FIXTURES)
    options = parser.parse_args()
    for name in ("erddap-nginx.log", "apache-combined.log"):
        with tempfile.TemporaryDirectory() as folder:
            run(options.binary.resolve(), options.logs / name, Path(folder))


def run(binary, log, folder):
    files = folder / "input"
    files.mkdir()
    shutil.copy(log, files)
    lines = log.read_bytes().split(b"\n")
    assert lines.pop() == b"", f"{log} does not end with a line end"
    matches = [LINE.fullmatch(it) for it in lines]
    records = [it for it in matches if it]
    dead = len(matches) - len(records)
    assert (len(records), dead) == KNOWN[log.name, len(lines)], f"{log}: {len(records)} records, {dead} others"
    with Pipeline(binary, DATAFLOWS / "access_log", folder / "run", files) as pipeline:
        pipeline.start()
        pipeline.wait_value("SELECT requests FROM totals", len(records))
        pipeline.wait_value("SELECT count(*) FROM lake.dead_letters", dead)
        # Of the last minute, in which all of it was read.
        told = ["are not decoded"] if 0.05 <= dead / len(matches) else []
        pipeline.wait_health("degraded" if told else "ok", "1 partition, 0 bytes behind", *told)
        check_views(pipeline, records)
        pipeline.stop()
    check_tables(pipeline.lake, lines, matches)
    print(f"ok: {log.name}: {len(records)} records, {dead} dead letters", flush=True)


def status_of(record):
    return int(record["status"])


def bytes_of(record):
    return 0 if record["bytes"] == b"-" else int(record["bytes"])


def time_of(record):
    return datetime.strptime(record["time"].decode(), "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC)


def check_views(pipeline, records):
    statuses = {it["status"]: it["requests"] for it in pipeline.sql("SELECT status, requests FROM statuses")}
    assert statuses == Counter(map(status_of, records)), statuses
    times = sorted(map(time_of, records))
    totals = pipeline.sql("SELECT * FROM totals")
    as_text = lambda it: it.isoformat().replace("+00:00", "Z")
    assert totals == [
        {
            "requests": len(records),
            "errors": sum(400 <= status_of(it) for it in records),
            "server_errors": sum(500 <= status_of(it) for it in records),
            "visitors": len({it["ip"] for it in records}),
            "bytes": sum(map(bytes_of, records)),
            "first_timestamp": as_text(times[0]),
            "last_timestamp": as_text(times[-1]),
        }
    ], totals
    hours = {it["window_start"]: it["requests"] for it in pipeline.sql("SELECT window_start, requests FROM traffic_1h")}
    expected = Counter(as_text(it.replace(minute=0, second=0)) for it in times)
    assert hours == expected, f"hours differ: {hours} {expected}"


def check_tables(lake, lines, matches):
    """Every line is where it belongs, once, under the byte it begins at."""
    offsets, at = [], 0
    for line in lines:
        offsets.append(at)
        at += len(line) + 1
    with connect() as connection:
        for name in ("requests", "dead_letters"):
            create_view(connection, replay(lake / name), name)
        letters = connection.execute("SELECT _offset, raw FROM dead_letters ORDER BY 1").fetchall()
        wanted = [(at, line) for at, line, match in zip(offsets, lines, matches, strict=True) if not match]
        assert letters == wanted, f"dead letters differ: {letters[:3]} {wanted[:3]}"
        rows = connection.execute(
            "SELECT _offset, ip, timestamp, status, coalesce(bytes, 0), _late_watermark IS NULL FROM requests ORDER BY 1"
        ).fetchall()
        found = [(*row[:2], micros(row[2]), *row[3:]) for row in rows]
        wanted = [
            (at, it["ip"].decode(), micros(time_of(it)), status_of(it), bytes_of(it), True)
            for at, it in zip(offsets, matches, strict=True)
            if it
        ]
        assert found == wanted, "the archive differs from the lines"


if __name__ == "__main__":
    main()
