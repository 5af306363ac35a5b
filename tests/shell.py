"""The shell of `tidelake sql` as a person at a terminal has it: keys in, a screen of 80 by 24 out.

    python3 tests/shell.py target/release/tidelake

Completion, several lines, `\\d`, tables that fit the screen, `\\watch`, cancelling, history; then scripts by pipe and file, and exit codes.
"""

import fcntl
import json
import os
import pathlib
import pty
import re
import select
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unicodedata

from pipeline import Pipeline, free_port, wait

COLUMNS, LINES = 80, 24
COUNTRIES = ["AT", "CH", "DE", "FR", "JP"]
DATAFLOW = """
SET dataflow = 'shop';
CREATE SOURCE placed (at TIMESTAMP NOT NULL, country TEXT, customer TEXT, product TEXT, note TEXT, amount DOUBLE, quantity INT, discount DOUBLE,
                      street TEXT, city TEXT, phone TEXT, channel TEXT, coupon TEXT, weight DOUBLE,
                      WATERMARK FOR at AS at - INTERVAL '10' SECOND)
  WITH (connector = 'kafka', brokers = 'none:9092', topic = 'placed') FORMAT JSON;
CREATE TABLE orders AS SELECT * FROM placed;
CREATE MATERIALIZED VIEW busiest AS SELECT country, count(*) AS sold, avg(amount) AS mean FROM orders GROUP BY country ORDER BY sold DESC LIMIT 3;
CREATE MATERIALIZED VIEW per_product AS SELECT product, count(*) AS sold FROM orders GROUP BY product;
COMMENT ON COLUMN placed.weight IS '[role = measure, unit = kg] As packed';
CREATE VIEW heavy AS SELECT country AS place, weight, weight * 2 AS twice FROM orders WHERE weight > 1;
"""
# Billions of rows: nobody waits for it.
ENDLESS = "SELECT count(*) FROM lake.orders a, lake.orders b, lake.orders c, lake.orders d WHERE a.amount + b.amount + c.amount + d.amount < 0"


def order(number, country):
    return {
        "at": f"2026-01-31T12:{number // 60 % 60:02}:{number % 60:02}Z",
        "country": country,
        "customer": f"customer-{number}",
        "product": ["tea", "東京タワー", "salt"][number % 3],
        "note": "please ring twice and leave it with the neighbours" if number % 2 else "",
        "amount": 10 + number / 7,
        "quantity": number,
        "discount": None,
        "street": f"{number} Long Street Name",
        "city": "Springfield",
        "phone": "+43 1 234567",
        "channel": "web",
        "coupon": None,
        "weight": 1.5,
    }


class Screen:
    """What a terminal shows of what is written to it: the sequences that the shell uses, and no others. What has left it at the top stays."""

    def __init__(self, answer):
        self.answer = answer
        self.lines, self.top, self.row, self.column, self.folded, self.saved = [""], 0, 0, 0, 0, (0, 0)

    def clear(self):
        """Forgets what it shows. The cursor stays where it is."""
        below = self.row - self.top
        self.lines, self.top, self.row, self.folded = [""] * (below + 1), 0, below, 0

    def feed(self, text):
        for part in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|\x1b[78]|[\s\S]", text):
            if part.startswith("\x1b["):
                self.control(part[-1], part[2:-1])
            elif part == "\x1b7":
                self.saved = (self.row - self.top, self.column)
            elif part == "\x1b8":
                self.move(*self.saved)
            elif part == "\r":
                self.column = 0
            elif part == "\n":
                self.down()
            else:
                assert part >= " ", f"the terminal is sent {part!r}"
                self.put(part)

    def move(self, row, column):
        """To a row of those that are seen."""
        self.row, self.column = self.top + min(max(row, 0), LINES - 1), min(column, COLUMNS - 1)
        self.lines += [""] * (self.row + 1 - len(self.lines))

    def down(self):
        self.row += 1
        self.top = max(self.top, self.row + 1 - LINES)
        self.lines += [""] * (self.row + 1 - len(self.lines))

    def put(self, character):
        cells = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if COLUMNS < self.column + cells:
            self.down()
            self.column = 0
            self.folded += 1
        line = self.lines[self.row].ljust(self.column)
        # Columns are counted in characters; wide ones are followed by nothing.
        self.lines[self.row] = line[: self.column] + character + "\0" * (cells - 1) + line[self.column + cells :]
        self.column += cells

    def control(self, kind, numbers):
        number = int(numbers) if numbers.isdigit() else 1
        match kind:
            case "A" | "B":
                self.move(self.row - self.top + (number if kind == "B" else -number), self.column)
            case "G":
                self.column = number - 1
            case "H":
                row, _, column = numbers.partition(";")
                self.move(int(row or 1) - 1, int(column or 1) - 1)
            case "J" if numbers == "2":
                self.lines[self.top :] = [""] * (self.row + 1 - self.top)
            case "J" if numbers in ("", "0"):
                self.lines = self.lines[: self.row + 1]
                self.lines[self.row] = self.lines[self.row][: self.column]
            case "K" if numbers == "2":
                self.lines[self.row] = ""
            case "K" if numbers in ("", "0"):
                self.lines[self.row] = self.lines[self.row][: self.column]
            case "m":
                pass
            case "n" if numbers == "6":
                self.answer(f"\x1b[{self.row - self.top + 1};{min(self.column, COLUMNS - 1) + 1}R")
            case "h" | "l":
                assert numbers in ("?25", "?2004"), numbers
            case _:
                raise AssertionError(f"the terminal is sent \\x1b[{numbers}{kind}")

    def text(self):
        return "\n".join(it.replace("\0", "").rstrip() for it in self.lines).rstrip("\n")


class Shell:
    """A program in a terminal of its own."""

    def __init__(self, command, environment):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, environment)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.screen, self.pending, self.raw = Screen(self.keys), b"", ""

    def keys(self, text):
        os.write(self.terminal, text.encode())

    def line(self, text):
        self.keys(text + "\r")

    def look(self, seconds=0.05):
        """Takes what is written within a while; whether the program has ended."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.terminal], [], [], left)[0]:
                break
            try:
                self.pending += os.read(self.terminal, 65_536)
            except OSError:
                return True
            text = self.pending.decode(errors="ignore")
            self.pending = self.pending[len(text.encode()) :]
            # A sequence that is cut goes on later.
            cut = re.search(r"\x1b(\[[?0-9;]*)?$", text)
            if cut:
                self.pending, text = text[cut.start() :].encode() + self.pending, text[: cut.start()]
            self.raw += text
            self.screen.feed(text)
        return False

    def wait(self, what, seconds=30):
        """Waits until the screen has a text (or what a pattern says), and returns the screen."""
        pattern = what if isinstance(what, re.Pattern) else re.compile(re.escape(what))
        end = time.monotonic() + seconds
        while not pattern.search(self.screen.text()):
            if self.look() or end < time.monotonic():
                raise AssertionError(f"{pattern.pattern!r} is not on the screen:\n{self.screen.text()}")
        return self.screen.text()

    def ask(self, text, what):
        """Types a line below what there is, and waits for a text in what comes of it, and for the next prompt."""
        self.wait(re.compile(r">\Z"))
        self.screen.clear()
        self.line(text)
        self.wait(what)
        text = self.wait(re.compile(r"^[^\n]*>\Z", re.M))
        assert "error: " in text or not self.screen.folded, f"a line is wider than the screen:\n{text}"
        return text

    def end(self):
        """The exit code."""
        while not self.look(0.2):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def rows_of(text, first):
    """Lines from the one that begins with a text, up to the next that says how many rows there are."""
    lines = text.split("\n")
    begin = next(at for at, it in enumerate(lines) if it.startswith(first))
    end = next(at for at in range(begin, len(lines)) if re.match(r"\d+ rows?, ", lines[at]))
    return lines[begin:end]


def shell(binary, pipeline, environment, append):
    def start(*arguments, **extra):
        command = [str(binary), "sql", "--server", f"http://127.0.0.1:{pipeline.port}", *arguments]
        return Shell(command, {**environment, **extra})

    # Of a version that had an editor of its own.
    state = pathlib.Path(environment["XDG_STATE_HOME"]) / "tidelake"
    state.mkdir(parents=True)
    (state / "history").write_text("SELECT 'of a former version';\nSELECT 2,\\n'\\\\';\n")

    it = start()
    it.wait(f"shop at 127.0.0.1:{pipeline.port}")
    it.wait(re.compile(r"as of \d\d:\d\d:\d\d\.\d · \d live views, \d lake tables · \\\? for help\nlive>"))

    # Completion, and rows in the order of the view.
    it.keys("SELECT * FROM bus\t")
    it.wait("live> SELECT * FROM busiest")
    it.line(";")
    it.wait("3 rows, ")
    text = it.ask("SELECT * FROM busiest;", "3 rows, ")
    assert [row.split()[0] for row in rows_of(text, "country")[2:]] == ["JP", "FR", "DE"], text
    assert re.search(r"^3 rows, \d+ ms, as of \d\d:\d\d:\d\d\.\d$", text, re.M), text
    # What is typed ahead is not lost; Ctrl+C clears the line.
    it.keys("SELECT ty\x03SELECT 18 AS ahead;\rSELECT 19 AS further;\r")
    text = it.wait(re.compile(r"further\n[^>]*1 row, [^\n]*\nlive>\Z"))
    assert re.search(r"^ahead\n─+\n +18$", text, re.M) and "SELECT ty" not in text, text

    # Several candidates: what they have in common, then one after the other. Nothing of a paste steers the terminal.
    it.screen.clear()
    it.keys("SELECT * FROM lake.\t")
    it.wait(re.compile(r"^lake.orders +lake table", re.M))
    it.keys("\t\t")
    it.wait(re.compile(r"live> SELECT \* FROM lake\.\n"))
    it.keys("\r \x03")
    it.wait(re.compile(r"^live>\Z", re.M))
    it.keys("\x1b[200~SELECT 'a\x1b]0;owned\x07' AS text,\n\t2 AS n\x1b[201~;\r")
    text = it.wait(re.compile(r"1 row, [^\n]*\nlive>\Z"))
    assert "\x1b]" not in it.raw and re.search(r"^a�\]0;owned� +2$", text, re.M), text

    # Several lines.
    it.line("SELECT 'a;")
    it.wait(re.compile(r"   ->\Z"))
    it.line("b' AS text,")
    it.line("1 AS n; -- done")
    text = it.wait(re.compile(r"1 row, [^\n]*\nlive>\Z"))
    assert "a;\\nb  1" in text, text

    # What there is.
    text = it.ask("\\d", "live views, ")
    assert re.search(r"^busiest +live view +3 +country, sold, mean$", text, re.M), text
    text = it.ask("\\d busiest", "Stored as of each commit")
    assert "In the order of sold DESC" in text and re.search(r"^sold +bigint +count$", text, re.M), text
    assert re.search(r"^SELECT country, count", text, re.M), text
    assert "did you mean busiest" in it.ask("\\d busyest", "error: ")

    # Wide rows: one line each, or blocks. The screen refuses lines that are too wide.
    text = it.ask("SELECT * FROM lake.orders ORDER BY quantity LIMIT 4;", "4 rows, ")
    rows = rows_of(text, "at")
    assert len(rows) == 6 and all("…" in row for row in rows[2:]), text
    assert re.search(r"^4 rows, \d+ of 1\d columns, .*; \\x shows all of a row$", text, re.M), text
    assert all("2026-01-31T12:00:0" in row for row in rows[2:]), text
    it.ask("\\x auto", "rows are blocks where")
    text = it.ask("SELECT * FROM lake.orders ORDER BY quantity LIMIT 1;", "1 row, ")
    assert re.search(r"^product +tea$", text, re.M) and re.search(r"^discount +NULL$", text, re.M), text
    assert re.search(r"^note$", text, re.M), text
    text = it.ask("SELECT product, sold FROM per_product ORDER BY product;", "3 rows, ")
    assert re.search(r"^東京タワー +\d+$", text, re.M), text
    it.ask("\\x off", "rows are lines")

    # A view that changes while one looks.
    it.ask("\\d busiest", "Stored as of")
    it.line("\\watch busiest")
    text = it.wait(re.compile(r"3 rows, live, as of [^\n]*; q ends"))
    assert "JP" in text, text
    append([order(1000 + number, "CH") for number in range(300)])
    text = it.wait(re.compile(r"^CH +\d\d\d .*\n(.*\n)+3 rows, live", re.M))
    watched = text[text.rindex("country") :].split("\n")
    assert watched[2].startswith("CH") and text.count("rows, live") == 1, text
    it.keys("q")
    it.ask("SELECT 17 AS n;", "1 row, ")
    it.line("SELECT count(*) AS n FROM lake.orders \\watch 0.5")
    it.wait("polled every 500 ms; q ends")
    it.keys("\x03")
    it.ask("SELECT 18 AS n;", "1 row, ")

    # Cancelled on the server, and told; the shell goes on.
    it.line(ENDLESS + ";")
    it.wait("running; Ctrl+C cancels")
    it.keys("\x03")
    it.wait("error: the query was cancelled")
    it.ask("SELECT 19 AS n;", "1 row, ")
    assert "running" not in it.screen.text()
    # Lines that are typed while a script is carried out, which is as long as this one likes.
    script = state / "script"
    os.mkfifo(script)
    it.line(f"\\i {script}")
    with open(script, "w") as slow:
        it.line("SELECT 20 AS ahead;")
        it.line("SELECT 21 AS further;")
        it.look(0.3)
        slow.write("SELECT 22 AS slow;")
    text = it.wait(re.compile(r"^further\n─+\n +21\n1 row, [^\n]*\nlive>\Z", re.M))
    assert re.search(r"^slow\n─+\n +22\n1 row, [^\n]*\nlive> SELECT 20 AS ahead;\nahead\n─+\n +20$", text, re.M), text

    # As of a time: before the orders that came meanwhile.
    text = it.ask("\\asof 2199-01-01", "answers are as of")
    assert "is not complete yet" in it.ask("SELECT * FROM busiest;", "error: ")
    it.ask("\\asof live", "answers are of now")

    # Mistakes are told, and end nothing.
    assert "error: there is no command \\nope" in it.ask("\\nope", "error: ")
    assert "Did you mean" in it.ask("SELECT contry FROM busiest;", "error: ") or "contry" in it.screen.text()

    # What was typed before, then the end.
    it.keys("\x1b[A")
    it.wait("SELECT contry FROM busiest;")
    it.keys("\x15\x04")
    assert it.end() == 0, it.screen.text()
    history = state / "sql-history"
    assert history.read_text().startswith("SELECT 'of a former version';\nSELECT 2,<\\n>'\\';\n")
    assert "SELECT 'a;<\\n>b' AS text,<\\n>1 AS n; -- done\n" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600 and not (state / "history").exists()
    again = start()
    again.wait("live>")
    again.keys("\x12busiest;")
    again.wait("live> (search: busiest;) SELECT contry FROM busiest;")
    again.keys("\r")
    again.wait("live> SELECT contry FROM busiest;")
    again.keys("\x15\\q\r")
    assert again.end() == 0

    # One query, and colours only where one wants them.
    colored = start("SELECT NULL AS nothing")
    assert colored.end() == 0 and "\x1b[2mNULL\x1b[0m" in colored.raw, colored.raw
    plain = start("SELECT NULL AS nothing", NO_COLOR="1")
    assert plain.end() == 0 and "NULL" in plain.raw and "\x1b" not in plain.raw, plain.raw
    cancelled = start(ENDLESS)
    cancelled.wait("running; Ctrl+C cancels")
    cancelled.keys("\x03")
    assert cancelled.end() == 130, cancelled.screen.text()
    assert pipeline.value("SELECT 1 AS n") == 1


def scripts(binary, pipeline, environment, folder):
    def run(*arguments, given=None, server=None):
        server = server or f"http://127.0.0.1:{pipeline.port}"
        command = [str(binary), "sql", "--server", server, *arguments]
        it = subprocess.run(command, input=given, capture_output=True, text=True, env=environment, timeout=60, check=False)
        return it.returncode, it.stdout, it.stderr

    script = "-- two\nSELECT 1 AS n;\nSELECT '--;' AS text, $$;$$ AS other;\n"
    expected = '{"n":1}\n{"text":"--;","other":";"}\n'
    assert run("-o", "jsonl", given=script)[:2] == (0, expected)
    assert run("-", "-o", "jsonl", given=script)[:2] == (0, expected)
    file = folder / "script.sql"
    file.write_text(script)
    assert run("-f", str(file), "-o", "jsonl")[:2] == (0, expected)
    file.write_text("SELECT 1 AS n;\n\nSELECT nope;\nSELECT 2 AS n;")
    code, printed, said = run("-f", str(file), "-o", "jsonl")
    assert (code, printed) == (65, '{"n":1}\n') and "statement 2 (line 3)" in said, said
    code, printed, said = run("-f", str(file), "-o", "jsonl", "--keep-going")
    assert (code, printed) == (65, '{"n":1}\n{"n":2}\n'), said
    assert run("SELECT 1", server=f"http://127.0.0.1:{free_port()}")[0] == 69
    assert run("-f", str(folder / "nowhere.sql"))[0] == 2
    assert run("\\asof soon")[0] == 2

    # A plain view is told of in one way, whoever is asked.
    code, printed, _ = run("\\d heavy")
    assert code == 0 and printed.startswith("heavy: plain view\n"), printed
    for column in (r"place +text +key", r"weight +double +measure +kg +As packed", r"twice +double +measure"):
        assert re.search(rf"^{column} *$", printed, re.M), printed
    _, printed, _ = run("DESCRIBE heavy", "-o", "json")
    facts = ("name", "type", "role", "unit", "comment")
    heavy = next(it for it in pipeline.get("/api/v1/tables")["tables"] if it["name"] == "heavy")
    described = [[row.get(fact) for fact in facts] for row in json.loads(printed)]
    assert described == [[column.get(fact) for fact in facts] for column in heavy["columns"]], (described, heavy)

    # The order of the view is that of whoever asks.
    order = [it["country"] for it in pipeline.get("/api/v1/views/busiest")["rows"]]
    _, printed, _ = run("SELECT * FROM busiest", "-o", "json")
    assert [it["country"] for it in json.loads(printed)] == order == ["CH", "JP", "FR"], (order, printed)
    _, printed, _ = run("SELECT country FROM busiest", "-o", "csv")
    assert printed.split() == ["country", *order], printed


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "dataflow").mkdir()
        (folder / "dataflow" / "dataflow.sql").write_text(DATAFLOW)
        source = folder / "input"
        source.mkdir()

        def append(orders):
            with open(source / "part-0.jsonl", "a") as file:
                file.write("".join(json.dumps(it) + "\n" for it in orders))

        counts = {country: 20 * (number + 1) for number, country in enumerate(COUNTRIES)}
        countries = [country for country, count in counts.items() for _ in range(count)]
        append([order(number, country) for number, country in enumerate(countries)])
        environment = {it: value for it, value in os.environ.items() if not it.startswith(("TIDELAKE_", "COLUMNS", "NO_COLOR"))}
        environment |= {"XDG_STATE_HOME": str(folder / "state"), "TERM": "xterm"}
        with Pipeline(binary, folder / "dataflow", folder / "run", source=source) as pipeline:
            pipeline.start()
            wait("all orders in the lake", lambda: pipeline.value("SELECT count(*) FROM lake.orders") == len(countries))
            shell(binary, pipeline, environment, append)
            scripts(binary, pipeline, environment, folder)
            pipeline.stop()
    print("ok: the shell of tidelake sql")


if __name__ == "__main__":
    main()
