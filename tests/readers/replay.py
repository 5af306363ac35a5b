#!/usr/bin/env python3
"""Replays the log of a Delta table, as plainly as the protocol allows.

    replay.py TABLE_DIR [--version N] [--no-checkpoint]

prints one JSON object: version, files (active ones), num_records (the sum over
their statistics, null if a file has none), rows (what DuckDB counts in the files
themselves) and txn (application id -> version). Exits 1 when the log or a file is
not what it should be. As a module: `replay`, then `create_view`.

This is the strictest witness of what the engine wrote, because it is short enough
to be believed and shares no code with it: JSON commits by Python's own parser, log
checkpoints and data files by DuckDB's Parquet reader. It therefore complains
where other readers are lenient: a gap between versions, a checkpoint that is named
but not there, one file twice in one commit, a data file that is missing, of
another size, or of other types than the schema.

Deliberately absent: everything that asks for more than reader version 1 (column
mapping, deletion vectors), v2 checkpoints, and files outside the table's folder.
"""

import argparse
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import duckdb


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, metavar="TABLE_DIR")
    parser.add_argument("--version", type=int, help="replay up to this version (default: the last)")
    parser.add_argument(
        "--no-checkpoint", action="store_true", help="read every commit instead of a checkpoint"
    )
    arguments = parser.parse_args()
    try:
        snapshot = replay(arguments.table, arguments.version, not arguments.no_checkpoint)
        with connect() as connection:
            create_view(connection, snapshot, "t")
            rows = connection.execute("SELECT count(*) FROM t").fetchone()[0]
    except ReplayError as error:
        sys.exit(f"replay.py: {error}")
    report = {
        "version": snapshot.version,
        "files": len(snapshot.files),
        "num_records": snapshot.num_records(),
        "rows": rows,
        "txn": dict(sorted(snapshot.txns.items())),
    }
    print(json.dumps(report))


class ReplayError(Exception):
    """What is wrong with the table, in one sentence."""


@dataclass
class Snapshot:
    """A table at one version. Keys of `files` are paths below `folder`, decoded."""

    folder: Path
    version: int = -1
    protocol: dict = None
    metadata: dict = None
    files: dict = field(default_factory=dict)
    txns: dict = field(default_factory=dict)

    def columns(self):
        """Name and Delta type of every column, in the order of the schema."""
        schema = json.loads(self.metadata["schemaString"])
        return {column["name"]: column["type"] for column in schema["fields"]}

    def num_records(self):
        """The sum over the files' statistics; None if one does not say."""
        counts = [num_records(add) for add in self.files.values()]
        return None if None in counts else sum(counts)


def num_records(add):
    return json.loads(add.get("stats") or "{}").get("numRecords")


# --- the log ----------------------------------------------------------------------


def replay(folder, version=None, use_checkpoint=True):
    """The table at `version`, or at its last one.

    With `use_checkpoint` it starts from the newest log checkpoint that is not
    younger than `version`, and without from version 0; both must say the same.
    """
    folder = Path(folder).resolve()
    log = folder / "_delta_log"
    commits = numbered(log, r"(\d{20})\.json")
    if not commits:
        raise ReplayError(f"there is no Delta log in {folder}")
    last = max(commits) if version is None else version

    snapshot = Snapshot(folder)
    if use_checkpoint:
        load_checkpoint(snapshot, log, last)
    for number in range(snapshot.version + 1, last + 1):
        if number not in commits:
            raise ReplayError(f"the log has no version {number}, but goes on to {last}")
        apply_commit(snapshot, number, read_actions(commits[number]))
    if snapshot.protocol is None or snapshot.metadata is None:
        raise ReplayError(f"version {last} has no protocol or no metadata")
    return snapshot


def numbered(log, pattern):
    """Version -> path of the files in the log whose name is like `pattern`."""
    found = ((re.fullmatch(pattern, path.name), path) for path in log.glob("*"))
    return {int(match[1]): path for match, path in found if match}


def read_actions(path):
    for line in path.read_text().splitlines():
        if line.strip():
            yield from json.loads(line).items()


def apply_commit(snapshot, version, actions):
    touched = set()
    for kind, action in actions:
        if kind in ("add", "remove"):
            path = decode_path(action)
            if path in touched:
                raise ReplayError(f"version {version} names file {path!r} twice")
            touched.add(path)
        apply(snapshot, kind, action)
    snapshot.version = version


def apply(snapshot, kind, action):
    match kind:
        case "add":
            if action.get("deletionVector"):
                raise ReplayError(f"file {action['path']!r} has a deletion vector")
            snapshot.files[decode_path(action)] = action
        case "remove":
            # One that is not active may be named: it then says nothing.
            snapshot.files.pop(decode_path(action), None)
        case "txn":
            snapshot.txns[action["appId"]] = action["version"]
        case "metaData":
            snapshot.metadata = action
        case "protocol":
            if action["minReaderVersion"] > 1:
                raise ReplayError(f"the table asks for reader version {action['minReaderVersion']}")
            snapshot.protocol = action
        case "commitInfo" | "cdc" | "domainMetadata":
            pass
        case _:
            raise ReplayError(f"the log has an action {kind!r}, which is not understood")


def decode_path(action):
    """Paths are URL-encoded in the log: `day=a%2520b` there is `day=a%20b` on disk."""
    if "://" in action["path"] or action["path"].startswith("/"):
        raise ReplayError(f"file {action['path']!r} is outside the table")
    return unquote(action["path"])


def load_checkpoint(snapshot, log, last):
    """Starts from the newest checkpoint up to `last`, if there is one.

    `_last_checkpoint` is only a hint to the protocol, which a reader may do without
    by listing the log. One that names files which are not there is an error all the same.
    """
    checkpoints = complete_checkpoints(log)
    hint = log / "_last_checkpoint"
    if hint.exists():
        hinted = json.loads(hint.read_text())["version"]
        if hinted not in checkpoints:
            raise ReplayError(f"_last_checkpoint names version {hinted}, which has no checkpoint")
    version = max((version for version in checkpoints if version <= last), default=None)
    if version is None:
        return
    with connect() as connection:
        rows = connection.execute(
            "SELECT CAST(to_json(action) AS VARCHAR) FROM read_parquet($1) action",
            [[str(path) for path in checkpoints[version]]],
        ).fetchall()
    for (row,) in rows:
        for kind, action in json.loads(row).items():
            if action is not None:
                apply(snapshot, kind, action)
    snapshot.version = version


def complete_checkpoints(log):
    """Version -> files of every checkpoint, in one file or in all of its parts."""
    checkpoints = {
        version: [path] for version, path in numbered(log, r"(\d{20})\.checkpoint\.parquet").items()
    }
    parts = {}
    for path in log.glob("*.checkpoint.*.parquet"):
        if match := re.fullmatch(r"(\d{20})\.checkpoint\.(\d{10})\.(\d{10})\.parquet", path.name):
            parts.setdefault((int(match[1]), int(match[3])), []).append(path)
    for (version, count), paths in parts.items():
        if len(paths) == count:
            checkpoints.setdefault(version, sorted(paths))
    return checkpoints


# --- the rows ---------------------------------------------------------------------


def connect():
    """A DuckDB that installs and fetches nothing, and shows times in UTC."""
    config = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    connection = duckdb.connect(config=config)
    connection.execute("LOAD icu; SET TimeZone = 'UTC'")
    return connection


def create_view(connection, snapshot, name):
    """A view of the active files' rows, with the partition columns of the log.

    The names of folders are not looked at: the log alone says what a file's
    partition is.
    """
    check_files(snapshot)
    columns = snapshot.columns()
    partitioned_by = snapshot.metadata["partitionColumns"]
    paths = [str(snapshot.folder / path) for path in snapshot.files]
    present = types_in_files(connection, paths)
    check_types(columns, partitioned_by, present)

    files = quote(name + "_files")
    connection.execute(f"CREATE TABLE {files} (path VARCHAR, partition MAP(VARCHAR, VARCHAR))")
    if paths:
        partitions = [json.dumps(add["partitionValues"]) for add in snapshot.files.values()]
        connection.execute(
            f"INSERT INTO {files} SELECT path, from_json(partition, '\"MAP(VARCHAR, VARCHAR)\"')"
            " FROM (SELECT unnest($1::VARCHAR[]) AS path, unnest($2::JSON[]) AS partition)",
            [paths, partitions],
        )

    def column(column_name, delta_type):
        if column_name in partitioned_by:
            # An empty text stands for null.
            value = f"nullif(files.partition[{literal(column_name)}], '')"
        elif column_name in present:
            return f"data.{quote(column_name)}"
        else:
            value = "NULL"  # added to the schema after these files were written
        return f"CAST({value} AS {duckdb_type(delta_type) or 'VARCHAR'}) AS {quote(column_name)}"

    selected = ", ".join(column(*each) for each in columns.items())
    if paths:
        listed = ", ".join(literal(path) for path in paths)
        source = (
            f"read_parquet([{listed}], filename = '{FILE_COLUMN}', union_by_name = true,"
            f" hive_partitioning = false) data JOIN {files} files"
            f" ON files.path = data.{FILE_COLUMN}"
        )
    else:
        source = f"{files} files"  # no file, no row
    connection.execute(f"CREATE VIEW {quote(name)} AS SELECT {selected} FROM {source}")


FILE_COLUMN = "__file"


def check_files(snapshot):
    for path, add in snapshot.files.items():
        file = snapshot.folder / path
        if not file.is_file():
            raise ReplayError(f"file {path!r} is active but not there")
        if file.stat().st_size != add["size"]:
            raise ReplayError(
                f"file {path!r} has {file.stat().st_size} bytes, and {add['size']} in the log"
            )
        if re.search(r"[*?\[]", str(file)):
            raise ReplayError(f"file {path!r} would be taken for a pattern by DuckDB")


def types_in_files(connection, paths):
    """Column -> DuckDB type over all files; no columns if there are no files."""
    if not paths:
        return {}
    described = connection.execute(
        "DESCRIBE SELECT * FROM read_parquet($1, union_by_name = true, hive_partitioning = false)",
        [paths],
    ).fetchall()
    return {row[0]: row[1] for row in described}


def check_types(columns, partitioned_by, present):
    for name, found in present.items():
        if name not in columns:
            raise ReplayError(f"files have a column {name!r}, which the schema has not")
        if name in partitioned_by:
            raise ReplayError(f"files have a column {name!r}, which is a partition column")
        expected = duckdb_type(columns[name])
        if expected is not None and expected != found:
            raise ReplayError(f"column {name!r} is {columns[name]} but {found} in the files")


def duckdb_type(delta_type):
    """DuckDB's name of a primitive type; of nested ones None: they are not checked."""
    if not isinstance(delta_type, str):
        return None
    if match := re.fullmatch(r"decimal\((\d+), *(\d+)\)", delta_type):
        return f"DECIMAL({match[1]},{match[2]})"
    return DUCKDB_TYPES[delta_type]


DUCKDB_TYPES = {
    "string": "VARCHAR",
    "long": "BIGINT",
    "integer": "INTEGER",
    "short": "SMALLINT",
    "byte": "TINYINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "binary": "BLOB",
    "date": "DATE",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "timestamp_ntz": "TIMESTAMP",
}


def quote(identifier):
    return '"' + identifier.replace('"', '""') + '"'


def literal(text):
    return "'" + text.replace("'", "''") + "'"


if __name__ == "__main__":
    main()
