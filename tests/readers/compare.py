#!/usr/bin/env python3
"""Reads a Delta table with independent readers and holds their answers together.

    compare.py TABLE_DIR [--distinct COL,COL] [--expect-rows N] [--expect-distinct N]
                         [--query 'SELECT ... FROM t'] [--json]

Run it with the Python that setup.sh makes. The readers:

    replay            replay.py, and DuckDB on the files that it finds active
    clickhouse        ClickHouse (chdb): its Parquet reader, delta-kernel for the log
    duckdb-delta      DuckDB's delta extension: another build of delta-kernel

So the log is read by two programs: the replay, which looks at every file, and
delta-kernel, which skips files by their statistics. (ClickHouse has an older reader
of its own, but that fails on columns added later and on logs that were cleaned up.)

Each counts the rows, counts the distinct tuples of the columns of --distinct (nulls
count as values), and runs --query, whose SQL must mean the same to ClickHouse and
DuckDB. Rows of the query are compared in any order, numbers by value and floats
up to one part in a million.

Before them the log itself is looked at: its replay from a log checkpoint must be
its replay from version 0, if all commits are still there, and the sum of
numRecords must be the number of rows.

Exits 0 when all agree, with each other and with what was expected, and 1 with a
diff when they do not or when one cannot read the table. The table must not be
written to meanwhile.
"""

import argparse
import contextlib
import datetime
import decimal
import difflib
import importlib.metadata
import io
import json
import math
import sys
import time
from pathlib import Path

from replay import ReplayError, connect, create_view, literal, num_records, quote, replay

FLOAT_TOLERANCE = 1e-6
DIFF_LINES_MAX = 60


def main():
    arguments = parse_arguments()
    queries = {"rows": "SELECT count(*) FROM t"}
    if arguments.distinct:
        columns = ", ".join(quote(name.strip()) for name in arguments.distinct.split(","))
        queries["distinct"] = f"SELECT count(*) FROM (SELECT DISTINCT {columns} FROM t) AS d"
    if arguments.query:
        queries["query"] = arguments.query

    answers, seconds, complaints = {}, {}, check_log(arguments.table)
    for name, read in READERS.items():
        started = time.monotonic()
        try:
            raw = read(arguments.table.resolve(), queries)
            answers[name] = {question: normalized(rows) for question, rows in raw.items()}
        except Exception as error:  # whatever a reader throws: it cannot read the table
            complaints.append(f"{name} could not read the table: {error}")
        seconds[name] = round(time.monotonic() - started, 2)

    complaints += disagreements(answers)
    expectations = {"rows": arguments.expect_rows, "distinct": arguments.expect_distinct}
    complaints += surprises(answers, expectations)

    report(answers, seconds, arguments.json)
    for complaint in complaints:
        print(f"compare.py: {complaint}", file=sys.stderr)
    sys.exit(1 if complaints else 0)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, metavar="TABLE_DIR")
    parser.add_argument("--distinct", metavar="COL,COL", help="count the distinct tuples of these")
    parser.add_argument("--expect-rows", type=int, metavar="N")
    parser.add_argument("--expect-distinct", type=int, metavar="N")
    parser.add_argument("--query", metavar="SQL", help="a SELECT from t that all readers run")
    parser.add_argument("--json", action="store_true", help="print the answers as one JSON object")
    arguments = parser.parse_args()
    if arguments.expect_distinct is not None and not arguments.distinct:
        parser.error("--expect-distinct needs --distinct")
    return arguments


# --- what is compared -------------------------------------------------------------


def check_log(table):
    try:
        snapshot = replay(table)
        complaints = []
        entries = {entry.name for entry in (table / "_delta_log").glob("*.json")}
        if all(f"{version:020}.json" in entries for version in range(snapshot.version + 1)):
            from_zero = replay(table, use_checkpoint=False)
            for part, left in log_parts(snapshot).items():
                right = log_parts(from_zero)[part]
                if left != right:
                    complaints.append(
                        f"the log checkpoint and the commits disagree about {part}:\n"
                        + diff("checkpoint", left, "commits", right)
                    )
        with connect() as connection:
            create_view(connection, snapshot, "t")
            rows = connection.execute("SELECT count(*) FROM t").fetchone()[0]
        if snapshot.num_records() not in (None, rows):
            complaints.append(
                f"numRecords add up to {snapshot.num_records()}, but there are {rows} rows"
            )
        return complaints
    except ReplayError as error:
        return [f"the log is not what it should be: {error}"]


def log_parts(snapshot):
    """What a checkpoint has to keep."""
    return {
        "files": {
            path: [add["size"], add["partitionValues"], num_records(add)]
            for path, add in snapshot.files.items()
        },
        "txn": snapshot.txns,
        "columns": snapshot.columns(),
        "partition columns": dict(enumerate(snapshot.metadata["partitionColumns"])),
    }


def surprises(answers, expectations):
    """One complaint for each count that is not as expected; None expects nothing."""
    return [
        f"{name}: {question} is {answer[question][0][0]}, expected {expected}"
        for name, answer in answers.items()
        for question, expected in expectations.items()
        if expected is not None and answer[question] != [[expected]]
    ]


def disagreements(answers):
    """One complaint for each answer that is not what the first reader says."""
    if not answers:
        return []
    (first, reference), *others = answers.items()
    return [
        f"{first} and {name} disagree about {question}:\n"
        + diff(first, expected, name, answer[question])
        for name, answer in others
        for question, expected in reference.items()
        if not same(expected, answer[question])
    ]


def diff(left_name, left, right_name, right):
    names_and_context = {"fromfile": left_name, "tofile": right_name, "lineterm": "", "n": 1}
    lines = list(difflib.unified_diff(as_lines(left), as_lines(right), **names_and_context))
    if len(lines) > DIFF_LINES_MAX:
        lines[DIFF_LINES_MAX:] = [f"… and {len(lines) - DIFF_LINES_MAX} lines more"]
    return "\n".join(lines)


def as_lines(value):
    if isinstance(value, dict):
        return [f"{key}: {json.dumps(value[key], sort_keys=True)}" for key in sorted(value)]
    return [json.dumps([shown(each) for each in row]) for row in value]


def shown(value):
    """Floats that are the same to us should look the same."""
    return float(f"{value:.6e}") if isinstance(value, float) else value


def same(left, right):
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        if isinstance(left, int) and isinstance(right, int):
            return left == right
        both_nan = math.isnan(left) and math.isnan(right)
        return both_nan or math.isclose(left, right, rel_tol=FLOAT_TOLERANCE)
    return left == right


def normalized(rows):
    """Rows as JSON values, sorted; floats decide the order only where nothing else does."""
    rows = [[json_value(value) for value in row] for row in rows]

    def order(row):
        exact = [(type_rank(v), 0 if isinstance(v, float) else sortable(v)) for v in row]
        floats = [-math.inf if math.isnan(v) else v for v in row if isinstance(v, float)]
        return exact, floats

    return sorted(rows, key=order)


def type_rank(value):
    kinds = (type(None), float, int, str, list, dict)
    return next(rank for rank, kind in enumerate(kinds) if isinstance(value, kind))


def sortable(value):
    if value is None:
        return 0
    return json.dumps(value, sort_keys=True) if isinstance(value, (list, dict)) else value


def json_value(value):
    """The JSON value that stands for one of DuckDB's or Arrow's Python values."""
    match value:
        case None | str():
            return value
        case bool():
            return int(value)  # ClickHouse answers a comparison with 0 or 1
        case int() | float():
            return value
        case decimal.Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case bytes():
            return value.decode(errors="surrogateescape")
        case datetime.datetime():
            utc = value.astimezone(datetime.UTC) if value.tzinfo else value
            return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        case datetime.date() | datetime.time():
            return value.isoformat()
        case list() | tuple():
            return [json_value(each) for each in value]
        case dict():
            return {str(key): json_value(each) for key, each in value.items()}
        case _:
            return str(value)


# --- the readers: each takes a table and queries and gives the rows of each ---------


def read_by_replay(table, queries):
    with connect() as connection:
        create_view(connection, replay(table), "t")
        return answer_by_duckdb(connection, queries)


def read_by_duckdb_delta(table, queries):
    with connect() as connection:
        extension = next(
            file.locate()
            for file in importlib.metadata.files("duckdb-ext-delta")
            if file.name == "delta.duckdb_extension"
        )
        connection.execute(f"LOAD {literal(str(extension))}")
        connection.execute(f"CREATE VIEW t AS FROM delta_scan({literal(table.as_uri())})")
        return answer_by_duckdb(connection, queries)


def answer_by_duckdb(connection, queries):
    return {name: connection.execute(sql).fetchall() for name, sql in queries.items()}


def read_by_clickhouse(table, queries):
    import chdb
    import pyarrow

    settings = {
        "session_timezone": "UTC",
        # A query that both engines read alike needs standard nulls and joins.
        "join_use_nulls": 1,
        "aggregate_functions_null_for_empty": 1,
        "union_default_mode": "DISTINCT",
        "output_format_arrow_string_as_string": 0,
    }
    # chdb reads local tables only when they are below the current folder.
    with contextlib.chdir(table.parent), contextlib.closing(chdb.connect(":memory:")) as connection:
        for name, value in settings.items():
            connection.query(f"SET {name} = {literal(str(value))}")
        connection.query(f"CREATE VIEW t AS SELECT * FROM deltaLakeLocal({literal(str(table))})")
        answers = {}
        for name, sql in queries.items():
            stream = io.BytesIO(connection.query(sql, "ArrowStream").bytes())
            columns = pyarrow.ipc.open_stream(stream).read_all().columns
            answers[name] = list(zip(*(column.to_pylist() for column in columns), strict=True))
        return answers


READERS = {
    "replay": read_by_replay,
    "clickhouse": read_by_clickhouse,
    "duckdb-delta": read_by_duckdb_delta,
}


def report(answers, seconds, as_json):
    if as_json:
        print(json.dumps({"answers": answers, "seconds": seconds}))
        return
    for name, answer in answers.items():
        questions = [question for question in answer if question != "query"]
        counts = [f"{question} {answer[question][0][0]}" for question in questions]
        if "query" in answer:
            counts.append(f"query {len(answer['query'])} rows")
        print(f"{name}: {', '.join(counts)} ({seconds[name]} s)")


if __name__ == "__main__":
    main()
