#!/usr/bin/env python3
"""Models that come in force while records are read: alone and in a cluster, through `kill -9`.

    predictions.py BINARY

Requests go on being written while `tidelake train --every` makes one version after another. Each record is in `ml_predictions` once, scored by the version that its row names,
with what that version says of it; `verify` proves it. SEED repeats a run.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import subprocess
import tempfile
import threading
import time

from pipeline import Cluster, Pipeline, wait

DATAFLOW = pathlib.Path(__file__).parent.parent / "dataflows" / "ml_predictions"
FILES = 4
TRAIN = "SELECT response_time, status_code, bytes_sent FROM lake.ml_predictions"


class Writer:
    """Writes requests until it is told to stop; counts them."""

    def __init__(self, folder):
        self.folder, self.written, self.stopped = folder, 0, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        files = [open(self.folder / f"{number}.jsonl", "a", encoding="utf-8") for number in range(FILES)]
        while not self.stopped.wait(0.05):
            for _ in range(10):
                files[random.randrange(FILES)].write(json.dumps(request()) + "\n")
                self.written += 1
            for file in files:
                file.flush()
        for file in files:
            file.close()

    def stop(self):
        self.stopped.set()
        self.thread.join()


def request():
    now = datetime.datetime.now(datetime.UTC)
    odd = random.random() < 0.03
    return {
        "timestamp": now.isoformat().replace("+00:00", "Z"),
        "ip": f"10.0.0.{random.randrange(9)}",
        "method": "GET",
        "endpoint": random.choice(["/", "/api/users", "/cart"]),
        "status_code": 503 if odd else random.choice([200, 200, 200, 304, 404]),
        "response_time": None if random.random() < 0.02 else round(random.lognormvariate(6.5 if odd else 4.5, 0.4), 3),
        "bytes_sent": random.randrange(100, 90_000),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    options = parser.parse_args()
    seed = int(os.environ.get("SEED", time.time()))
    random.seed(seed)
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        run(options.binary, pathlib.Path(folder))


def run(binary, root):
    files = root / "input"
    files.mkdir()
    writer = Writer(files)
    with Pipeline(binary, DATAFLOW, root, files) as pipeline:
        pipeline.start()
        wait("requests judged by rules", lambda: judged(pipeline).get((None, "RULE_BASED"), 0) > 200 or None)
        assert "there is no version yet" in model_of(pipeline)["detail"], model_of(pipeline)
        refused = train(binary, root, "SELECT response_time, 1 AS one FROM lake.ml_predictions")
        assert refused.returncode == 65 and "one" in refused.stderr, refused
        made = train(binary, root, TRAIN)
        assert made.returncode == 0, made.stderr
        wait("the first version without a restart", lambda: judged(pipeline).get((1, "MODEL"), 0) > 100 or None)
        assert "version 1 (" in model_of(pipeline)["detail"], model_of(pipeline)
        with Training(binary, root) as training:
            # What is in force is looked up every few seconds: on a quick machine versions are passed over.
            used = 1
            for _ in range(2):
                used = wait(f"a version after {used}", lambda used=used: version_after(pipeline, used))
                time.sleep(random.random() * 2)
                pipeline.kill()
                pipeline.start()
            wait(f"a version after {used}", lambda: version_after(pipeline, used))
            training.is_running()
        pipeline.stop()
    versions = len(model_versions(binary, root))
    print(f"  one process: {versions} versions made, killed twice while records came")

    with Cluster(binary, DATAFLOW, root, files) as cluster:
        cluster.start(1, 2)
        cluster.wait_ready()
        time.sleep(2)
        for killed in (False, True):
            made = train(binary, root, TRAIN, "--seed", str(random.randrange(2**31)))
            assert made.returncode == 0, made.stderr
            newest = model_versions(binary, root)[0]["version"]
            wait("the newest version in both processes", lambda newest=newest: partitions(cluster, newest) == FILES or None)
            if killed:
                cluster.kill()
                cluster.start(1, 2)
                cluster.wait_ready()
        writer.stop()
        wait("all that was written", lambda: sum(judged(cluster).values()) == writer.written or None)
        cluster.stop()
    print("  two processes: both score by a newer version from the same epoch on")
    check(binary, root, writer.written)
    proven(binary, root, files)


class Training:
    """`tidelake train --every`."""

    def __init__(self, binary, root):
        seeds = ["--seed", str(random.randrange(2**31))]
        command = [str(binary), "train", "web_requests", "--from", TRAIN, "--lake", str(root / "lake"), "--every", "2 seconds", *seeds]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def is_running(self):
        assert self.process.poll() is None, f"training ended with code {self.process.returncode}"


def train(binary, root, query, *flags):
    command = [str(binary), "train", "web_requests", "--from", query, "--lake", str(root / "lake"), *flags]
    return subprocess.run(command, capture_output=True, text=True)


def rows(pipeline, query):
    try:
        return pipeline.sql(query)
    except Exception:  # noqa: BLE001 before its first commit there is no table
        return []


def judged(pipeline):
    """How many records each version has judged, and by what."""
    found = rows(pipeline, "SELECT model_version, detection_method, count(*) AS c FROM lake.ml_predictions GROUP BY 1, 2")
    by = {}
    for row in found:
        version = row["model_version"]
        by[(None if version is None else int(version), row["detection_method"])] = int(row["c"])
    return by


def version_after(pipeline, version):
    """The newest version that has scored, where it is newer than `version`."""
    newest = max((number for number, method in judged(pipeline) if number is not None and method == "MODEL"), default=0)
    return newest if newest > version else None


def partitions(cluster, version):
    """In how many partitions a version has scored."""
    query = f"SELECT count(DISTINCT _partition) AS c FROM lake.ml_predictions WHERE model_version = {version}"
    return int(rows(cluster, query)[0]["c"])


def model_of(pipeline):
    [found] = [it for it in pipeline.get("/api/v1/status")["components"] if it["name"] == "model web_requests"]
    return found


def model_versions(binary, root):
    command = [str(binary), "model", "show", "web_requests", "--lake", str(root / "lake"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["versions"]


def check(binary, root, written):
    def sql(query):
        command = [str(binary), "sql", "--lake", str(root / "lake"), "-o", "jsonl", query]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    [row] = sql("SELECT count(*) AS c, count(DISTINCT concat(_partition, ':', _offset)) AS d FROM ml_predictions")
    assert int(row["c"]) == int(row["d"]) == written, (row, written)
    known = {it["version"]: it["id"] for it in model_versions(binary, root)}
    used = sql("SELECT DISTINCT model_version AS v, model AS m FROM ml_predictions WHERE model_version IS NOT NULL")
    assert len(used) >= 5, used
    for row in used:
        version, model = int(row["v"]), row["m"]
        assert known[version] == model, (version, model)
        says = f"score('web_requests@{model[:16]}', response_time, status_code, bytes_sent)"
        [wrong] = sql(
            f"SELECT count(*) AS c FROM ml_predictions WHERE model_version = {version} AND ({says} IS NULL) = (detection_method = 'MODEL') "
            f"OR model_version = {version} AND detection_method = 'MODEL' AND anomaly_score <> {says}"
        )
        assert int(wrong["c"]) == 0, (version, wrong)
        # Versions follow one another: none comes back.
        [span] = sql(
            f"SELECT count(*) AS c FROM ml_predictions WHERE model_version IS DISTINCT FROM {version} AND "
            f"_epoch BETWEEN (SELECT min(_epoch) FROM ml_predictions WHERE model_version = {version}) AND (SELECT max(_epoch) FROM ml_predictions WHERE model_version = {version})"
        )
        assert int(span["c"]) == 0, (version, span)
    print(f"  {written} records, each once, each scored by what was in force: {len(used)} versions")


def proven(binary, root, files):
    command = [str(binary), "verify", str(DATAFLOW), "--lake", str(root / "lake"), "--input", str(files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "could not be made in full" not in done.stdout, done.stdout + done.stderr


if __name__ == "__main__":
    main()
