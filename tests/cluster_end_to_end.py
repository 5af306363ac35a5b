#!/usr/bin/env python3
"""Runs clusters of several processes on generated files, kills and freezes single processes, and recounts.

    cluster_end_to_end.py BINARY [--rounds N] [--events N]

Run it with the Python that tests/readers/setup.sh makes. Each round starts `tidelake up` on the same lake with another
number of processes and workers, kills (or stops, which looks like a dead host) one of the processes at a random moment while
records keep coming, sees the cluster come back by itself, and ends it, cleanly or not. Afterwards every
process must give the same answers, and views and lake must equal DuckDB's recount of the input. SEED repeats a run.
"""

import argparse
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time

import recount
from pipeline import DATAFLOWS, Cluster, wait

EVENTS_PER_ROUND_MIN = 2000
# A process that says nothing is given up after 3.5 s; the others may take 5 s in all to end.
LOSS_SECONDS_MAX = 5


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--events", type=int, default=120_000)
    options = parser.parse_args()
    seed = int(os.environ.get("SEED", time.time()))
    random.seed(seed)
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        run(options, pathlib.Path(folder))


def run(options, root):
    files = root / "input"
    environment = {"WATERMARK_DELAY_SECONDS": "7200"}
    per_round = max(options.events // options.rounds, EVENTS_PER_ROUND_MIN)
    shapes = [(1, 2), (3, 1), (2, 2), (3, 2), (2, 1), (1, 4)]
    losses = 0
    with Cluster(options.binary, DATAFLOWS / "web_logs", root, files, environment) as cluster:
        for number in range(options.rounds):
            generate(options.binary, files, per_round, number)
            processes, workers = shapes[number % len(shapes)]
            cluster.start(workers, processes)
            if number % 3 == 2:
                time.sleep(random.uniform(0.05, 3))
                cluster.kill()  # the supervisor; its processes end with it
                continue
            cluster.wait_ready()
            time.sleep(random.uniform(0, 2))
            lose_one(cluster, freeze=number % 2 == 1)
            losses += 1
            cluster.wait_ready()
            cluster.stop()
        cluster.start(workers=1, processes=3)
        cluster.wait_ready()
        lines = root / "lines.jsonl"
        total = recount.lines_of_files(files, lines)
        for process in range(3):
            cluster.ask(process)
            cluster.wait_value("SELECT requests FROM totals", total)
        same_everywhere(cluster)
        cluster.ask(2)
        recount.check_live(cluster, lines)
        cluster.stop()
    facts = recount.check_lake(root / "lake", lines, readers=False)
    print(f"ok: {total} records, {options.rounds} rounds, {losses} lost processes, {facts}: everything once")


def generate(binary, files, count, seed):
    command = [binary, "gen", "--rate", "2000", "--count", str(count), "--seed", str(seed), "--out", str(files)]
    subprocess.run([*command, "--start", f"2026-01-31T12:{seed % 50:02d}:00Z"], check=True)


def lose_one(cluster, freeze):
    """One process is gone; the others say so and end, and the supervisor starts all again."""
    pids = cluster.pids()
    if len(pids) == 1:
        freeze = False  # nobody is there to notice
    victim = random.choice(pids)
    began = time.monotonic()
    os.kill(victim, signal.SIGSTOP if freeze else signal.SIGKILL)
    others = [it for it in pids if it != victim]
    wait("the other processes ended", lambda: not any(running(it) for it in others), 30)
    seconds = time.monotonic() - began
    if others:
        wait("someone says who is lost", lambda: "of the cluster is lost" in cluster.log(), 10)
    print(f"{'froze' if freeze else 'killed'} one of {len(pids)} processes; the others ended after {seconds:.1f} s (goal {LOSS_SECONDS_MAX} s)")
    wait("the supervisor started all again", lambda: cluster.pids() and not set(cluster.pids()) & set(pids), 60)


def running(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state != "Z"
    except OSError:
        return False


def same_everywhere(cluster):
    """The rows of a view as of one epoch are the same in every process."""
    epoch = cluster.get("/api/v1/views/endpoints")["epoch"]
    answers = []
    for process in range(3):
        cluster.ask(process)
        path = f"/api/v1/views/endpoints?as_of={epoch}"
        wait(f"process {process} at epoch {epoch}", lambda: cluster.get("/api/v1/status")["epoch"] >= epoch)
        answer = cluster.get(path)
        assert answer["epoch"] == epoch, answer
        answers.append(sorted(map(str, answer["rows"])))
    assert answers[0] and answers[0] == answers[1] == answers[2], answers


if __name__ == "__main__":
    main()
