#!/usr/bin/env python3
"""Pipelines in the background, and what any other shell can tell and do about them: status, logs, stop and health.

    instances.py BINARY [--port FIRST]

Everything is done with the commands that a person would type, and judged by their exit codes, by what the system says of processes, and by
records that are all there once. Processes are killed, frozen and replaced; folders are left behind as a crash leaves them.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from pipeline import free_port, wait
from shell import Shell

DATAFLOW = """
SET dataflow = '{name}';
CREATE SOURCE orders (id BIGINT NOT NULL, at TIMESTAMP NOT NULL, WATERMARK FOR at AS at - INTERVAL '10' SECOND) {options} FORMAT JSON;
CREATE TABLE kept AS SELECT * FROM orders;
CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n, count(DISTINCT id) AS ids FROM kept;
"""
FILES = "WITH (connector = 'files', path = 'nowhere')"
NO_BROKER = "WITH (connector = 'kafka', brokers = '127.0.0.1:{port}', topic = 'orders')"


class Suite:
    def __init__(self, binary, root, first_port):
        self.binary, self.root, self.first_port = str(pathlib.Path(binary).resolve()), root, first_port
        self.ports = iter(range(first_port, first_port + 20))
        self.files = root / "input"
        self.files.mkdir()
        self.written = 0
        self.environment = {it: value for it, value in os.environ.items() if not it.startswith(("TIDELAKE_", "KAFKA_"))}
        self.environment |= {"HOME": str(root), "XDG_STATE_HOME": str(root / "state"), "COLUMNS": "200"}
        # Not written by the program, so that it is not read from there by mistake.
        self.instances = root / "state" / "tidelake" / "instances"

    def tidelake(self, *arguments, code=0, says=(), env=None, seconds=120, binary=None):
        """Runs a command to its end, expects its exit code and what it says, and returns what it printed."""
        ended = subprocess.run(
            [binary or self.binary, *map(str, arguments)], capture_output=True, text=True, cwd=self.root, env=self.environment | (env or {}), timeout=seconds, stdin=subprocess.DEVNULL
        )
        told = f"tidelake {' '.join(map(str, arguments))}: exit code {ended.returncode}, expected {code}\n{ended.stdout}\n{ended.stderr}"
        assert ended.returncode == code, told
        for text in [says] if isinstance(says, str) else says:
            assert text in ended.stdout + ended.stderr, f"{text!r} is not in what was said by {told}"
        return ended.stdout

    def dataflow(self, name, options=FILES):
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        (folder / "dataflow.sql").write_text(DATAFLOW.format(name=name, options=options))
        return folder

    def arguments(self, dataflow, port, lake=None):
        lake = lake or self.root / "lakes" / dataflow.name
        return [dataflow, "--lake", lake, "--listen", f"127.0.0.1:{port}", "--input", self.files, "--commit-interval", 0.5, "--workers", 1]

    def write(self, count):
        with open(self.files / "orders.jsonl", "a") as file:
            for number in range(self.written, self.written + count):
                file.write(json.dumps({"id": number, "at": f"2026-01-31T12:00:{number % 60:02d}Z"}) + "\n")
        self.written += count

    def status(self, name, code=0):
        told = json.loads(self.tidelake("status", name, "-o", "json", code=code))
        assert [it["name"] for it in told] == [name], told
        return told[0]

    def wait_all_once(self, port):
        def rows():
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/api/v1/sql", b'{"query": "SELECT n, ids FROM totals"}', {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)["rows"]

        wait(f"{self.written} records, each once", lambda: rows() == [{"n": self.written, "ids": self.written}], 60)


@contextlib.contextmanager
def running(command, **how):
    """A process that is not left behind."""
    with subprocess.Popen(command, **how) as process:
        try:
            yield process
        finally:
            process.kill()


def lives(pid):
    """Whether there is such a process; one that nobody has waited for is none."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def all_pids(told):
    return [told["pid"], *(it["pid"] for it in told["processes"])]


def in_the_background(suite):
    """It is detached, known, found, asked, restarted, followed and stopped."""
    shop, port = suite.dataflow("shop"), next(suite.ports)
    suite.write(1000)
    said = suite.tidelake("run", *suite.arguments(shop, port), "-d", says=["shop runs in the background", "tidelake stop shop", f"http://127.0.0.1:{port}/"])
    told = suite.status("shop")
    assert told["state"] == "running" and told["restarts"] == 0 and f"process {told['pid']}," in said, told
    assert os.getsid(told["pid"]) == told["pid"], "it has a session of its own"
    process = told["processes"][0]
    assert lives(told["pid"]) and lives(process["pid"]) and process["pid"] != told["pid"], told
    assert told["lake"] == (suite.root / "lakes" / "shop").as_uri() + "/" and told["dataflow"] == "shop", told
    suite.wait_all_once(port)
    asked = wait("a commit is told", lambda: next(it for it in suite.status("shop")["processes"] if it["commits"]), 30)
    assert asked["health"] == "ok" and asked["lag"] == {"bytes": 0} and asked["epoch_age_seconds"] < 60, asked
    text = suite.tidelake("status")
    for part in ("shop", "running", f"http://127.0.0.1:{port}/", str(process["pid"])):
        assert part in text, f"{part!r} is not in:\n{text}"
    assert suite.tidelake("status", "shop", "-o", "pids").split() == [str(process["pid"])]
    suite.tidelake("health", "shop", says="is ok")
    suite.tidelake("health", "--server", f"http://127.0.0.1:{port}", "--strict")
    suite.tidelake("health", "--server", f"http://127.0.0.1:{port}", "--live", says="is alive")

    refusals(suite, shop, port, told)

    before = process["pid"]
    os.kill(before, signal.SIGKILL)
    suite.write(500)
    told = wait("it is started again", lambda: again if (again := suite.status("shop"))["restarts"] == 1 and again["state"] == "running" else None, 60)
    assert told["processes"][0]["pid"] != before and "SIGKILL" in told["last_end"]["how"], told
    suite.wait_all_once(port)
    component = next(it for it in suite.status("shop")["processes"][0]["components"] if it["name"] == "supervisor")
    assert component["restarts"] == 1 and "SIGKILL" in component["detail"], component
    suite.tidelake("status", "shop", says=["restarts", "1, the last one since process 0 ended"])

    log = suite.tidelake("logs", "shop", "-n", 10_000)
    assert "a process ended; all will be started again" in log and "serving http" in log, log
    assert len(suite.tidelake("logs", "shop", "-n", 3).splitlines()) == 3
    following = subprocess.Popen([suite.binary, "logs", "shop", "-f", "-n", "0"], stdout=subprocess.PIPE, text=True, env=suite.environment)
    # What lies on standard output so far is nothing: it follows from the end on.
    time.sleep(0.5)
    suite.tidelake("stop", "shop", says=["stopped shop", "all it had read is committed"])
    followed, _ = following.communicate(timeout=30)
    assert following.returncode == 0 and "stopped; the next start goes on from here" in followed and "serving http" not in followed, followed
    assert not any(map(lives, all_pids(told))), "something of it still runs"
    suite.tidelake("stop", "shop", says="shop is not running")
    ended = suite.status("shop", code=1)
    assert ended["state"] == "ended" and ended["ended"]["code"] == 0, ended
    suite.tidelake("health", "--server", f"http://127.0.0.1:{port}", code=69)
    assert "shop" not in suite.tidelake("status"), "what ended in order is told of only when asked for"
    assert "shop" in suite.tidelake("status", "--all")
    # What was read before the stop is not read again.
    suite.tidelake("run", *suite.arguments(shop, port), "-d")
    suite.wait_all_once(port)
    suite.tidelake("stop")
    mode = (suite.instances / "shop").stat().st_mode & 0o777
    assert mode == 0o700, oct(mode)


def refusals(suite, shop, port, told):
    """A second start says who has what it wants, and leaves the first one alone."""
    other, elsewhere = suite.dataflow("other"), next(suite.ports)
    who = f"process {told['pid']} of this machine, instance shop"
    suite.tidelake("run", *suite.arguments(shop, port), "-d", code=4, says=[who, "tidelake stop shop"])
    suite.tidelake("run", *suite.arguments(shop, elsewhere), code=4, says=who)
    suite.tidelake("up", *suite.arguments(shop, elsewhere), "--processes", 2, code=4, says=who)
    suite.tidelake("run", *suite.arguments(other, elsewhere), "-d", "--name", "shop", code=4, says=["instance shop runs already", str(told["pid"])])
    suite.tidelake("run", *suite.arguments(other, port), "-d", code=78, says=["by instance shop", "choose another address"])
    suite.tidelake("run", *suite.arguments(other, elsewhere), "-d", "--name", "a/b", code=2, says="no name of an instance")
    suite.tidelake("run", *suite.arguments(other, 0), "-d", code=2, says="--listen")
    suite.tidelake("status", "--lake", suite.root / "lakes" / "shop", says=["is held by", "instance shop"])
    assert suite.status("shop")["pid"] == told["pid"] and suite.status("shop")["restarts"] == 0


def starts_that_fail(suite):
    """The exit code is that of `run`, the reason is told, and nothing stays."""
    port = next(suite.ports)
    wrong = suite.dataflow("wrong")
    (wrong / "dataflow.sql").write_text("CREATE SOURCE nothing;\n")
    suite.tidelake("run", *suite.arguments(wrong, port), code=3)
    suite.tidelake("run", *suite.arguments(wrong, port), "-d", code=3)
    # What only the process itself finds out.
    broken = suite.dataflow("broken")
    said = suite.tidelake("run", *suite.arguments(broken, port), "-d", code=70, says=["broken did not start", "read-orders-0 failed"], env={"TIDELAKE_PANIC_IN": "read-orders"})
    assert not said, said
    ended = suite.status("broken", code=1)
    assert ended["state"] == "ended" and ended["ended"]["code"] == 70 and not any(map(lives, all_pids(ended))), ended
    lake = suite.root / "lakes" / "damaged"
    manifests = lake / "_tidelake" / "damaged" / "manifests"
    manifests.mkdir(parents=True)
    (manifests / f"{1:020}.json").write_text("{")
    code = subprocess.run([suite.binary, "run", *map(str, suite.arguments(suite.dataflow("damaged"), port))], env=suite.environment, cwd=suite.root, capture_output=True).returncode
    assert code == 78, code
    suite.tidelake("run", *suite.arguments(suite.dataflow("damaged"), port), "-d", code=78, says="damaged did not start")
    # A broker that is not there: it waits for it, and says so.
    late = suite.dataflow("late", NO_BROKER.format(port=next(suite.ports)))
    arguments = [it for it in suite.arguments(late, port) if it not in ("--input", suite.files)]
    suite.tidelake("run", *arguments, "-d", "--ready-timeout", 4, code=1, says=["late (process", "is not ready after 4 s", "tidelake stop late"])
    suite.tidelake("health", "late", code=1, says="source orders was")
    suite.tidelake("health", "late", "--live")
    told = suite.status("late")
    assert told["state"] == "starting" and told["processes"][0]["health"] != "ok", told
    suite.tidelake("stop", "late", says="stopped late")
    assert not any(map(lives, all_pids(told)))


def after_a_crash(suite):
    """Everything is killed: the next start finds a free name, and all records once."""
    port = next(suite.ports)
    arguments = suite.arguments(suite.dataflow("shop"), port)
    suite.tidelake("run", *arguments, "-d")
    told = suite.status("shop")
    for pid in all_pids(told):
        os.kill(pid, signal.SIGKILL)
    wait("all are gone", lambda: not any(map(lives, all_pids(told))))
    died = suite.status("shop", code=1)
    assert died["state"] == "died", died
    assert "died without a last word" in suite.tidelake("status")
    suite.tidelake("stop", "shop", says="shop is not running")
    suite.write(100)
    suite.tidelake("run", *arguments, "-d")
    suite.wait_all_once(port)
    # Only the supervisor is killed: what it kept up ends by itself, in order.
    told = suite.status("shop")
    os.kill(told["pid"], signal.SIGKILL)
    wait("its process ends with it", lambda: not any(map(lives, all_pids(told))), 30)
    suite.tidelake("run", *arguments, "-d")
    suite.wait_all_once(port)
    suite.tidelake("stop", "shop")


def reused_numbers(suite):
    """A process that got the number of one of ours is left alone."""
    port = next(suite.ports)
    arguments = suite.arguments(suite.dataflow("shop"), port)
    suite.tidelake("run", *arguments, "-d")
    told = suite.status("shop")
    for pid in all_pids(told):
        os.kill(pid, signal.SIGKILL)
    wait("all are gone", lambda: not any(map(lives, all_pids(told))))
    path = suite.instances / "shop" / "record.json"
    record = json.loads(path.read_text())
    with running(["sleep", "600"]) as stranger:
        record["holder"]["pid"] = stranger.pid
        record["processes"][0]["pid"] = stranger.pid
        path.write_text(json.dumps(record))
        assert suite.status("shop", code=1)["state"] == "died"
        suite.tidelake("stop", "shop", "--force", "--timeout", 1, says="shop is not running")
        suite.tidelake("stop", "--all", "--force", "--timeout", 1, says="nothing to stop")
        time.sleep(0.2)
        assert stranger.poll() is None, "a process that is none of ours was ended"
        suite.tidelake("run", *arguments, "-d")
        suite.wait_all_once(port)
        suite.tidelake("stop", "shop")
        assert stranger.poll() is None, "a process that is none of ours was ended"


def in_the_foreground(suite):
    """It is known and can be stopped from elsewhere, and leaves nothing."""
    port = next(suite.ports)
    arguments = [suite.binary, "run", *map(str, suite.arguments(suite.dataflow("shop"), port)), "--name", "mine"]
    with running(arguments, env=suite.environment, cwd=suite.root, stderr=subprocess.PIPE, text=True) as process:
        known = lambda: json.loads(suite.tidelake("status", "-o", "json"))
        told = wait("it is known", lambda: next((it for it in known() if it["name"] == "mine" and it["state"] == "running"), None), 60)
        assert told["pid"] == process.pid and told["log"] is None, told
        suite.tidelake("logs", "mine", code=1, says="in the foreground")
        suite.wait_all_once(port)
        suite.tidelake("stop", code=2, says=["in the foreground", "mine"])
        suite.tidelake("stop", "mine", says=f"stopped mine (process {process.pid})")
        assert process.wait(timeout=10) == 0
    assert not (suite.instances / "mine").exists()
    suite.tidelake("stop", "mine", says="nothing to stop: there is no instance mine")
    suite.tidelake("status", "mine", code=1)
    suite.tidelake("status", "--lake", suite.root / "lakes" / "shop", says="is free")


def frozen(suite):
    """What does not end in time is left, or killed if that is said."""
    port = next(suite.ports)
    suite.tidelake("run", *suite.arguments(suite.dataflow("shop"), port), "-d")
    told = suite.status("shop")
    os.kill(told["processes"][0]["pid"], signal.SIGSTOP)
    os.kill(told["pid"], signal.SIGSTOP)
    suite.tidelake("stop", "shop", "--timeout", 1, code=1, says=["still runs after 1.0 s", "--force"])
    assert all(map(lives, all_pids(told)))
    suite.tidelake("stop", "shop", "--timeout", 1, "--force", code=5, says=["shop was killed", "2 processes"])
    assert not any(map(lives, all_pids(told)))
    suite.tidelake("run", *suite.arguments(suite.dataflow("shop"), port), "-d")
    suite.wait_all_once(port)
    suite.tidelake("stop", "shop")


def several(suite):
    """A cluster in the background: one of its processes is lost, and all begin again; and two instances of one dataflow."""
    port, second = next(suite.ports), 0
    next(suite.ports)
    second = next(suite.ports)
    shop = suite.dataflow("shop")
    suite.tidelake("up", *suite.arguments(shop, port), "--processes", 2, "-d", says="shop runs in the background")
    told = suite.status("shop")
    assert [it["number"] for it in told["processes"]] == [0, 1] and told["command"] == "up", told
    suite.tidelake("run", *suite.arguments(shop, second, suite.root / "lakes" / "copy"), "-d", says="shop-2 runs in the background")
    suite.tidelake("stop", code=2, says=["which instance?", "shop, shop-2"])
    os.kill(told["processes"][1]["pid"], signal.SIGKILL)
    again = wait("all are started again", lambda: it if (it := suite.status("shop"))["restarts"] == 1 and it["state"] == "running" else None, 90)
    assert not set(all_pids(told)[1:]) & set(all_pids(again)[1:]), "a process was kept"
    suite.wait_all_once(port)
    suite.wait_all_once(second)
    assert len(suite.tidelake("status", "-o", "pids").split()) == 3
    suite.tidelake("stop", "--all", says=["stopped shop ", "stopped shop-2 "])
    assert suite.tidelake("status", "-o", "pids") == ""


def restart_in_place(port):
    """Asks for it; what was answered, or the problem."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/restart", b"", {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def children(pid):
    """Numbers of those that it has started, also the dead that it has not buried."""
    return [int(it) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children") for it in path.read_text().split()]


def in_its_place(suite):
    """A pipeline is restarted by a request: process, name, address and what keeps it up stay, and all records are there once."""
    port = next(suite.ports)
    shop = suite.dataflow("shop")
    suite.tidelake("run", *suite.arguments(shop, port), "-d")
    suite.wait_all_once(port)
    told = suite.status("shop")
    pid = told["processes"][0]["pid"]
    begun = lambda: suite.tidelake("logs", "shop", "-n", 10_000).count("serving http")
    before = begun()
    code, answer = restart_in_place(port)
    assert (code, answer["process"]) == (202, pid), (code, answer)
    suite.write(50)
    wait("it has begun again", lambda: begun() == before + 1, 60)
    suite.wait_all_once(port)
    again = suite.status("shop")
    assert all_pids(again) == all_pids(told) and again["state"] == "running", again
    assert again["restarts"] == 0 and again["last_end"] is None, "this is no restart of the supervisor"
    wait("its former query processes are buried", lambda: all(map(lives, children(pid))))

    # What could not start goes on.
    text = (shop / "dataflow.sql").read_text()
    (shop / "dataflow.sql").write_text(text.replace("count(DISTINCT id)", "count(DISTINCT nothing)"))
    code, problem = restart_in_place(port)
    assert (code, problem["code"]) == (409, "would_not_start"), (code, problem)
    assert "nothing" in problem["detail"] and "tidelake check" in problem["hint"], problem
    suite.write(50)
    suite.wait_all_once(port)
    assert begun() == before + 1, "it was not restarted"
    # What has changed on the disk is what starts.
    (shop / "dataflow.sql").write_text(text + "CREATE MATERIALIZED VIEW latest AS SELECT max(id) AS id FROM kept;\n")
    assert restart_in_place(port)[0] == 202
    wait("it has begun again", lambda: begun() == before + 2, 60)
    suite.wait_all_once(port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/views/latest", timeout=60) as view:
        assert json.load(view)["rows"] == [{"id": suite.written - 1}]
    # A stop that comes meanwhile is one.
    assert restart_in_place(port)[0] == 202
    suite.tidelake("stop", "shop", says="stopped shop")
    assert not any(map(lives, all_pids(told)))
    suite.tidelake("status", "--lake", suite.root / "lakes" / "shop", says="is free")

    # In the foreground, at a port that nobody chose.
    command = [suite.binary, "run", *map(str, suite.arguments(shop, 0)), "--name", "mine"]
    with running(command, env=suite.environment, cwd=suite.root, stderr=subprocess.DEVNULL) as process:
        known = lambda: next((it for it in json.loads(suite.tidelake("status", "-o", "json")) if it["name"] == "mine"), None)
        is_running = lambda: it if (it := known()) and it["state"] == "running" else None
        told = wait("it is known", is_running, 60)
        url = told["processes"][0]["url"]
        port = int(url.rstrip("/").rpartition(":")[2])
        suite.wait_all_once(port)
        code, answer = restart_in_place(port)
        assert (code, answer["process"]) == (202, process.pid), (code, answer)
        # It waits for the new one, at the same port.
        suite.wait_all_once(port)
        again = wait("it is known again", lambda: it if (it := is_running()) and it["processes"][0]["since_ms"] != told["processes"][0]["since_ms"] else None, 60)
        assert again["name"] == "mine" and again["pid"] == process.pid and again["processes"][0]["url"] == url, again
        assert again["began_ms"] == told["began_ms"], again
        suite.tidelake("run", *suite.arguments(shop, next(suite.ports)), code=4, says="instance mine")
        suite.tidelake("stop", "mine", says=f"stopped mine (process {process.pid})")
        assert process.wait(timeout=10) == 0
    assert not (suite.instances / "mine").exists()


def upgraded(suite):
    """The file of the program is replaced while it runs, as a package manager does it: what starts from then on is the new one."""
    port = next(suite.ports)
    program, beside = suite.root / "program", suite.root / "program.new"

    def replace():
        shutil.copy(suite.binary, beside)
        beside.rename(program)
        return program.stat().st_ino

    def runs(number):
        """Whether the one process runs this file and no other."""
        pid = suite.status("shop")["processes"][0]["pid"]
        return os.stat(f"/proc/{pid}/exe").st_ino == number

    replace()
    suite.tidelake("run", *suite.arguments(suite.dataflow("shop"), port), "-d", binary=program)
    suite.wait_all_once(port)
    pid = suite.status("shop")["processes"][0]["pid"]
    newer = replace()
    os.kill(pid, signal.SIGKILL)
    wait("it is started again by the new one", lambda: suite.status("shop")["restarts"] == 1 and runs(newer), 60)
    suite.wait_all_once(port)
    newest = replace()
    assert restart_in_place(port)[0] == 202
    wait("it has become the newest one", lambda: runs(newest), 60)
    suite.wait_all_once(port)
    assert suite.status("shop")["restarts"] == 1
    # Without a file there is nothing to become.
    program.unlink()
    code, problem = restart_in_place(port)
    assert (code, problem["code"]) == (409, "would_not_start"), (code, problem)
    suite.wait_all_once(port)
    suite.tidelake("stop", "shop", says="stopped shop")


def demonstration(suite):
    """The demo in the background, with its generator as a part that is told of."""
    port = next(suite.ports)
    arguments = ["demo", "-d", "--data", suite.root / "demo-data", "--listen", f"127.0.0.1:{port}", "--history", 0.1, "--workers", 1, "--no-incident"]
    suite.tidelake(*arguments, says=["demo runs in the background", "top_endpoints", "tidelake logs demo -f"])

    def generator():
        components = suite.status("demo")["processes"][0]["components"]
        return next((it for it in components if it["name"] == "generator"), None)

    part = wait("the generator is told of", generator, 30)
    assert part["status"] == "ok" and part["restarts"] == 0, part
    pid = int(suite.tidelake("status", "demo", "-o", "pids"))
    os.kill(pid, signal.SIGKILL)
    wait("it is started again", lambda: (it := suite.status("demo"))["restarts"] == 1 and it["state"] == "running", 60)
    pid = int(suite.tidelake("status", "demo", "-o", "pids"))
    assert restart_in_place(port)[0] == 202
    wait("it says so", lambda: "Tidelake demo, restarted: about 10 web-log events" in suite.tidelake("logs", "demo", "-n", 10_000), 60)
    wait("events are generated again", generator, 30)
    assert suite.status("demo")["restarts"] == 1 and int(suite.tidelake("status", "demo", "-o", "pids")) == pid
    assert "in all  commit" not in suite.tidelake("logs", "demo", "-n", 10_000), "a meter is for a terminal"
    suite.tidelake("stop", "demo")
    suite.tidelake("verify", "--data", suite.root / "demo-data", says="PROVEN")


def on_a_terminal(suite):
    """The demo draws one line over itself, and what it logs meanwhile is whole."""
    port = next(suite.ports)
    command = [suite.binary, "demo", "--data", str(suite.root / "seen"), "--listen", f"127.0.0.1:{port}", "--history", "0.5", "--rate", "50"]
    it = Shell([*command, "--workers", "1", "--commit-interval", "0.5", "--no-incident"], suite.environment | {"TERM": "xterm"})
    meter = re.compile(r"^\d\d:\d\d:\d\d  \d+ events/s  [\d,]+ in all  commit (\d+)  ", re.M)
    it.wait(re.compile(r"Ready after [\d.]+ s, with [\d,]+ events"), 60)
    it.wait(meter)
    first = int(meter.search(it.screen.text())[1])
    wait("it is drawn again", lambda: not it.look() and (found := meter.findall(it.screen.text())) and first < int(found[-1]), 30)
    assert len(meter.findall(it.screen.text())) == 1, f"there is more than one meter:\n{it.screen.text()}"
    # It logs, and begins again in the same terminal.
    assert restart_in_place(port)[0] == 202
    it.wait("Tidelake demo, restarted: ", 60)
    it.wait(re.compile(r"Ready after [\s\S]*Ready after"), 60)
    it.wait(meter)
    it.keys("\x03")
    assert it.end() == 0
    # The line that was there when ^C was typed may stay: the terminal writes that behind it, onto a line of its own.
    assert len(meter.findall(it.screen.text())) <= 1, f"there is more than one meter:\n{it.screen.text()}"
    plain = re.sub(r"\x1b\[[0-9;]*m", "", it.raw)
    logged = [part for part in re.split(r"\r|\n|\x1b\[2K", plain) if " INFO " in part]
    assert any("restarting: " in line for line in logged) and any("stopped; " in line for line in logged), logged
    for line in logged:
        assert re.match(r"\d{4}-\d\d-\d\dT\S+Z +INFO ", line) and "events/s" not in line and "█" not in line, f"a line is torn: {line!r}"


def without_a_place(suite):
    """Where no folder can be written a pipeline runs in the foreground all the same, and says what it lacks."""
    port = next(suite.ports)
    blocked = suite.root / "blocked"
    blocked.write_text("a file, not a folder\n")
    environment = {"TIDELAKE_STATE_DIR": str(blocked)}
    arguments = suite.arguments(suite.dataflow("shop"), port)
    suite.tidelake("run", *arguments, "-d", code=1, says=["no folder for instances", "TIDELAKE_STATE_DIR"], env=environment)
    command = [suite.binary, "run", *map(str, arguments)]
    with running(command, env=suite.environment | environment, cwd=suite.root, stderr=subprocess.PIPE, text=True) as process:
        suite.wait_all_once(port)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0 and "will not know of this process" in said, said


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--port", type=int, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        suite = Suite(options.binary, pathlib.Path(folder).resolve(), options.port or free_port(following=19))
        try:
            for part in (in_the_background, starts_that_fail, after_a_crash, reused_numbers, in_the_foreground, frozen, several, in_its_place, upgraded, demonstration, on_a_terminal, without_a_place):
                began = time.monotonic()
                part(suite)
                print(f"ok  {part.__name__.replace('_', ' ')} ({time.monotonic() - began:.1f} s)", flush=True)
        finally:
            # Whatever is left of it is known by its record.
            subprocess.run([suite.binary, "stop", "--all", "--force", "--timeout", "5"], env=suite.environment, cwd=suite.root, capture_output=True)


if __name__ == "__main__":
    main()
