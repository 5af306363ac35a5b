#!/usr/bin/env python3
"""Tests replay.py and compare.py on small Delta tables written by hand.

    $(tests/readers/setup.sh DIR) tests/readers/selftest.py

Each table is Parquet by pyarrow and a log by Python's JSON, so that what it holds
is known without any Delta library. It is partitioned by date and hour, at reader 1
and writer 2, like the engine's own. The first tests show that all readers agree
on sound tables; the others break one thing each and show that it is noticed.
"""

import datetime
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from urllib.parse import quote as url_encoded

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
BY_ENDPOINT = (
    "SELECT date, hour, endpoint, count(*) AS records, avg(latency_ms) AS mean, min(ts) AS first_ts"
    " FROM t WHERE koff >= 20 GROUP BY date, hour, endpoint"
)


class Table:
    """Writes a table commit by commit."""

    columns = {"kpart": "integer", "koff": "long", "ts": "timestamp", "latency_ms": "double"}
    columns |= {"endpoint": "string", "date": "date", "hour": "integer"}
    arrow = {"integer": pa.int32(), "long": pa.int64(), "double": pa.float64()}
    arrow |= {"string": pa.string(), "timestamp": pa.timestamp("us", "UTC")}

    def __init__(self, folder, partitioned_by=("date", "hour")):
        self.folder = Path(folder)
        self.partitioned_by = list(partitioned_by)
        self.log = self.folder / "_delta_log"
        self.log.mkdir(parents=True)
        self.version = -1
        self.active, self.txns = {}, {}
        self.commit({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}, self.metadata())

    def metadata(self):
        fields = [
            {"name": name, "type": kind, "nullable": True, "metadata": {}}
            for name, kind in self.columns.items()
        ]
        return {
            "metaData": {
                "id": "0b6c4f2e-6a51-4f0e-9d0a-3f1a5c7e9b11",
                "format": {"provider": "parquet", "options": {}},
                "schemaString": json.dumps({"type": "struct", "fields": fields}),
                "partitionColumns": self.partitioned_by,
                "configuration": {},
                "createdTime": 1767225600000,
            }
        }

    def commit(self, *actions):
        self.version += 1
        for action in actions:
            if "add" in action:
                self.active[action["add"]["path"]] = action
            if "remove" in action:
                self.active.pop(action["remove"]["path"])
            if "txn" in action:
                self.txns[action["txn"]["appId"]] = action
        self.write_commit(self.version, actions)

    def write_commit(self, version, actions):
        lines = [{"commitInfo": {"timestamp": 1767225600000 + version}}, *actions]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self.log / f"{version:020}.json").write_text(text)

    def add(self, name, start, count, **partition):
        """A file with the records start..start+count of Kafka's partition 0."""
        values = {"date": "2026-01-01", "hour": 0} | partition
        # What a value becomes in a folder's name is one encoding, and the log's another.
        folders = "/".join(
            f"{column}={url_encoded(str(values[column]), safe='')}"
            for column in self.partitioned_by
        )
        path = self.folder / folders / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        midnight = datetime.datetime.fromisoformat("2026-01-01T00:00:00Z")
        rows = range(start, start + count)
        data = {
            "kpart": [0 for _ in rows],
            "koff": list(rows),
            # Below a millisecond, where statistics are rounded.
            "ts": [midnight + datetime.timedelta(microseconds=1_234_567 * row) for row in rows],
            "latency_ms": [0.1 * row for row in rows],
            "endpoint": [None if row % 7 == 0 else f"/api/{row % 5}" for row in rows],
            "country": [None if row % 2 == 0 else "fi" for row in rows],
        }
        in_file = {
            name: kind for name, kind in self.columns.items() if name not in self.partitioned_by
        }
        schema = pa.schema([(name, self.arrow[kind]) for name, kind in in_file.items()])
        pq.write_table(pa.table({name: data[name] for name in in_file}, schema), path)
        statistics = {
            "numRecords": count,
            "minValues": {"koff": start},
            "maxValues": {"koff": start + count - 1},
            "nullCount": {"koff": 0},
        }
        add = {
            "path": url_encoded(f"{folders}/{name}.parquet", safe="/="),
            "partitionValues": {column: str(values[column]) for column in self.partitioned_by},
            "size": path.stat().st_size,
            "modificationTime": 1767225600000,
            "dataChange": True,
            "stats": json.dumps(statistics),
        }
        return {"add": add}

    def remove(self, add):
        kept = {key: add["add"][key] for key in ("path", "partitionValues", "size")}
        return {"remove": kept | {"deletionTimestamp": 1767225600000, "dataChange": True}}

    def checkpoint(self, keep_commits=True):
        """A log checkpoint of the last version, in one file."""
        protocol = {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}
        actions = [protocol, self.metadata(), *self.txns.values(), *self.active.values()]
        text_map = pa.map_(pa.string(), pa.string())
        kinds = {
            "txn": {"appId": pa.string(), "version": pa.int64()},
            "add": {
                **{"path": pa.string(), "partitionValues": text_map, "size": pa.int64()},
                **{"modificationTime": pa.int64(), "dataChange": pa.bool_(), "stats": pa.string()},
            },
            "remove": {"path": pa.string(), "dataChange": pa.bool_()},
            "metaData": {
                **{"id": pa.string(), "schemaString": pa.string(), "createdTime": pa.int64()},
                "format": pa.struct([("provider", pa.string()), ("options", text_map)]),
                **{"partitionColumns": pa.list_(pa.string()), "configuration": text_map},
            },
            "protocol": {"minReaderVersion": pa.int32(), "minWriterVersion": pa.int32()},
        }
        structs = {kind: pa.struct(list(fields.items())) for kind, fields in kinds.items()}
        actions_in_arrow = [as_arrow(action) for action in actions]
        rows = pa.Table.from_pylist(actions_in_arrow, pa.schema(structs))
        pq.write_table(rows, self.log / f"{self.version:020}.checkpoint.parquet")
        hint = {"version": self.version, "size": len(actions)}
        (self.log / "_last_checkpoint").write_text(json.dumps(hint))
        if not keep_commits:
            for version in range(self.version):
                (self.log / f"{version:020}.json").unlink()


def as_arrow(action):
    """pyarrow takes a map as a list of pairs."""
    maps = ("partitionValues", "options", "configuration")

    def convert(value):
        if not isinstance(value, dict):
            return value
        return {k: list(v.items()) if k in maps else convert(v) for k, v in value.items()}

    return convert(action)


class Readers(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name).resolve() / "table"

    def sound_table(self):
        """The offsets 0..1000 in four files: one was replaced by a compaction of its own."""
        table = Table(self.folder)
        first = table.add("a", 0, 300)
        table.commit({"txn": {"appId": "logs@0", "version": 300}}, first)
        table.commit(
            {"txn": {"appId": "logs@0", "version": 700}},
            table.add("b", 300, 200, hour=1),
            table.add("c", 500, 200, date="2026-01-02", hour=23),
        )
        table.commit(
            {"txn": {"appId": "logs@0", "version": 1000}},
            table.remove(first),
            table.add("a2", 0, 300),
            table.add("d", 700, 300, date="2026-01-02", hour=23),
        )
        return table

    def run_script(self, script, *arguments):
        command = [sys.executable, HERE / script, self.folder, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    def compare(self, *arguments):
        return self.run_script("compare.py", *arguments)

    def assert_agrees(self, rows, *arguments):
        done = self.compare("--distinct", "kpart,koff", "--expect-rows", rows, *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(len(done.stdout.splitlines()), 3, "one line of each reader")

    def assert_complains(self, done, *words):
        self.assertEqual(done.returncode, 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    # What is sound.

    def test_commits_and_a_remove(self):
        self.sound_table()
        self.assert_agrees(1000, "--expect-distinct", 1000, "--query", BY_ENDPOINT)

    def test_replay_prints_what_the_log_says(self):
        self.sound_table()
        for version, files, rows in (3, 4, 1000), (1, 1, 300):
            done = self.run_script("replay.py", "--version", version)
            counts = {"files": files, "num_records": rows, "rows": rows}
            expected = {"version": version, **counts, "txn": {"logs@0": rows}}
            self.assertEqual(json.loads(done.stdout), expected)

    def test_log_checkpoint_and_later_commits(self):
        for keep_commits in (True, False):
            with self.subTest(keep_commits=keep_commits):
                table = self.sound_table()
                table.checkpoint(keep_commits)
                txn = {"txn": {"appId": "logs@0", "version": 1100}}
                table.commit(txn, table.add("e", 1000, 100))
                self.assert_agrees(1100, "--expect-distinct", 1100, "--query", BY_ENDPOINT)
                self.assertIn('"logs@0": 1100', self.run_script("replay.py").stdout)
                self.folder = self.folder.with_name("second")

    def test_no_rows(self):
        Table(self.folder)
        self.assert_agrees(0, "--query", "SELECT * FROM t")

    def test_partition_values_that_are_encoded(self):
        table = Table(self.folder, partitioned_by=["endpoint"])
        table.columns = {k: v for k, v in Table.columns.items() if k not in ("date", "hour")}
        table.commit(
            table.metadata(),
            table.add("a", 0, 100, endpoint="a b/c:d"),
            table.add("b", 100, 100, endpoint="100%"),
        )
        query = "SELECT endpoint, count(*) AS records FROM t GROUP BY endpoint"
        self.assert_agrees(200, "--query", query)

    def test_column_added_later(self):
        table = self.sound_table()
        table.columns = Table.columns | {"country": "string"}
        table.commit(table.metadata())
        query = "SELECT koff, country FROM t WHERE koff > 995"
        self.assert_agrees(1000, "--query", query)
        table.commit(table.add("e", 1000, 10))
        self.assert_agrees(1010, "--query", query)

    # What is not.

    def test_a_row_twice(self):
        table = self.sound_table()
        table.commit(table.add("again", 990, 10))
        done = self.compare(
            *("--distinct", "kpart,koff", "--expect-rows", 1000, "--expect-distinct", 1000)
        )
        self.assert_complains(done, "rows is 1010, expected 1000")
        self.assertNotIn("distinct is", done.stderr)

    def test_statistics_that_hide_rows(self):
        # Readers skip the file; the replay looks at it.
        table = self.sound_table()
        add = table.add("e", 1000, 100)
        add["add"]["stats"] = add["add"]["stats"].replace('"koff": 1099', '"koff": 1049')
        table.commit(add)
        query = "SELECT koff FROM t WHERE koff >= 1090"
        done = self.compare("--expect-rows", 1100, "--query", query)
        self.assert_complains(done, "replay and duckdb-delta disagree about query", "-[1090]")

    def test_wrong_number_of_records(self):
        table = self.sound_table()
        add = table.add("e", 1000, 100)
        add["add"]["stats"] = '{"numRecords": 99}'
        table.commit(add)
        self.assert_complains(self.compare(), "numRecords add up to 1099, but there are 1100 rows")

    def test_checkpoint_that_lost_a_file(self):
        table = self.sound_table()
        table.active.pop(next(iter(table.active)))
        table.checkpoint()
        self.assert_complains(self.compare(), "checkpoint and the commits disagree about files")

    def test_checkpoint_that_is_not_there(self):
        table = self.sound_table()
        table.checkpoint()
        (table.log / f"{table.version:020}.checkpoint.parquet").unlink()
        self.assert_complains(self.compare(), "_last_checkpoint names version 3")

    def test_gap_in_the_log(self):
        table = self.sound_table()
        (table.log / f"{2:020}.json").unlink()
        self.assert_complains(self.compare(), "the log has no version 2, but goes on to 3")

    def test_file_that_is_not_there(self):
        self.sound_table()
        next(self.folder.rglob("d.parquet")).unlink()
        self.assert_complains(self.compare(), "is active but not there")

    def test_file_twice_in_one_commit(self):
        table = self.sound_table()
        add = table.add("e", 1000, 10)
        table.commit(add, add)
        self.assert_complains(self.run_script("replay.py"), "version 4 names file", "twice")

    def test_other_type_than_the_schema(self):
        table = self.sound_table()
        table.arrow = Table.arrow | {"integer": pa.int64()}
        table.commit(table.add("e", 1000, 10))
        self.assert_complains(self.run_script("replay.py"), "column 'kpart' is integer but BIGINT")


if __name__ == "__main__":
    unittest.main()
