#!/usr/bin/env python3
"""Queries with the results that SQL says they have, as sqllogictest files, run in every way that Tidelake can run them.

    logic.py BINARY [--long] [FILE.slt …]      tests/logic/*.slt if none are given
    logic.py --write FILE.slt …                writes the results that DuckDB gives into files

Run it with the Python that tests/readers/setup.sh makes. The tables of a file are relations of a dataflow, and its queries views. DuckDB
executes the statements, and has to give the results of the file itself. Then its tables are what records have to add up to:

- `row by row`: one record after another, each in an epoch of its own, with one worker;
- `in random epochs`: records in random pieces and partitions, with versions of rows before the last one and rows that are removed again,
  with 2 or 3 workers, stopped and started on the way;
- `by two processes`, in the same way.

The views must have the rows of the file in the end, and so must the same queries asked ad hoc. SEED repeats a run.
"""

import argparse
import contextlib
import datetime
import decimal
import json
import os
import pathlib
import random
import re
import sys
import tempfile
import threading
import time
import urllib.request

import duckdb

from pipeline import Cluster, Pipeline, wait

FOLDER = pathlib.Path(__file__).resolve().parent / "logic"
PARTITIONS = 3
# A wrong result stays wrong; on a machine that is busy with other things, a right one may take minutes.
REACHED_SECONDS_MAX = 240


class Query:
    def __init__(self, line, types, sql, expected):
        self.line, self.types, self.sql, self.expected = line, types, sql, expected
        self.name = f"query_{line}"


def parsed(path):
    """Statements and queries of a file."""
    statements, queries = [], []
    lines = path.read_text().split("\n")
    at = 0

    def until(*ends):
        nonlocal at
        taken = []
        while at < len(lines) and lines[at] not in ends:
            taken.append(lines[at])
            at += 1
        return taken

    while at < len(lines):
        line, first = lines[at], at + 1
        at += 1
        if line == "" or line.startswith("#"):
            continue
        if line == "statement ok":
            statements.append("\n".join(until("")))
        elif match := re.fullmatch(r"query ([TIRB]+) rowsort", line):
            sql = "\n".join(until("----"))
            at += 1
            rows = [tuple(it.split("\t")) for it in until("")]
            queries.append(Query(first, match[1], sql, rows))
        else:
            sys.exit(f"{path}:{first}: neither `statement ok` nor `query TYPES rowsort`: {line}")
    return statements, queries


def shown(kind, value):
    """A value as files have it, whichever program it comes from."""
    if value is None:
        return "NULL"
    if kind == "B":
        return {True: "true", False: "false"}[value]
    if kind == "I":
        number = int(value)
        assert number == float(value), f"{value} is no whole number"
        return str(number)
    if kind == "R":
        return f"{float(value) + 0.0:.9g}"
    if isinstance(value, datetime.datetime):
        value = value.isoformat()
    text = str(value)
    if time := re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?Z?)?", text):
        day, clock, rest = time.groups()
        rest = (rest or "").rstrip("0")
        text = f"{day} {clock or '00:00:00'}" + (f".{rest}" if rest else "")
    return text or "(empty)"


def shown_rows(query, rows):
    return sorted(tuple(shown(kind, it) for kind, it in zip(query.types, row, strict=True)) for row in rows)


class Relation:
    """A table of a file: as a source of a dataflow, and with the rows that DuckDB has in the end."""

    def __init__(self, database, statement):
        match = re.fullmatch(r"\s*CREATE TABLE (\w+) \((.*)\)\s*", statement, re.S)
        self.name, columns = match.groups()
        key = re.search(r"(\w+) \w+ PRIMARY KEY", columns)
        self.key = key and key[1]
        self.declared = columns.replace(" PRIMARY KEY", "")
        answer = database.execute(f"SELECT * FROM {self.name}")
        self.columns = [it[0] for it in answer.description]
        self.rows = [dict(zip(self.columns, row, strict=True)) for row in answer.fetchall()]

    def sql(self, folder):
        key = f", PRIMARY KEY ({self.key})" if self.key else ""
        read = "MATERIALIZED VIEW" if self.key else "TABLE"
        return f"""CREATE SOURCE {self.name}_log ({self.declared}{key}) WITH (connector = 'files', path = '{folder}/{self.name}-*.jsonl') FORMAT JSON;
CREATE {read} {self.name} AS SELECT {", ".join(self.columns)} FROM {self.name}_log;
"""

    def records(self, with_history):
        """Lines of partitions, which add up to the rows. Versions of a row are in one partition, the last one last.

        A file that begins another one is taken for a copy of it, so each line has a field with its place, which nobody reads.
        """
        partitions = [[] for _ in range(PARTITIONS)]
        for row in self.rows:
            versions = [row]
            if with_history and self.key:
                versions = [*(self.other(row) for _ in range(random.randrange(3))), row]
            self.scatter(random.choice(partitions), versions)
        if with_history and self.key:
            keys = [it[self.key] for it in self.rows]
            for key in range(max(keys, default=0) + 1, max(keys, default=0) + 6):
                row = self.other(random.choice(self.rows)) | {self.key: key}
                gone = row | {"_deleted": True}
                self.scatter(random.choice(partitions), random.choice([[row, gone], [row, self.other(row), gone], [gone]]))
        places = ((partition, at) for partition, lines in enumerate(partitions) for at, _ in enumerate(lines))
        for partition, at in places:
            place = json.dumps(f"{partition}-{at}")
            partitions[partition][at] = partitions[partition][at][:-1] + f', "_place": {place}}}'
        return partitions

    def other(self, row):
        """A row of the same key, with values of other rows."""
        return {it: random.choice(self.rows)[it] for it in self.columns} | {self.key: row[self.key]}

    @staticmethod
    def scatter(partition, versions):
        places = sorted(random.randint(0, len(partition)) for _ in versions)
        for place, version in reversed(list(zip(places, versions, strict=True))):
            partition.insert(place, json.dumps(version, default=as_json))


def as_json(value):
    if isinstance(value, decimal.Decimal):
        return str(value)
    return value.isoformat()


def in_duckdb(path):
    """The relations of a file, its queries, and what DuckDB answers to these."""
    statements, queries = parsed(path)
    database = duckdb.connect()
    # What every other system does.
    database.execute("SET integer_division = true")
    for statement in statements:
        database.execute(statement)
    relations = [Relation(database, it) for it in statements if it.lstrip().startswith("CREATE TABLE")]
    answers = []
    for query in queries:
        try:
            answers.append(shown_rows(query, database.execute(query.sql).fetchall()))
        except Exception as error:
            sys.exit(f"{path}:{query.line}: DuckDB: {error}")
    return relations, queries, answers


def write(path):
    _, queries, answers = in_duckdb(path)
    lines = path.read_text().split("\n")
    for query, rows in reversed(list(zip(queries, answers, strict=True))):
        begin = lines.index("----", query.line) + 1
        end = lines.index("", begin)
        lines[begin:end] = ["\t".join(row) for row in rows]
    path.write_text("\n".join(lines))


class Reader(threading.Thread):
    """Follows a view, so that epochs are short, until it is told to stop."""

    def __init__(self, pipeline, view):
        super().__init__(daemon=True)
        self.url = f"http://127.0.0.1:{pipeline.port}/api/v1/views/{view}/changes"
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            with contextlib.suppress(OSError), urllib.request.urlopen(self.url, timeout=1) as stream:
                while not self.over.is_set() and stream.readline():
                    pass
            self.over.wait(0.02)


def feed(folder, relations, with_history, pause):
    """Appends records to the files of partitions, some at a time; yields after each."""
    files = []
    for relation in relations:
        for number, lines in enumerate(relation.records(with_history)):
            file = open(folder / f"{relation.name}-{number}.jsonl", "a")
            files.append((file, lines))
    while left := [it for it in files if it[1]]:
        file, lines = random.choice(left)
        count = random.randint(1, 4) if with_history else 1
        print("\n".join(lines[:count]), file=file, flush=True)
        del lines[:count]
        time.sleep(pause)
        yield
    for file, _ in files:
        file.close()


def differences(pipeline, queries, ask):
    """What the program answers otherwise than the file says."""
    wrong = []
    for query in queries:
        rows = pipeline.sql(ask(query))
        rows = shown_rows(query, [tuple(it.values()) for it in rows])
        if rows != sorted(query.expected):
            wrong.append(f"line {query.line}: {query.sql}\n  expected {sorted(query.expected)}\n  found    {rows}")
    return wrong


def expect(pipeline, queries, what, ask):
    end = time.monotonic() + REACHED_SECONDS_MAX
    wrong = ["not asked"]
    while wrong and time.monotonic() < end and pipeline.process.poll() is None:
        try:
            wrong = differences(pipeline, queries, ask)
        except OSError as error:
            wrong = [str(error)]
        time.sleep(0.05 if wrong else 0)
    if wrong:
        raise AssertionError(f"{what}:\n" + "\n".join(wrong))


def run(binary, path, relations, queries, how):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "input").mkdir()
        (folder / "dataflow").mkdir()
        views = [f"CREATE MATERIALIZED VIEW {it.name} AS {it.sql};\n" for it in queries]
        sources = [it.sql(folder / "input") for it in relations]
        (folder / "dataflow" / "dataflow.sql").write_text("".join(sources + views))
        kind = Cluster if how == "by two processes" else Pipeline
        with kind(binary, folder / "dataflow", folder / "run") as pipeline:
            start(pipeline, how)
            reader = Reader(pipeline, queries[0].name)
            reader.start()
            fed = feed(folder / "input", relations, how != "row by row", 0.03)
            for number, _ in enumerate(fed):
                if number == 12 and how != "row by row":
                    # On a busy machine it may not listen to signals yet.
                    wait("it serves", lambda: "serving" in pipeline.log())
                    pipeline.stop()
                    start(pipeline, how)
            where = f"{path.name}, {how}"
            expect(pipeline, queries, f"{where}, live", lambda it: f"SELECT * FROM {it.name}")
            expect(pipeline, queries, f"{where}, ad hoc", lambda it: it.sql)
            reader.over.set()
            pipeline.stop()


def start(pipeline, how):
    match how:
        case "row by row":
            pipeline.start(workers=1)
        case "in random epochs":
            pipeline.start(workers=random.randint(2, 3))
        case _:
            pipeline.start(workers=1, processes=2)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--write", action="store_true")
    arguments.add_argument("--long", action="store_true", help="five times with other records and epochs")
    arguments.add_argument("paths", nargs="+")
    options = arguments.parse_args()
    if options.write:
        for path in options.paths:
            write(pathlib.Path(path))
        return
    binary, *paths = options.paths
    files = [pathlib.Path(it) for it in paths] or sorted(FOLDER.glob("*.slt"))
    seed = int(os.environ.get("SEED", time.time()))
    random.seed(seed)
    print(f"seed {seed}")
    for path in files:
        relations, queries, answers = in_duckdb(path)
        for query, answer in zip(queries, answers, strict=True):
            if answer != sorted(query.expected):
                sys.exit(f"{path}:{query.line}: DuckDB gives {answer}")
        for _ in range(5 if options.long else 1):
            for how in ["row by row", "in random epochs", "by two processes"]:
                run(binary, path, relations, queries, how)
        print(f"ok: {path.name}: {len(queries)} queries, live and ad hoc, row by row, in random epochs and by two processes")


if __name__ == "__main__":
    main()
