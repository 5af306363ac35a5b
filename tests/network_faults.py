#!/usr/bin/env python3
"""Puts a bad network between the processes of a cluster and recounts.

    network_faults.py BINARY [--rounds N]

Run it with the Python that tests/readers/setup.sh makes. Three processes reach each other through proxies that pass
everything on, late, not at all, or in one direction only, as a broken switch or a firewall does. Delay must only make things
late. A connection that is cut or says nothing must end all processes within five seconds, each with a word on who is lost;
started again they go on from the last commit. At the end views and lake must equal DuckDB's recount. SEED repeats a run.
"""

import argparse
import collections
import os
import pathlib
import random
import signal
import socket
import subprocess
import tempfile
import threading
import time

import recount
from pipeline import DATAFLOWS, Pipeline, free_port, wait

PROCESSES = 3
EVENTS_PER_ROUND = 4000
# A process that says nothing is given up after 3.5 s; all may take 5 s in all to end. One more for a busy machine.
LOSS_SECONDS_MAX = 6
PEER_LOST = 75


class Proxy:
    """Passes bytes between one process and another. What it does to them can be changed at any time."""

    def __init__(self, target):
        self.target = target
        self.delay = 0.0
        # Directions in which nothing is passed on: "there" is from who connected.
        self.holes = set()
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def heal(self):
        self.delay, self.holes, self.sockets = 0.0, set(), []

    def cut(self):
        for it in self.sockets:
            try:
                it.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            try:
                far = socket.create_connection(self.target)
            except OSError:
                near.close()
                continue
            self.sockets += [near, far]
            for source, sink, direction in [(near, far, "there"), (far, near, "back")]:
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                queue = collections.deque()
                threading.Thread(target=self.take, args=(source, queue), daemon=True).start()
                threading.Thread(target=self.give, args=(sink, queue, direction), daemon=True).start()

    def take(self, source, queue):
        while True:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            queue.append((time.monotonic(), data))
            if not data:
                return

    def give(self, sink, queue, direction):
        while True:
            if not queue or direction in self.holes or time.monotonic() < queue[0][0] + self.delay:
                time.sleep(0.002)
                continue
            data = queue.popleft()[1]
            try:
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)
            except OSError:
                return


class Members:
    """Processes of one cluster, each with an API of its own, started one by one."""

    def __init__(self, binary, root, source, environment):
        self.members = []
        addresses = [f"127.0.0.1:{free_port()}" for _ in range(PROCESSES)]
        self.proxies = {}
        for process in range(PROCESSES):
            member = Pipeline(binary, DATAFLOWS / "web_logs", root / f"p{process}", source, environment)
            member.lake = root / "lake"
            hosts = list(addresses)
            # Each connects to those with lower numbers.
            for lower in range(process):
                host, port = addresses[lower].split(":")
                proxy = self.proxies[process, lower] = Proxy((host, int(port)))
                hosts[lower] = proxy.address
            (member.folder / "hosts").write_text("\n".join(hosts))
            self.members.append(member)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for it in self.members:
            it.__exit__(kind, error, trace)

    def start(self):
        for proxy in self.proxies.values():
            proxy.heal()
        for process, it in enumerate(self.members):
            it.launch(["run", "--process", str(process), "--hosts", str(it.folder / "hosts")], 1, {})
        for process, it in enumerate(self.members):
            wait(f"process {process} is ready", lambda it=it: it.get("/readyz"))

    def stop(self):
        for it in self.members:
            it.process.send_signal(signal.SIGTERM)
        for process, it in enumerate(self.members):
            code = it.process.wait(timeout=60)
            it.process = None
            assert code == 0, f"process {process} did not end cleanly: exit code {code}"

    def expect_end(self, began, logs):
        """All end, say whom they lost, and tell by their exit code that a new start is the remedy."""
        for process, it in enumerate(self.members):
            code = it.process.wait(timeout=30)
            it.process = None
            assert code == PEER_LOST, f"process {process} ended with {code}, not {PEER_LOST}"
            assert "lost" in it.log()[logs[process] :], f"process {process} does not say who is lost"
        seconds = time.monotonic() - began
        assert seconds < LOSS_SECONDS_MAX, f"it took {seconds:.1f} s until all had ended"
        return seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    seed = int(os.environ.get("SEED", time.time()))
    random.seed(seed)
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        run(options, pathlib.Path(folder))


def run(options, root):
    files, lines = root / "input", root / "lines.jsonl"
    faults = ["cut", "half open", "silent", "cut", "half open"]
    with Members(options.binary, root, files, {"WATERMARK_DELAY_SECONDS": "7200"}) as cluster:
        generate(options.binary, files, 0)
        for number in range(options.rounds):
            cluster.start()
            late(cluster, files, options.binary, 2 * number + 1)
            generate(options.binary, files, 2 * number + 2)
            time.sleep(random.uniform(0, 1.5))
            lose(cluster, faults[number % len(faults)])
        cluster.start()
        total = recount.lines_of_files(files, lines)
        for it in cluster.members:
            it.wait_value("SELECT requests FROM totals", total)
            recount.check_live(it, lines)
        cluster.stop()
    facts = recount.check_lake(root / "lake", lines, readers=False)
    print(f"ok: {total} records, {options.rounds} broken networks, {facts}: everything once")


def generate(binary, files, number):
    command = [binary, "gen", "--rate", "2000", "--count", str(EVENTS_PER_ROUND), "--seed", str(number), "--out", str(files)]
    subprocess.run([*command, "--start", f"2026-01-31T12:{number % 60:02d}:00Z"], check=True)


def late(cluster, files, binary, number):
    """Everything between the processes takes its time; all of it arrives, and nobody is given up."""
    for proxy in cluster.proxies.values():
        proxy.delay = random.uniform(0.05, 0.4)
    generate(binary, files, number)
    expected = EVENTS_PER_ROUND * (number + 1)
    cluster.members[2].wait_value("SELECT requests FROM totals", expected)
    for proxy in cluster.proxies.values():
        proxy.delay = 0.0


def lose(cluster, fault):
    (near, far), proxy = random.choice(list(cluster.proxies.items()))
    logs = [len(it.log()) for it in cluster.members]
    began = time.monotonic()
    if fault == "cut":
        proxy.cut()
    elif fault == "half open":
        proxy.holes = {random.choice(["there", "back"])}
    else:
        proxy.holes = {"there", "back"}
    seconds = cluster.expect_end(began, logs)
    print(f"{fault} between {near} and {far}: all ended after {seconds:.1f} s")


if __name__ == "__main__":
    main()
