#!/usr/bin/env python3
"""Runs the blocks of the documentation and compares what they print with the block below them.

    tests/docs.py target/release/tidelake             checks README.md and docs/book
    tests/docs.py target/release/tidelake --update    writes what was printed into the chapters instead

Every block of SQL or shell says after its language what it is, so that none is forgotten:

    sql dataflow      statements of the example; all of a book are one dataflow, over the records of docs/example
    sql run           a query to that dataflow while it runs; its output follows
    sql check         a whole dataflow of its own, which `tidelake check` accepts
    sql append        statements that are accepted behind those of the example
    sql refused       statements that are refused behind those of the example, with the message that follows
    sh run            a command beside that dataflow; `sh run demo` beside a demo; its output follows
    … not-run: WHY    what is not run, and why

An output is the next block, `text output`. In it `…` stands for any text on its line, and a line of `…` alone for any lines.
The README has an example of its own.
"""

import concurrent.futures
import contextlib
import difflib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from pipeline import SOURCE, free_port, wait

BOOK = SOURCE / "docs" / "book"
EXAMPLE = SOURCE / "docs" / "example"
# What a block that is not run must say.
NOT_RUN = "not-run:"
OUTPUT = "text output"
AT_ONCE = 2
COMMAND_SECONDS = 60
# Within which the views of the example are what they stay.
SETTLES_SECONDS = 10


class Block:
    """A block of code: what is written behind its fence, its text, and the lines of its file that it is in."""

    def __init__(self, file, words, text, first, end):
        self.file, self.words, self.text, self.first, self.end = file, words, text, first, end
        self.output = None

    def __str__(self):
        return f"{self.file.relative_to(SOURCE)}:{self.first}"


def blocks_of(file):
    """The blocks of SQL and shell, each with its output."""
    found, fence, words, start = [], None, "", 0
    lines = file.read_text().splitlines()
    for number, line in enumerate(lines):
        if fence is None and line.lstrip().startswith("```"):
            fence, words, start = line.split("```")[0], line.strip().removeprefix("```").strip(), number
        elif fence is not None and line.strip() == "```":
            text = "".join(f"{it.removeprefix(fence)}\n" for it in lines[start + 1 : number])
            block = Block(file, words, text, start + 1, number)
            if words == OUTPUT:
                if not found or found[-1].end + 1 != start:
                    sys.exit(f"{block}: an output follows the block that it is of, without a line between")
                found[-1].output = block
            elif words.split(" ")[0] in ("sql", "sh", "shell", "bash"):
                found.append(block)
            fence = None
    return found


def chapters():
    names = re.findall(r"\]\((.+\.md)\)", (BOOK / "SUMMARY.md").read_text())
    return [BOOK / it for it in names]


class Failures:
    def __init__(self, update):
        self.update, self.texts, self.written = update, [], {}

    def compare(self, block, printed):
        # What an answer took is told in seconds where a machine is busy.
        printed = re.sub(r"^(\d+ rows?, )[\d.]+ s(?=, as of )", r"\g<1>1000 ms", printed, flags=re.M)
        if block.output is None:
            self.texts.append(f"{block}: a block that is run is followed by its output, ```{OUTPUT}")
        elif not fits(block.output.text, printed):
            if self.update:
                self.written.setdefault(block.file, []).append((block.output, printed))
                return
            wanted, got = block.output.text.splitlines(), printed.splitlines()
            diff = "\n".join(difflib.unified_diff(wanted, got, "written", "printed", lineterm=""))
            self.texts.append(f"{block}: the output is another one\n{diff}")

    def write(self):
        for file, outputs in self.written.items():
            lines = file.read_text().splitlines()
            for output, printed in sorted(outputs, key=lambda it: -it[0].first):
                lines[output.first : output.end] = printed.splitlines()
            file.write_text("\n".join(lines) + "\n")
            print(f"wrote {len(outputs)} outputs of {file.relative_to(SOURCE)}")


def fits(wanted, printed):
    wanted = [it.rstrip() for it in wanted.strip("\n").splitlines()]
    printed = "".join(f"{it.rstrip()}\n" for it in printed.strip("\n").splitlines())
    pattern = ""
    for line in wanted:
        pattern += "(?:.*\n)*?" if line == "…" else ".*?".join(map(re.escape, line.split("…"))) + "\n"
    return re.fullmatch(pattern, printed) is not None


class Server:
    """A running program, and the place where commands beside it run."""

    def __init__(self, folder, environment, command):
        self.folder, self.port = folder, free_port()
        self.environment = {**environment, "TIDELAKE_SERVER": f"http://127.0.0.1:{self.port}"}
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--listen", f"127.0.0.1:{self.port}"], cwd=folder, env=environment, stdout=log, stderr=log
            )

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if kind is not None:
            print(f"--- end of the log:\n{(self.folder / 'log').read_text()[-3000:]}", file=sys.stderr)

    def status(self):
        if self.process.poll() is not None:
            raise AssertionError(f"it ended: {(self.folder / 'log').read_text()[-3000:]}")
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/status", timeout=10) as answer:
            return json.load(answer)

    def has_all(self, records):
        """Waits until so many records of each source are read, and a commit has them."""

        def read():
            sources = {it["name"]: it["records"] + it["undecoded"] for it in self.status()["sources"]}
            return all(sources.get(name, 0) >= count for name, count in records.items())

        wait("all records", read, 60)
        began = time.monotonic()

        def committed():
            # Where nothing new comes there is no further commit: then the newest one has everything.
            status, since = self.status(), time.monotonic() - began
            commit = status.get("commit")
            return commit and (commit["age_seconds"] < since or (since > 3 and status["commits_open"] == 0))

        wait("a commit with them", committed, 60)


def run(command, folder, environment, text=None):
    done = subprocess.run(
        command, cwd=folder, env=environment, input=text, text=True, capture_output=True, timeout=COMMAND_SECONDS
    )
    return done.returncode, done.stdout + done.stderr


def query(server, text):
    # What it took differs from run to run, and says nothing here.
    _, printed = run(["tidelake", "sql", "-"], server.folder, server.environment, text)
    lines = [it for it in printed.splitlines() if not re.fullmatch(r"\(?\d+ rows?\b.*", it)]
    return "".join(f"{it}\n" for it in lines).strip("\n") + "\n"


def as_if_first(printed, lines_before):
    """An error with the lines of a file, told as if some lines before them were not there."""
    printed = re.sub(r"(\.sql:)(\d+)", lambda it: f"{it[1]}{int(it[2]) - lines_before}", printed)
    number = re.search(r"^ *(\d+) \|", printed, re.M)
    if not number:
        return printed
    narrower = len(number[1]) - len(str(int(number[1]) - lines_before))
    printed = re.sub(r"^ *(\d+)( \|)", lambda it: f"{' ' * narrower}{int(it[1]) - lines_before}{it[2]}", printed, flags=re.M)
    return re.sub(rf"^ {{{narrower}}}( *(?:-->|\||\d+ \|))", r"\1", printed, flags=re.M)


def book(files, failures, environment, folder):
    """Checks the blocks of some files, which have one example."""
    blocks = [it for file in files for it in blocks_of(file)]
    of = lambda words: [it for it in blocks if it.words == words]  # noqa: E731
    known = {"sql dataflow", "sql run", "sql check", "sql append", "sql refused", "sh run", "sh run demo"}
    for block in blocks:
        reason = block.words.partition(NOT_RUN)
        if block.words not in known and not (reason[1] and reason[2].strip()):
            failures.texts.append(f"{block}: ```{block.words} does not say what is done with it, see tests/docs.py")
    example = "\n".join(it.text for it in of("sql dataflow"))
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)

    def check(name, text):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "dataflow.sql").write_text(text)
        return run(["tidelake", "check", name], folder, environment)

    def accepted(block):
        text = block.text if block.words == "sql check" else f"{example}\n{block.text}"
        code, printed = check(f"b{block.file.stem}{block.first}", text)
        if code != 0:
            failures.texts.append(f"{block}: it is refused\n{printed}")

    def refused(block):
        code, printed = check(f"b{block.file.stem}{block.first}", f"{example}\n{block.text}")
        if code != 3:
            failures.texts.append(f"{block}: it is not refused, exit code {code}")
        # Its lines are told as if the example stood elsewhere.
        printed = as_if_first(printed, len(example.splitlines()) + 1)
        failures.compare(block, printed.replace(f"b{block.file.stem}{block.first}", "shop"))

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(accepted, of("sql check") + of("sql append")))
        list(pool.map(refused, of("sql refused")))
    if not example:
        return
    code, printed = check("shop", example)
    if code != 0:
        failures.texts.append(f"the example of {files[0].name} is refused\n{printed}")
        return
    # Nothing closes but what records close, so that outputs do not depend on the clock.
    still = ["--idle-timeout", "1", "--close-timeout", "86400", "--commit-interval", "0.5"]
    command = ["tidelake", "run", "shop", "--lake", "lake", "--workers", "2", *still]
    lines = {it.name: sum(1 for file in it.iterdir() for _ in file.open()) for it in EXAMPLE.iterdir() if it.is_dir()}
    lines = {name: count for name, count in lines.items() if f"CREATE SOURCE {name} " in example}
    with Server(folder, {**environment, "LAKE": "lake"}, command) as server:
        server.has_all(lines)
        # Windows close an epoch or two after their last record.
        settles = time.monotonic() + SETTLES_SECONDS

        def asked(block):
            printed = query(server, block.text)
            while time.monotonic() < settles and not (block.output and fits(block.output.text, printed)):
                time.sleep(0.2)
                printed = query(server, block.text)
            return printed

        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            queries = of("sql run")
            for block, printed in zip(queries, pool.map(asked, queries)):
                failures.compare(block, printed)
        for block in of("sh run"):
            failures.compare(block, run(["bash", "-c", block.text], folder, server.environment)[1])
    beside_a_demo(of("sh run demo"), failures, environment, folder)


def beside_a_demo(blocks, failures, environment, folder):
    if not blocks:
        return
    # Its lake is where the demo puts it for everyone, and commands beside it find it there.
    folder = folder / "demo"
    folder.mkdir()
    command = ["tidelake", "demo", "--rate", "20", "--history", "0.2", "--no-incident", "--commit-interval", "1"]
    with Server(folder, environment, command) as server:
        server.has_all({"web_logs": 10_000})
        for block in blocks:
            failures.compare(block, run(["bash", "-c", block.text], folder, server.environment)[1])


def main():
    arguments = [it for it in sys.argv[1:] if it != "--update"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    binary = pathlib.Path(arguments[0]).resolve()
    failures = Failures("--update" in sys.argv)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack():
        folder = pathlib.Path(folder)
        (folder / "bin").mkdir()
        (folder / "bin" / "tidelake").symlink_to(binary)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIDELAKE_", "XDG_", "KAFKA_"))}
        environment = {**kept, "HOME": str(folder), "PATH": f"{folder / 'bin'}:{kept['PATH']}", "COLUMNS": "100", "LC_ALL": "C.UTF-8"}
        os.environ["PATH"] = environment["PATH"]
        for name, files in (("book", chapters()), ("readme", [SOURCE / "README.md"])):
            (folder / name).mkdir()
            before = len(failures.texts)
            book(files, failures, environment, folder / name)
            wrong = len(failures.texts) - before
            print(f"ok  {name}" if not wrong else f"    {name}: {wrong} wrong")
    failures.write()
    if failures.texts:
        sys.exit("\n\n".join(failures.texts))


main()
