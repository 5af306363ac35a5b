#!/usr/bin/env python3
"""Keeps a lake well while it is written, and recounts it after each kind of upkeep.

    lake.py BINARY [CASE…]

Run it with the Python that tests/readers/setup.sh makes. Cases: optimize, actions, crashes, vacuum, backup, retention, values, upgrade. After each,
the lake must be PROVEN by `tidelake verify`, equal DuckDB's recount of the input, and be the same for all independent readers.
SEED repeats a run.
"""

import datetime
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request

import recount
from pipeline import DATAFLOWS, SOURCE, Pipeline, wait

sys.path.insert(0, str(SOURCE / "tests" / "readers"))
from replay import replay  # noqa: E402

ENVIRONMENT = {"WATERMARK_DELAY_SECONDS": "7200"}
# With a lease: the process that holds the lake.
HELD, CONFIGURATION = 4, 78


def main():
    binary, *chosen = sys.argv[1:]
    seed = int(os.environ.get("SEED", time.time()))
    random.seed(seed)
    print(f"seed {seed}")
    for case in [optimize, actions, crashes, vacuum, backup, retention, values, upgrade]:
        if chosen and case.__name__ not in chosen:
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            told = case(pathlib.Path(binary).resolve(), pathlib.Path(folder))
        print(f"{case.__name__}: {told} ({time.monotonic() - began:.0f} s)", flush=True)


# --- what the cases share -----------------------------------------------------------


class Logs:
    """web_logs over files that grow, and a lake."""

    def __init__(self, binary, root):
        self.binary, self.root, self.files = binary, root, root / "input"
        self.pipeline = Pipeline(binary, DATAFLOWS / "web_logs", root, self.files, ENVIRONMENT, commit_interval=0.5)
        self.lake = self.pipeline.lake
        self.rounds = 0

    def generate(self, count=1500, minute=None):
        """Newer and newer, so that every commit has something to do."""
        minute = self.rounds % 60 if minute is None else minute
        command = [self.binary, "gen", "--rate", "1000", "--count", str(count), "--seed", str(self.rounds), "--out", str(self.files)]
        subprocess.run([*command, "--start", f"2026-01-31T12:{minute:02d}:00Z"], check=True, stderr=subprocess.DEVNULL)
        self.rounds += 1

    def wait_for_all(self):
        total = recount.lines_of_files(self.files, self.root / "lines.jsonl")
        self.pipeline.wait_value("SELECT requests FROM totals", total)
        wait("there is a commit", lambda: (self.lake / "logs" / "_delta_log" / f"{1:020}.json").exists())
        return total

    def check(self, lake=None, readers=True):
        """Of a lake that nobody writes: everything once, values as they came, views as recounted, the same for all readers."""
        recount.lines_of_files(self.files, self.root / "lines.jsonl")
        return recount.check_lake(lake or self.lake, self.root / "lines.jsonl", readers)

    def verify(self, lake=None):
        return proven(self.binary, DATAFLOWS / "web_logs", lake or self.lake, self.files, ENVIRONMENT)

    def run(self, *arguments, lake=None, **how):
        return tidelake(self.binary, "lake", *arguments, "--lake", str(lake or self.lake), **how)


def tidelake(binary, *arguments, code=0, **environment):
    command = [str(binary), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)
    assert done.returncode == code, f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr if code else done.stdout


def proven(binary, dataflow, lake, files, environment, outcome="PROVEN in"):
    command = [str(binary), "verify", str(dataflow), "--lake", str(lake), "--input", str(files), "--verbose"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)
    assert done.returncode == 0 and outcome in done.stdout, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def data_files(table):
    return {path: add for path, add in replay(table).files.items()}


class Feeding:
    """More and more input while something else happens."""

    def __init__(self, logs):
        self.logs, self.stop = logs, threading.Event()
        self.thread = threading.Thread(target=self.feed)

    def feed(self):
        while not self.stop.wait(0.3):
            self.logs.generate(400)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


# --- cases --------------------------------------------------------------------------


def optimize(binary, root):
    """Files are written anew beside an engine that streams, on its request, and by the command alone without one."""
    logs = Logs(binary, root)
    with logs.pipeline as pipeline:
        logs.generate()
        pipeline.start()
        with Feeding(logs):
            wait("the archive has files", lambda: (logs.lake / "logs").exists() and 3 < len(data_files(logs.lake / "logs")))
            asked = json.loads(logs.run("optimize", "logs", "--zorder", "endpoint,status_code", "--json"))
            again = json.loads(logs.run("optimize", "logs", "--json"))
        assert asked["tables"]["logs"]["files_before"] >= 1 and asked["problem"] is None, asked
        assert again["problem"] is None, again
        refused = logs.run("optimize", "logs", "--zorder", "nothing", code=65)
        assert "has no column nothing" in refused, refused
        refused = logs.run("optimize", "nothing", code=65)
        assert "has no table nothing" in refused, refused
        logs.verify()
        logs.wait_for_all()
        history = json.loads(logs.run("history", "logs", "--limit", "1000", "--json"))
        assert any(it["files_removed"] for it in history), "nothing was written anew"
        pipeline.stop()
    logs.verify()
    logs.check(readers=False)
    # Without an engine the command holds the lake itself.
    alone = json.loads(logs.run("optimize", "--zorder", "endpoint,status_code", "--json"))
    assert alone["tables"]["logs"]["files_before"] >= 1, alone
    ordered = [it for it in data_files(logs.lake / "logs") if "-z" in it.rsplit("/", 1)[-1]]
    assert len(ordered) == len(data_files(logs.lake / "logs")), "some files have no order"
    nothing = json.loads(logs.run("optimize", "--zorder", "endpoint,status_code", "--json"))
    assert nothing == {"tables": {}, "problem": None}, nothing
    usage = logs.run("optimize", "logs", "--where", "ip=1", code=2)
    assert "no partition column" in usage, usage
    commits = json.loads(logs.run("history", "--json"))
    assert "OPTIMIZE" in [it["operation"] for it in commits] and commits[0]["operation"] == "CLAIM", commits[:3]
    files = json.loads(logs.run("files", "logs", "--json"))
    assert sum(it["rows"] for it in files["files"]) == total_of(logs), files
    logs.verify()
    facts = logs.check()
    # And the engine goes on with it.
    with logs.pipeline as pipeline:
        pipeline.start()
        logs.generate()
        logs.wait_for_all()
        wait("files are told", lambda: pipeline.get("/api/v1/status")["commit"]["files"].get("logs"))
        pipeline.stop()
    logs.verify()
    return facts


def actions(binary, root):
    """The same by the API of the running server: jobs that are watched and cancelled, and when the lake was last looked after."""
    logs = Logs(binary, root)
    with logs.pipeline as pipeline:
        logs.generate()
        pipeline.start()
        logs.wait_for_all()

        def refused(path, body, code, status=400):
            request = urllib.request.Request(
                f"http://127.0.0.1:{pipeline.port}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
            )
            try:
                urllib.request.urlopen(request, timeout=30)
            except urllib.error.HTTPError as error:
                problem = json.load(error)
                assert (error.code, problem["code"]) == (status, code), problem
                return problem
            raise AssertionError(f"{path} {body} was not refused")

        def job(path, body):
            started = pipeline.post(path, body)
            address = f"/api/v1/jobs/{started['id']}"
            wait("the job ends", lambda: pipeline.get(address)["state"] != "running", 180)
            return pipeline.get(address)

        def cancel(id):
            request = urllib.request.Request(f"http://127.0.0.1:{pipeline.port}/api/v1/jobs/{id}", method="DELETE")
            return urllib.request.urlopen(request, timeout=30).status

        def tables_of(lake):
            return {it["name"]: it for it in lake["tables"]}

        # A table's log is written behind the manifest, which is what was waited for.
        wait("the table has all rows", lambda: tables_of(pipeline.get("/api/v1/lake"))["logs"]["rows"] == total_of(logs), 60)
        lake = pipeline.get("/api/v1/lake")
        tables = tables_of(lake)
        history = json.loads(logs.run("history", "logs", "--json"))
        assert tables["logs"]["version"] >= history[0]["version"] - 3, tables["logs"]
        assert tables["logs"]["file_count"] == len(data_files(logs.lake / "logs")), tables["logs"]
        assert "endpoint" in tables["logs"]["order_columns"] and tables["logs"]["partition_by"] == ["date", "hour"], tables["logs"]
        assert [lake[f"last_{it}"] for it in ["optimize", "vacuum", "backup"]] == [None] * 3, lake
        assert (lake["version_retention_hours"], lake["optimize_every_hours"]) == (168, 24), lake

        with Feeding(logs):
            done = job("/api/v1/lake/optimize", {"tables": ["logs"], "zorder": ["endpoint", "status_code"]})
        assert done["state"] == "done" and done["optimized"][0]["table"] == "logs", done
        assert done["optimized"][0]["files_before"] >= 1, done
        versions = pipeline.get("/api/v1/lake/tables/logs")["versions"]
        assert any(it["files_removed"] and it["files_added"] for it in versions), versions
        assert "no table nothing" in refused("/api/v1/lake/optimize", {"tables": ["nothing"]}, "cannot_optimize")["detail"]
        assert "no column odd" in refused("/api/v1/lake/optimize", {"tables": ["logs"], "zorder": ["odd"]}, "cannot_optimize")["detail"]
        refused("/api/v1/lake/optimize", {"table": "logs"}, "bad_body")

        # One that is taken back is not done, and leaves nothing behind.
        started = pipeline.post("/api/v1/lake/optimize", {"zorder": ["level"], "tables": ["logs"]})
        refused("/api/v1/lake/optimize", {}, "job_running", 409)
        assert cancel(started["id"]) == 204
        wait("it is cancelled", lambda: pipeline.get(f"/api/v1/jobs/{started['id']}")["state"] == "cancelled", 30)
        upkeep = logs.lake / "_tidelake" / "web_logs" / "upkeep"
        wait("the request is gone", lambda: not list(upkeep.glob("*.json")), 30)
        again = job("/api/v1/lake/optimize", {})
        assert again["state"] == "done", again
        assert not list(upkeep.glob("*.json")), "an answer to nobody was left"

        old = time.time() - 5 * 3600
        leftover = logs.lake / "logs" / "date=2026-01-31" / "e0000000000000100-w0-x-0-0000000000000000.zstd.parquet"
        leftover.write_bytes(b"x")
        os.utime(leftover, (old, old))
        dry = job("/api/v1/lake/vacuum", {})["vacuumed"]
        assert (dry["dry_run"], dry["retention_hours"], dry["files"], dry["bytes"]) == (True, 168, 1, 1), dry
        assert (dry["waste"][0]["table"], dry["waste"][0]["why"]) == ("logs", "leftover"), dry
        assert leftover.exists() and pipeline.get("/api/v1/lake")["last_vacuum"] is None, "a dry run does nothing"
        refused("/api/v1/lake/vacuum", {"retention_hours": 169}, "bad_body")
        with Feeding(logs):
            deleted = job("/api/v1/lake/vacuum", {"dry_run": False, "retention_hours": 1})["vacuumed"]
        assert deleted["files"] >= 1 and not leftover.exists(), deleted

        trained = job("/api/v1/models/odd/train", {"from": "SELECT response_time, status_code, bytes_sent FROM lake.logs"})
        assert trained["state"] == "done" and trained["trained"]["version"] == 1, trained
        listed = json.loads(tidelake(binary, "model", "show", "odd", "--lake", logs.lake, "--json"))
        assert listed["id"] == trained["trained"]["id"], listed
        failed = job("/api/v1/models/odd/train", {"from": "SELECT path FROM nothing"})
        assert failed["state"] == "failed" and "nothing" in failed["problem"], failed

        logs.run("backup", root / "backup")
        lake = pipeline.get("/api/v1/lake")
        assert lake["last_optimize"]["files"] >= 0 and lake["last_vacuum"]["files"] == deleted["files"], lake
        assert lake["last_backup"]["place"].rstrip("/").endswith("/backup"), lake
        jobs = pipeline.get("/api/v1/jobs")["jobs"]
        assert [it["kind"] for it in jobs][:2] == ["train", "train"] and len(jobs) == 7, jobs
        logs.wait_for_all()
        pipeline.stop()
    logs.verify()
    return logs.check(readers=False)


def total_of(logs):
    return recount.lines_of_files(logs.files, logs.root / "lines.jsonl")


def crashes(binary, root):
    """The command ends at each step, and so does an engine that has been asked; whoever comes next finishes what was decided."""
    logs = Logs(binary, root)
    logs.generate()
    with logs.pipeline as pipeline:
        pipeline.start()
        logs.wait_for_all()
        pipeline.stop()
        for number, step in enumerate(["claim:1", "rewritten:1", "manifest:1", "table:1"]):
            column = ["endpoint", "method", "status_code", "ip"][number]
            command = [str(binary), "lake", "optimize", "logs", "--zorder", column, "--lake", str(logs.lake)]
            environment = {**os.environ, "TIDELAKE_CRASH_AT": step}
            done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
            assert done.returncode == -signal.SIGABRT, f"{step}: it ended with {done.returncode}: {done.stderr}"
            logs.verify()
            if number % 2:
                # The engine finishes it, or the command started again does.
                pipeline.start()
                logs.generate()
                logs.wait_for_all()
                pipeline.stop()
            logs.run("optimize", "logs", "--zorder", column)
            logs.verify()
        for step in ["parts:3", "manifest:3", "table:3", "tables:3"]:
            pipeline.start(TIDELAKE_CRASH_AT=step)
            logs.generate()
            wait("it serves", lambda: pipeline.process.poll() is not None or pipeline.get("/readyz"))
            command = [str(binary), "lake", "optimize", "--zorder", random.choice(["level", "user_id"]), "--lake", str(logs.lake)]
            asking = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait(f"step {step}", lambda: logs.generate(300) or pipeline.process.poll() is not None, 60)
            asking.kill()
            asking.wait()
            assert pipeline.process.returncode == -signal.SIGABRT, f"{step}: it ended with {pipeline.process.returncode}"
            pipeline.process = None
            logs.verify()
        pipeline.start()
        logs.generate()
        logs.wait_for_all()
        upkeep = logs.lake / "_tidelake" / "web_logs" / "upkeep"
        # Requests of processes that were killed are done all the same.
        wait("all requests are done", lambda: logs.generate(100) or not [it for it in upkeep.glob("*.json") if ".done" not in it.name])
        logs.wait_for_all()
        pipeline.stop()
    logs.verify()
    return logs.check()


def vacuum(binary, root):
    """What is not needed goes, and nothing else: neither what the newest manifest is about to show nor what an engine stages."""
    logs = Logs(binary, root)
    logs.generate()
    with logs.pipeline as pipeline:
        pipeline.start()
        logs.wait_for_all()
        with Feeding(logs):
            time.sleep(3)
        # Old files of a crash: one of a commit that is settled, one that is still to come.
        old = time.time() - 5 * 3600
        leftover = logs.lake / "logs" / "date=2026-01-31" / "e0000000000000100-w0-x-0-0000000000000000.zstd.parquet"
        to_come = leftover.with_name("e9999999999999999-w0-x-0-0000000000000000.zstd.parquet")
        state = logs.lake / "_tidelake" / "web_logs" / "state" / "00000000000000000001-deadbeef-difference"
        for path in [leftover, to_come, state]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
            os.utime(path, (old, old))
        dry = json.loads(logs.run("vacuum", "--dry-run", "--json"))
        found = {it["path"] for waste in dry["deleted"].values() for it in waste}
        assert found == {str(it.relative_to(logs.lake)) for it in [leftover, state]}, dry
        assert leftover.exists() and state.exists(), "a dry run deletes nothing"
        assert "nothing was (--dry-run)" in logs.run("vacuum", "--dry-run")
        with Feeding(logs):
            logs.run("vacuum", "--retention", "1")
        assert to_come.exists() and not leftover.exists() and not state.exists()
        to_come.unlink()
        logs.verify()
        # A process that dies between its manifest and the tables' logs, hours ago: what it decided must stay.
        pipeline.stop()
        pipeline.start(TIDELAKE_CRASH_AT="manifest:2")
        wait("step manifest:2", lambda: logs.generate(300) or pipeline.process.poll() is not None, 60)
        assert pipeline.process.returncode == -signal.SIGABRT
        pipeline.process = None
        manifest = newest_manifest(logs.lake)
        decided = [
            logs.lake / table / action["add"]["path"]
            for table, entry in manifest["tables"].items()
            for action in entry["actions"]
            if "add" in action and entry["commit"] == manifest["number"]
        ]
        assert decided, "the commit has no files"
        for path in decided:
            os.utime(path, (old, old))
        logs.run("vacuum", "--retention", "1")
        assert all(it.exists() for it in decided), "a file of a decided commit was deleted"
        pipeline.start()
        logs.wait_for_all()
        pipeline.stop()
    logs.verify()
    return logs.check()


def newest_manifest(lake, dataflow="web_logs"):
    path = max((lake / "_tidelake" / dataflow / "manifests").iterdir())
    return json.loads(path.read_text())


def backup(binary, root):
    """Backups beside an engine, and lakes made of them, from which the pipeline goes on."""
    logs, place = Logs(binary, root), root / "backups"
    logs.generate()
    with logs.pipeline as pipeline:
        pipeline.start()
        logs.wait_for_all()
        with Feeding(logs):
            first = json.loads(logs.run("backup", place, "--json"))
            time.sleep(2)
            said = logs.run("backup", place)
            time.sleep(1)
            third = json.loads(logs.run("backup", place, "--json"))
        assert first["commit"] < third["commit"], (first, third)
        assert "were new" in said, said
        points = json.loads(tidelake(binary, "lake", "backups", place, "--json"))
        assert len(points) == 3 and points[0]["commit"] == first["commit"], points
        # The engine that holds the first lake still runs: the copies are nobody's.
        copies = {"newest": root / "newest", "first": root / "first"}
        tidelake(binary, "lake", "restore", place, copies["newest"])
        tidelake(binary, "lake", "restore", place, copies["first"], "--commit", first["commit"])
        by_time = root / "by-time"
        moment = datetime.datetime.fromtimestamp(first["epoch"] / 1000 + 0.05, datetime.UTC).isoformat()
        tidelake(binary, "lake", "restore", place, by_time, "--time", moment)
        assert newest_manifest(by_time)["number"] == first["commit"]
        for lake in copies.values():
            logs.verify(lake)
        again = tidelake(binary, "lake", "restore", place, copies["first"], code=CONFIGURATION)
        assert "in an empty place" in again, again
        none = tidelake(binary, "lake", "restore", place, root / "none", "--commit", "1", code=CONFIGURATION)
        assert "there are those of commits" in none, none
        logs.wait_for_all()
        pipeline.stop()
    for name, lake in copies.items():
        copy = Pipeline(binary, DATAFLOWS / "web_logs", root / f"run-{name}", logs.files, ENVIRONMENT, commit_interval=0.5)
        copy.lake = lake
        with copy:
            copy.start()
            copy.wait_value("SELECT requests FROM totals", total_of(logs))
            copy.stop()
        logs.verify(lake)
        facts = logs.check(lake, readers=name == "first")
    # A lake that went on differently is another one.
    refused = logs.run("backup", place, lake=copies["first"], code=CONFIGURATION)
    assert "went on differently" in refused, refused
    # A damaged file is not copied; a forgotten backup's files go.
    logs.run("backup", place, "--keep", "1")
    assert len(list((place / "points").iterdir())) == 1
    last = root / "last"
    tidelake(binary, "lake", "restore", place, last)
    logs.verify(last)
    logs.check(last, readers=False)
    damaged = next(it for it in (place / "files" / "logs").rglob("*.parquet") if "_delta_log" not in it.parts)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    wrong = tidelake(binary, "lake", "restore", place, root / "wrong", code=CONFIGURATION)
    assert "other bytes" in wrong, wrong
    return facts


RETENTION = """
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, n BIGINT, WATERMARK FOR at AS at - INTERVAL '10' SECOND)
  WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's') FORMAT JSON;
CREATE TABLE raw WITH (partition_by = 'date', retention = '2 days') AS SELECT *, CAST(at AS DATE) AS date FROM s;
CREATE TABLE plain WITH (retention = '2 days') AS SELECT at, n FROM s;
CREATE MATERIALIZED VIEW per_hour AS SELECT window_start, count(*) AS records, sum(n) AS n FROM TUMBLE(raw, at, INTERVAL '1' HOUR) GROUP BY window_start;
CREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS records FROM raw GROUP BY k;
"""


def retention(binary, root):
    """Old rows leave a table day by day, in commits that a proof understands; what is lost otherwise is told from it."""
    flow, files = root / "flow", root / "input"
    flow.mkdir()
    files.mkdir()
    (flow / "dataflow.sql").write_text(RETENTION)
    said = tidelake(binary, "check", flow)
    assert "older ones go day by day" in said and "by date" in said, said
    (root / "wrong").mkdir()
    (root / "wrong" / "dataflow.sql").write_text(RETENTION.replace("'2 days'", "'2 hours'"))
    assert "must be a day or more" in tidelake(binary, "check", root / "wrong", code=3)
    pipeline = Pipeline(binary, flow, root, files, commit_interval=0.5)
    rows = []

    def day(number, count=300):
        begin = datetime.datetime(2026, 1, 10, tzinfo=datetime.UTC) + datetime.timedelta(days=number)
        for at in range(count):
            time_of = begin + datetime.timedelta(seconds=86_000 * at / count)
            rows.append((number, at))
            record = {"at": time_of.isoformat(), "k": f"k{at % 7}", "n": at}
            with open(files / f"part-{at % 3}.jsonl", "a") as out:
                out.write(json.dumps(record) + "\n")

    def archived(table="raw"):
        return sum(json.loads(add["stats"])["numRecords"] for add in replay(pipeline.lake / table).files.values())

    with pipeline:
        pipeline.start()
        for number in range(6):
            day(number)
            pipeline.wait_value("SELECT sum(records) AS n FROM per_k", len(rows))
            time.sleep(1)
        # The watermark is in day 5, so days 0 to 2 are older than two days before the beginning of that day.
        wait("old days went", lambda: archived() == 900)
        assert pipeline.value("SELECT sum(records) AS n FROM per_k") == len(rows), "views keep what they counted"
        pipeline.stop()
    lake = pipeline.lake
    let_go = newest_manifest(lake, "main")["let_go"]
    assert sum(let_go["raw"]["rows"].values()) == 900, let_go
    text = proven(binary, flow, lake, files, {}, outcome="PROVEN as far as it can be told")
    assert "900 rows of before 2026-01-13T00:00:00" in text, text
    per_hour = next(it for it in text.splitlines() if " per_hour " in it and it.startswith("✓ view"))
    assert "stay as they are" in per_hour, per_hour
    assert any(it.startswith("? view") and " per_k " in it for it in text.splitlines()), text
    for table in ["raw", "plain", "per_hour", "per_k"]:
        recount.compare_readers(lake / table)
    history = json.loads(tidelake(binary, "lake", "history", "raw", "--lake", lake, "--json"))
    # A commit that also adds rows is named by that.
    assert any(0 < it["files_removed"] for it in history), history
    # A record that comes a day later, of a day that is gone, is archived, and goes with the next day.
    with pipeline:
        pipeline.start()
        with open(files / "part-0.jsonl", "a") as out:
            out.write(json.dumps({"at": "2026-01-10T12:00:00Z", "k": "late", "n": 1}) + "\n")
        rows.append((0, 0))
        pipeline.wait_value("SELECT sum(records) AS n FROM per_k", len(rows))
        time.sleep(1)
        # Files are put together, and what is compacted goes all the same.
        tidelake(binary, "lake", "optimize", "--lake", lake)
        day(6)
        pipeline.wait_value("SELECT sum(records) AS n FROM per_k", len(rows))
        gone = lambda: sum(newest_manifest(lake, "main")["let_go"]["raw"]["rows"].values())
        wait("the next day went", lambda: gone() == 1201)
        pipeline.stop()
    proven(binary, flow, lake, files, {}, outcome="PROVEN as far as it can be told")
    recount.compare_readers(lake / "raw", "--expect-rows", 900)
    # Without folders of dates a file goes when all its rows are old.
    with pipeline:
        pipeline.start()
        for number in range(7, 21):
            day(number)
        pipeline.wait_value("SELECT sum(records) AS n FROM per_k", len(rows))
        wait("all former days went", lambda: archived() == 900 and "plain" in newest_manifest(lake, "main")["let_go"])
        pipeline.stop()
    let_go = newest_manifest(lake, "main")["let_go"]
    assert let_go["plain"]["column"] == "at", let_go
    proven(binary, flow, lake, files, {}, outcome="PROVEN as far as it can be told")
    recount.compare_readers(lake / "plain")
    # Somebody else deletes a day: that is not retention.
    path, add = next(iter(replay(lake / "raw").files.items()))
    log = lake / "raw" / "_delta_log"
    version = max(int(it.stem) for it in log.glob("*.json")) + 1
    remove = {"remove": {"path": path, "deletionTimestamp": 1, "dataChange": True, "partitionValues": add["partitionValues"], "size": add["size"]}}
    (log / f"{version:020}.json").write_text(json.dumps(remove) + "\n")
    done = tidelake(binary, "verify", flow, "--lake", lake, "--input", files, code=1)
    assert "NOT PROVEN" in done and "archive raw" in done, done
    return f"{let_go['raw']['files']} files of seven days went"


def values(binary, root):
    """Values of a partition column that look alike in names of folders stay apart, also when small files are merged."""
    flow, files = root / "flow", root / "input"
    flow.mkdir()
    files.mkdir()
    (flow / "dataflow.sql").write_text(
        "CREATE SOURCE s (k TEXT, n BIGINT) WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's') FORMAT JSON;"
        "CREATE TABLE raw WITH (partition_by = 'k') AS SELECT * FROM s;"
        "CREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS records FROM raw GROUP BY k;"
    )
    names, count = ["a b", "a/b", "a_b", "ä", "x" * 300, "50%", "a=b"], 0
    pipeline = Pipeline(binary, flow, root, files, commit_interval=0.2)
    with pipeline:
        pipeline.start()
        for _ in range(16):
            with open(files / "part-0.jsonl", "a") as out:
                for name in names:
                    out.write(json.dumps({"k": name, "n": count}) + "\n")
                    count += 1
            pipeline.wait_value("SELECT sum(records) AS n FROM per_k", count)
            time.sleep(0.3)
        time.sleep(1)
        pipeline.stop()
    tidelake(binary, "lake", "optimize", "--lake", pipeline.lake)
    proven(binary, flow, pipeline.lake, files, {})
    rows = {}
    for add in replay(pipeline.lake / "raw").files.values():
        value = add["partitionValues"]["k"]
        rows[value] = rows.get(value, 0) + json.loads(add["stats"])["numRecords"]
    assert rows == dict.fromkeys(names, 16), rows
    recount.compare_readers(pipeline.lake / "raw", "--expect-rows", count, "--query", "SELECT k, count(*) AS records, sum(n) AS total FROM t GROUP BY k")
    return f"{count} rows of {len(names)} values"


FIXTURES = SOURCE / "tests" / "fixtures" / "lakes"


def upgrade(binary, root):
    """Lakes that older versions wrote are opened, gone on with and proven; one of a newer version is refused."""
    seen = []
    for archive in sorted(FIXTURES.glob("*.tar.gz")):
        folder = root / archive.name.removesuffix(".tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        flow, files, lake = folder / "flow", folder / "input", folder / "lake"
        # What its views' state means has changed since: they are filled again by the next start, which a proof waits for.
        said = tidelake(binary, "verify", flow, "--input", files, "--lake", lake, code=2)
        assert "start the pipeline once with this one" in said, said
        before = newest_manifest(lake, "main")
        pipeline = Pipeline(binary, flow, folder / "run", files, commit_interval=0.5)
        pipeline.lake = lake
        count = sum(1 for it in files.glob("*.jsonl") for line in open(it) if line.startswith('{"at"'))
        with pipeline:
            pipeline.start()
            pipeline.wait_value("SELECT sum(records) AS n FROM per_k", count)
            with open(files / "part-0.jsonl", "a") as out:
                for at in range(100):
                    out.write(json.dumps({"at": f"2026-01-31T13:{at % 60:02d}:00Z", "k": f"k{at % 5}", "n": at, "x": at / 7}) + "\n")
            pipeline.wait_value("SELECT sum(records) AS n FROM per_k", count + 100)
            pipeline.stop()
        tidelake(binary, "lake", "optimize", "--lake", lake)
        proven(binary, flow, lake, files, {})
        after = newest_manifest(lake, "main")
        assert before["number"] < after["number"] and before["generation"] < after["generation"]
        for table in ["raw", "per_minute", "per_k"]:
            recount.compare_readers(lake / table)
        seen.append(archive.name)
        # The same lake, as a later version may leave it.
        path = max((lake / "_tidelake" / "main" / "manifests").iterdir())
        following = path.with_name(f"{int(path.stem) + 1:020}.json")
        following.write_text(json.dumps({"format": 99, "number": {"other": "form"}}))
        for command in (["run", flow, "--input", files, "--listen", f"127.0.0.1:{pipeline.port}"], ["verify", flow, "--input", files], ["lake", "history"]):
            code = 1 if command[0] == "verify" else CONFIGURATION
            said = tidelake(binary, *command, "--lake", lake, code=code)
            assert "written by a newer version of tidelake: it has format 99" in said, said
        left = sorted(it.name for it in (lake / "_tidelake" / "main" / "manifests").iterdir())
        assert left[-1] == following.name, "it was claimed all the same"
    assert seen, f"there are no fixtures in {FIXTURES}"
    return ", ".join(seen)


if __name__ == "__main__":
    main()
