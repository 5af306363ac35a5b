#!/usr/bin/env python3
"""Checks what /metrics serves, and that alerts and dashboard ask for nothing else.

    tests/metrics.py target/release/tidelake

A demo with users is scraped with a token of the role `metrics`, as by Prometheus. promtool checks the format, the rules and their tests.
What is served must be in the table of docs/book/metrics.md, with its type, labels and help; histograms must add up, and commits be in theirs.
Every metric that a rule or a panel names must be served, with every label that a selector, an aggregation or a legend names: a typo there
is an empty chart or an alert that never fires, and nobody would notice.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from pipeline import SOURCE, free_port, wait

PROMETHEUS = SOURCE / "deploy" / "prometheus"
DASHBOARD = SOURCE / "deploy" / "grafana" / "tidelake.json"
README = SOURCE / "deploy" / "README.md"
CHAPTER = SOURCE / "docs" / "book" / "metrics.md"

# What Prometheus adds to each sample, and what it makes itself.
OF_TARGETS = {"job", "instance"}
OF_PROMETHEUS = {"up"}
# Labels of families that have no sample in a demo, which reads files, and are not told then.
LABELS_UNSEEN = {
    "tidelake_source_lag_rows": {"source", "partition"},
    "tidelake_record_to_view_delay_seconds_bucket": {"source", "le"},
}
MEMORY_MAX_MIB = 2048
# Grafana 11.
SCHEMA_MIN = 39


def promtool(*arguments, text=None):
    if not shutil.which("promtool"):
        sys.exit("tests/metrics.py: needs promtool and did not find it; install it, such as by `apt-get install prometheus`")
    done = subprocess.run(["promtool", *map(str, arguments)], input=text, text=True, capture_output=True, timeout=60)
    said = f"{done.stdout}{done.stderr}".strip()
    return [] if done.returncode == 0 else [f"promtool {' '.join(map(str, arguments[:2]))}: {said}"]


# --- What is served -------------------------------------------------------------------------------------------------


def user(binary, name, role):
    """A new token, and the lines of the file with users for it."""
    command = [binary, "token", "new", "--role", role, "--name", name]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return text.split()[0], text[text.index("[[users]]") :]


def asked(url, token=None):
    """Status and text of an answer."""
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as it:
            return it.status, it.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def scraped(binary, folder):
    """What a demo serves to Prometheus after it was asked this and that, and what is wrong with it."""
    metrics, users = user(binary, "prometheus", "metrics")
    read, more = user(binary, "ana", "read")
    (folder / "users.toml").write_text(users + more)
    base = f"http://127.0.0.1:{free_port()}"
    command = [binary, "demo", "--history", "0", "--listen", base.removeprefix("http://"), "--data", folder / "data"]
    command += ["--auth-file", folder / "users.toml", "--commit-interval", "1", "--memory-max", f"{MEMORY_MAX_MIB}MiB"]
    began = time.time()
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        def text():
            return asked(f"{base}/metrics", metrics)[1]

        wait("a commit of the demo", lambda: re.search(r"^tidelake_delta_commit_number \d", text(), re.M))
        answers = [
            (200, "/api/v1/status", read),
            (200, "/api/v1/views", read),
            (404, "/api/v1/views/none", read),
            (401, "/api/v1/views", None),
            (401, "/metrics", None),
            (403, "/api/v1/views", metrics),
        ]
        wrong = []
        for expected, path, token in answers:
            status, answer = asked(base + path, token)
            if status != expected:
                wrong.append(f"{path} is answered with {status}, expected {expected}: {answer[:200]}")
        first = text()
        time.sleep(1.5)
        last = text()
        wrong += start_time(first, last, began)
        wrong += of_histograms(last)
        wrong += of_commits(last)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the demo did not end: {(folder / 'log').read_text()[-3000:]}") from None
    return last, wrong


def start_time(first, last, began):
    """When the process started must be true and stay, since alerts tell by its changes that there was a new start."""
    pattern = re.compile(r"^process_start_time_seconds (\S+)$", re.M)
    found = [float(it) for it in pattern.findall(first) + pattern.findall(last)]
    if len(found) != 2 or found[0] != found[1] or 5 < abs(found[0] - began):
        return [f"process_start_time_seconds is {found} in two scrapes of a process that was started at {began}"]
    return []


def samples(text):
    """Values of series by name, and by labels as they are written."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, of_sample, value = re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$", line).groups()
            found.setdefault(name, {})[of_sample or ""] = float(value)
    return found


def of_histograms(text):
    """Buckets must not fall towards higher bounds, and the last one be the count."""
    found = samples(text)
    for name in re.findall(r"^# TYPE (\w+) histogram$", text, re.M):
        buckets = {}
        for of_sample, value in found.get(f"{name}_bucket", {}).items():
            rest, bound = re.match(r'(.*?),?le="([^"]+)"$', of_sample).groups()
            buckets.setdefault(rest, []).append((float(bound), value))
        for rest, count in found[f"{name}_count"].items():
            values = [value for _, value in sorted(buckets.pop(rest))]
            if values != sorted(values) or values[-1] != count:
                yield f"{name}{{{rest}}} has buckets {values} and {count} observations"
        if buckets:
            yield f"{name} has buckets without a count: {sorted(buckets)}"


def of_commits(text):
    """The demo commits each second, and nothing fails; its limit of memory is told."""
    found = samples(text)
    count, seconds = (found[f"tidelake_commit_duration_seconds_{it}"][""] for it in ("count", "sum"))
    if count < 1 or not 0 < seconds / count < 30:
        yield f"{count} commits took {seconds} s together"
    expected = {f'stage="{it}"': 0 for it in ("files", "state", "manifest", "table_log")}
    if found["tidelake_commit_failures_total"] != expected:
        yield f"tidelake_commit_failures_total is {found['tidelake_commit_failures_total']}, expected {expected}"
    if found["tidelake_memory_limit_bytes"] != {"": MEMORY_MAX_MIB << 20}:
        yield f"tidelake_memory_limit_bytes is {found['tidelake_memory_limit_bytes']}, started with --memory-max {MEMORY_MAX_MIB}MiB"
    if "tidelake_record_to_view_delay_seconds_count" in found:
        yield "files have no times of records, and a delay is told of them"


def of_chapter(text):
    """What is served must stand in the chapter as it is served. That the chapter has no more than the code is up to a test beside that."""
    kinds, series = families(text)
    helps = dict(re.findall(r"^# HELP (\w+) (.*)$", text, re.M))
    table = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| (\w*) ?\| (.*) \|$", CHAPTER.read_text(), re.M)
    table = {name: rest for name, *rest in table}
    for name, kind in kinds.items():
        if name not in table:
            yield f"{name} is not in docs/book/metrics.md"
            continue
        told_kind, labels, unit, told_help = table[name]
        served = series[f"{name}_count" if kind == "histogram" else name]
        told = set(re.findall(r"`(\w+)`", labels))
        if (told_kind, told, told_help) != (kind, served, helps[name]):
            yield f"docs/book/metrics.md tells of {name}: {told_kind}, {told}, {told_help!r}; served are {kind}, {served}, {helps[name]!r}"
        if unit and not re.search(rf"_{unit}(_total)?$", name):
            yield f"docs/book/metrics.md says {unit} of {name}"


def families(text):
    """Kind of each family by its name, and the labels of its samples by theirs."""
    kinds, labels = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            kinds[name] = kind
        elif line and not line.startswith("#"):
            name, of_sample = re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$", line).groups()
            names = re.findall(r'([a-zA-Z_]\w*)="(?:[^"\\]|\\.)*"', of_sample or "")
            labels.setdefault(name, set()).update(names)
    series = {}
    for name, kind in kinds.items():
        parts = [f"{name}_bucket", f"{name}_sum", f"{name}_count"] if kind == "histogram" else [name]
        for part in parts:
            series[part] = labels.get(part)
    for name, of_sample in LABELS_UNSEEN.items():
        series.setdefault(name, of_sample)
    return kinds, series


# --- What is asked for ----------------------------------------------------------------------------------------------

TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|\[[^\]]*\]|[a-zA-Z_:][\w:]*|[0-9][\w.]*|=~|!~|!=|==|<=|>=|[-+*/%^<>=(){},])')
AGGREGATIONS = "sum min max avg group count stddev stdvar topk bottomk quantile count_values".split()
WORDS = "and or unless bool offset atan2 inf nan".split()
MATCHING = "on ignoring group_left group_right".split()


class Query:
    """The series that an expression reads, each with the labels that it names. It knows parentheses, not precedence."""

    def __init__(self, text):
        self.tokens, at, text = [], 0, text.strip()
        while at < len(text):
            token = TOKEN.match(text, at)
            assert token, f"cannot read `{text[at:]}` in `{text}`"
            self.tokens.append(token[1])
            at = token.end()
        self.at = 0
        self.series = self.group()
        assert self.at == len(self.tokens), f"a closing parenthesis too many in `{text}`"

    def next(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, expected=None):
        token = self.next()
        assert token is not None and expected in (None, token), f"{expected} expected, found {token}: {self.tokens}"
        self.at += 1
        return token

    def names(self):
        """A list of labels in parentheses."""
        names = set()
        self.take("(")
        while (token := self.take()) != ")":
            if token != ",":
                names.add(token)
        return names

    def group(self):
        """All up to the parenthesis that closes, or the end."""
        found, matched = [], set()
        while self.next() not in (None, ")"):
            token = self.take()
            if token == "(":
                found += self.group()
                self.take(")")
            elif token in MATCHING:
                matched |= self.names() if self.next() == "(" else set()
            elif token in AGGREGATIONS:
                found += self.aggregation()
            elif re.match(r"[a-zA-Z_:]", token) and token not in WORDS and self.next() != "(":
                found.append((token, self.selector()))
        return [(name, labels | matched) for name, labels in found]

    def aggregation(self):
        by = self.by()
        self.take("(")
        inner = self.group()
        self.take(")")
        by |= self.by()
        return [(name, labels | by) for name, labels in inner]

    def by(self):
        if self.next() not in ("by", "without"):
            return set()
        self.take()
        return self.names()

    def selector(self):
        labels = set()
        if self.next() != "{":
            return labels
        self.take()
        while (token := self.take()) != "}":
            if token != ",":
                labels.add(token)
                self.at += 2  # the operator and the text
        return labels


def rules(text):
    """Expressions of a file of rules: (alert or record, name, expression)."""
    found = []
    for item in re.split(r"^ *- (?=alert: |record: )", text, flags=re.M)[1:]:
        kind, name = re.match(r"(alert|record): (\S+)", item).groups()
        block = re.search(r"^( *)expr: \|\n((?:\1 +.*\n)+)", item, re.M)
        line = re.search(r"^ *expr: ([^|].*)$", item, re.M)
        assert block or line, f"{name}: write its expression in one line, or as a block behind `expr: |`"
        found.append((kind, name, block[2] if block else line[1], item))
    assert len(found) == len(re.findall(r"^ *(?:- )?expr:", text, re.M)), "rules without `alert` or `record` in front"
    return found


def every(value, key):
    """All values of a key, wherever it stands."""
    if isinstance(value, dict):
        for name, it in value.items():
            if name == key:
                yield it
            yield from every(it, key)
    elif isinstance(value, list):
        for it in value:
            yield from every(it, key)


# --- The two held against each other --------------------------------------------------------------------------------


def misnamed(where, expression, series, recorded, shown=()):
    """Metrics and labels of an expression that nothing serves, and labels that a legend or a text shows and none of its metrics has."""
    read = Query(expression).series
    known = set(OF_TARGETS)
    for name, labels in read:
        if name in recorded:
            known |= recorded[name]
            continue
        if name not in OF_PROMETHEUS and name not in series:
            yield f"{where}: {name} is not served"
            continue
        served = set() if name in OF_PROMETHEUS else series[name]
        if served is None:
            yield f"{where}: {name} is served without a sample, so its labels cannot be told; make the demo produce one, or add them to LABELS_UNSEEN"
            continue
        known |= served
        for label in sorted(labels - served - OF_TARGETS):
            yield f"{where}: {name} has no label {label}, but {', '.join(sorted(served)) or 'none'}"
    for label in sorted(set(shown) - known):
        yield f"{where}: shows {label}, which no metric of it has"


def of_rules(series):
    text = (PROMETHEUS / "alerts.yml").read_text()
    tests = (PROMETHEUS / "alerts_test.yml").read_text()
    readme = README.read_text()
    found = rules(text)
    recorded = {
        name: set().union(*(labels for _, labels in Query(expression).series))
        for kind, name, expression, _ in found
        if kind == "record"
    }
    for kind, name, expression, item in found:
        yield from misnamed(name, expression, series, recorded, re.findall(r"\$labels\.(\w+)", item))
        if kind == "record":
            continue
        for needed in ("severity: ", "summary: ", "description: "):
            if needed not in item:
                yield f"{name} has no {needed.rstrip(': ')}"
        tested = set(re.findall(rf"alertname: {name}\n.*\n +exp_alerts:( \[\]|)", tests))
        if tested != {"", " []"}:
            yield f"{name} needs a test in which it fires, and one in which it does not"
        if f"| `{name}` |" not in readme:
            yield f"{name} is not in the table of deploy/README.md"


def of_dashboard(series):
    dashboard = json.loads(DASHBOARD.read_text())
    if dashboard["schemaVersion"] < SCHEMA_MIN:
        yield f"the dashboard's schemaVersion is below {SCHEMA_MIN}"
    for uid in [*every(dashboard, "uid")]:
        if uid != "${datasource}":
            yield f"the dashboard names {uid}, which other installations do not have"
    ids = [it["id"] for it in dashboard["panels"]]
    if len(ids) != len(set(ids)):
        yield "two panels have the same id"
    expressions = []
    for panel in dashboard["panels"]:
        for it in panel.get("targets", []):
            expressions.append(it["expr"])
            legend = re.findall(r"\{\{\s*(\w+)\s*\}\}", it["legendFormat"])
            yield from misnamed(f"panel {panel['title']}", it["expr"], series, {}, legend)
    for it in dashboard["annotations"]["list"]:
        expressions.append(it["expr"])
        yield from misnamed(f"annotation {it['name']}", it["expr"], series, {})
    if len(expressions) != len([*every(dashboard, "expr")]):
        yield "the dashboard has expressions elsewhere than in panels and annotations"
    for definition in every(dashboard, "definition"):
        selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", definition).groups()
        yield from misnamed(f"variable {definition}", f"count by ({label}) ({selector})", series, {})
    yield from is_promql(expressions)


def is_promql(expressions):
    """Panels as rules, which promtool can read."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "panels.yml"
        plain = [it.replace("$__rate_interval", "5m") for it in expressions]
        listed = [{"record": f"panel:{at}", "expr": it} for at, it in enumerate(plain)]
        file.write_text(json.dumps({"groups": [{"name": "panels", "rules": listed}]}))
        return promtool("check", "rules", file)


def configuration():
    """The scrape configuration as it is used: beside its rules, with a token."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("prometheus.yml", "alerts.yml"):
            shutil.copy(PROMETHEUS / name, folder)
        (Path(folder) / "tidelake.token").write_text("tl_0\n")
        return promtool("check", "config", Path(folder) / "prometheus.yml")


def problems(text):
    """All that is wrong with what is served and with what asks for it."""
    kinds, series = families(text)
    wrong = [f"{name} is served neither as tidelake_ nor as process_" for name in kinds if not name.startswith(("tidelake_", "process_"))]
    wrong += promtool("check", "metrics", text=text)
    wrong += of_chapter(text)
    wrong += configuration()
    wrong += promtool("check", "rules", PROMETHEUS / "alerts.yml")
    wrong += promtool("test", "rules", PROMETHEUS / "alerts_test.yml")
    return wrong + [*of_rules(series), *of_dashboard(series)]


def main():
    binary = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        text, wrong = scraped(binary, Path(folder))
    wrong += problems(text)
    for it in wrong:
        print(f"WRONG {it}")
    if wrong:
        sys.exit(f"tests/metrics.py: {len(wrong)} problems")
    kinds, _ = families(text)
    alerts = sum(kind == "alert" for kind, *_ in rules((PROMETHEUS / "alerts.yml").read_text()))
    panels = len([*every(json.loads(DASHBOARD.read_text()), "expr")])
    print(f"{len(kinds)} families of metrics, {alerts} alerts and {panels} queries of the dashboard agree")


if __name__ == "__main__":
    main()
