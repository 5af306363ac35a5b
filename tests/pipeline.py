"""What the tests of the whole program share: a running binary and how to ask it.

Nothing here judges: it starts, kills, waits and asks. A wait has a condition and gives up loudly.
"""

import contextlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

SOURCE = pathlib.Path(__file__).resolve().parent.parent
DATAFLOWS = SOURCE / "dataflows"
# A program that hangs never ends; on a machine that is busy with other things, an orderly end may take minutes.
STOPPED_SECONDS_MAX = 240


def free_port(following=0):
    """A port that nobody listens on, nor on so many that follow it. It lies below those that the system lends to outgoing
    connections: one of these could take it before the program does."""
    first_lent = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        # Not from the generator that SEED repeats: two suites may run at once.
        first = random.SystemRandom().randrange(10_000, first_lent - following)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + following + 1):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first
    raise AssertionError("there are no free ports")


def wait(what, test, seconds=120):
    """Waits until `test` says something true and returns it. A server that is not there yet is waited for."""
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            last = test()
            if last:
                return last
        except OSError as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"gave up waiting for: {what}; the last answer was {last!r}")


class Pipeline:
    """`tidelake run` of one dataflow on one lake, started as often as wanted. Use it in a `with`: nothing stays running."""

    # Each process serves on a port of its own, from the first one on.
    MOST_PROCESSES = 1

    def __init__(self, binary, dataflow, folder, source=None, environment=None, commit_interval=1):
        self.binary, self.dataflow, self.folder = str(binary), dataflow, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lake = self.folder / "lake"
        self.source = source
        self.environment = environment or {}
        self.commit_interval = commit_interval
        self.port = free_port(following=self.MOST_PROCESSES - 1)
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.process is not None:
            self.kill()
        if kind is not None:
            print(f"--- end of {self.folder}/log:\n{self.log()[-5000:]}", file=sys.stderr)

    def start(self, workers=2, arguments=(), **environment):
        """Starts it and does not wait; `arguments` and `environment` are for this start only."""
        self.launch(["run", *arguments], workers, environment)

    def launch(self, how, workers, environment):
        assert self.process is None, "it runs already"
        command = [self.binary, *how, str(self.dataflow), "--lake", str(self.lake), "--listen", f"127.0.0.1:{self.port}"]
        command += ["--workers", str(workers), "--commit-interval", str(self.commit_interval)]
        if self.source is not None:
            command += ["--input", str(self.source)]
        # Not among the instances of whoever runs the tests.
        state = {"TIDELAKE_STATE_DIR": str(self.folder / "state")}
        environment = {**os.environ, **state, **self.environment, **environment}
        self.logged_before = len(self.log()) if (self.folder / "log").exists() else 0
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self):
        """Asks it to end and expects a clean end, with a last commit."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=STOPPED_SECONDS_MAX)
        self.process = None
        assert code == 0, f"the stop was not clean: exit code {code}"

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as it:
            return json.load(it)

    def metrics(self):
        """What /metrics tells: values by series, as these are written there."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as it:
            lines = it.read().decode().splitlines()
        samples = (it.rpartition(" ") for it in lines if not it.startswith("#"))
        return {series: float(value) for series, _, value in samples}

    def post(self, path, body):
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as it:
                return json.load(it)
        except urllib.error.HTTPError as error:
            if error.code in (404, 503):  # a server that is still starting
                raise
            raise AssertionError(f"{body}: {error.code} {error.read().decode()}") from error

    def sql(self, query):
        answer = self.post("/api/v1/sql", {"query": query, "limit": 100_000})
        assert not answer.get("truncated"), f"the answer was cut off: {query}"
        return answer["rows"]

    def value(self, query):
        """The one value that a query gives; none if there is no row."""
        rows = self.sql(query)
        return next(iter(rows[0].values())) if rows else None

    def health(self):
        """Status and words of the first source."""
        component = next(it for it in self.get("/api/v1/status")["components"] if it["name"].startswith("source "))
        return component["status"], component["detail"]

    def wait_health(self, status, *words):
        """Waits until the source is in that state and its words hold all of these."""

        def seen():
            found, detail = self.health()
            return detail if found == status and all(it in detail for it in words) else None

        try:
            return wait(f"source {status}: {words}", seen, 60)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.health()}") from error

    def wait_value(self, query, expected, seconds=120):
        def reached():
            nonlocal found
            found = self.value(query)
            return found == expected

        found = None
        try:
            wait(query, reached, seconds)
        except AssertionError as error:
            raise AssertionError(f"{query} is {found}, expected {expected}") from error


class Cluster(Pipeline):
    """`tidelake up`: several processes, each with an API of its own; one of them at a time is asked."""

    MOST_PROCESSES = 8

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.first_port = self.port
        self.processes = 0

    def start(self, workers=1, processes=2, **environment):
        assert processes <= self.MOST_PROCESSES
        self.processes = processes
        self.ask(0)
        self.launch(["up", "--processes", str(processes)], workers, environment)

    def ask(self, process):
        """From now on this process is asked."""
        self.port = self.first_port + process

    def first_end(self):
        """Number and status of the first process that ended by itself since the start, as the supervisor says; none if none did."""
        return re.search(r"a process ended; all will be started again process=(\d+) status=(.+)", self.log()[self.logged_before:])

    def crash(self, step, seconds=60, feed=lambda: None):
        """Waits until process 0, which claims and commits for all, has been ended at a step, and by nothing else."""
        end = wait(f"step {step}", lambda: feed() or self.first_end(), seconds)
        self.kill()
        assert end[1] == "0" and "SIGABRT" in end[2], f"{step}: process {end[1]} ended first, with {end[2]}"

    def pids(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(it) for it in children.split()]

    def kill(self):
        pids = self.pids()
        super().kill()
        for pid in pids:
            # A process that was stopped cannot end by itself.
            try:
                os.kill(pid, signal.SIGCONT)
            except OSError:
                continue
            wait(f"process {pid} ended with its supervisor", lambda pid=pid: not os.path.exists(f"/proc/{pid}"), 30)

    def wait_ready(self):
        def ready():
            for process in range(self.processes):
                self.ask(process)
                self.get("/readyz")
            self.ask(0)
            return True

        wait("all processes are ready", ready)
