#!/usr/bin/env python3
"""Reports of a running server and of its lake alone: every number is counted again.

    report.py BINARY

Run it with the Python that tests/readers/setup.sh makes. Numbers about records are counted by Python from the input lines; those about
what rules and detectors found by DuckDB, over the very versions of the tables that the report names, read by a replay of their logs.
"""

import argparse
import collections
import datetime
import html.parser
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

from pipeline import DATAFLOWS, SOURCE, Pipeline, wait

sys.path.insert(0, str(SOURCE / "tests" / "readers"))
from replay import connect, create_view, replay  # noqa: E402

RECORDS = 20_000
# Slow failures of one endpoint within a minute, so that rules over windows find something.
BURST = 60
START = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
# Not all of what was generated: from the first whole hour on, to the middle of a later one.
FROM, TO = START + datetime.timedelta(hours=1), START + datetime.timedelta(hours=4, minutes=30)
RANGE = f"{FROM:%Y-%m-%d %H:%M} .. {TO:%H:%M}"
NASTY = "/<b onload=alert(1)>\u001b[31m"


def read(files):
    """The generated records within the range."""
    records = []
    for path in sorted(files.glob("events-*.jsonl")):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            at = datetime.datetime.fromisoformat(record["timestamp"].replace("Z", "+00:00"))
            record["at"] = at if at.tzinfo else at.replace(tzinfo=datetime.UTC)
            if FROM <= record["at"] < TO:
                records.append(record)
    return records


def judged(record):
    """Score, class and confidence by the rules for single events, as the platform before had them."""
    status, took = record["status_code"], record["response_time"]
    if status >= 500:
        return 0.9, "CRITICAL_ERROR", "high"
    if took > 2000:
        return 0.8, "VERY_SLOW_RESPONSE", "medium"
    if took > 1000:
        return 0.6, "SLOW_RESPONSE", "medium"
    if status >= 400:
        return 0.5, "ERROR", "low"
    return (0.3, "MEDIUM_RESPONSE", "low") if took > 500 else (0.1, "NORMAL", "low")


def mean(values):
    values = list(values)
    return math.fsum(values) / len(values) if values else None


def groups(records, key):
    found = collections.defaultdict(list)
    for record in records:
        found[key(record)].append(record)
    return found


def distinct(records, name):
    return len({it[name] for it in records if it.get(name) is not None})


def same(told, expected, what):
    """Rows by their columns; numbers with a point agree to the last digits."""
    assert len(told) == len(expected), f"{what}: {len(told)} rows, expected {len(expected)}: {told[:3]}, {expected[:3]}"
    for row, wanted in zip(told, expected, strict=True):
        for name, value in wanted.items():
            if isinstance(value, float):
                assert math.isclose(row[name], value, rel_tol=1e-12), f"{what}, {name}: {row}, expected {wanted}"
            else:
                assert row[name] == value, f"{what}, {name}: {row}, expected {wanted}"


def hour_of(at):
    return at.strftime("%Y-%m-%dT%H:00:00Z")


def figures(records):
    errors = sum(it["status_code"] >= 400 for it in records)
    return {
        "requests": len(records),
        "errors": errors,
        "error_share": errors / len(records),
        "response_time_mean": mean(it["response_time"] for it in records),
        "response_time_max": float(max(it["response_time"] for it in records)),
        "bytes_sent_total": sum(it["bytes_sent"] for it in records),
    }


def largest_first(found):
    return sorted(found.items(), key=lambda it: (-len(it[1]), it[0] is None, it[0]))


def check_analytics(sections, records):
    ids = ["ip", "user_id", "session_id"]
    totals = figures(records) | {f"distinct_{it}": distinct(records, it) for it in ids}
    same(sections["totals"]["rows"], [totals], "totals")
    by_endpoint = largest_first(groups(records, lambda it: it["endpoint"]))[:10]
    expected = [{"endpoint": name, "share": len(all) / len(records)} | figures(all) for name, all in by_endpoint]
    same(sections["by_endpoint"]["rows"], expected, "by endpoint")
    by_hour = sorted(groups(records, lambda it: hour_of(it["at"])).items(), reverse=True)
    same(sections["over_time"]["rows"], [{"hour": hour} | figures(all) for hour, all in by_hour], "by hour")
    expected = []
    for of, all in [("all requests", records)] + [(f"with {it.replace('_', ' ')}", [r for r in records if r.get(it) is not None]) for it in ids]:
        expected.append({"of": of, "requests": len(all)} | {f"distinct_{it}": distinct(all, it) for it in ids})
    same(sections["distinct"]["rows"], expected, "distinct")


def check_models(sections, records):
    def verdict(record):
        score, _, _ = judged(record)
        return "anomaly" if score > 0.5 else "error" if record["status_code"] >= 400 else "normal"

    def told(all):
        return {
            "requests": len(all),
            "anomaly_score_mean": mean(judged(it)[0] for it in all),
            "anomalies": sum(judged(it)[0] > 0.5 for it in all),
        }

    for section, column, key in [
        ("by_verdict", "verdict", verdict),
        ("by_class", "anomaly_type", lambda it: judged(it)[1]),
        ("by_confidence", "ml_confidence", lambda it: judged(it)[2]),
    ]:
        found = largest_first(groups(records, key))
        expected = [{column: name} | told(all) | {"distinct_endpoint": distinct(all, "endpoint")} for name, all in found]
        same(sections[f"logs_{section}"]["rows"], expected, section)
    by_hour = sorted(groups(records, lambda it: hour_of(it["at"])).items(), reverse=True)
    same(sections["logs_over_time"]["rows"], [{"hour": hour} | told(all) for hour, all in by_hour], "scores by hour")
    same(sections["logs_by_model"]["rows"], [{"detection_method": "RULE_BASED", "requests": len(records)}], "by method")


def check_anomalies(report, sections, lake):
    with connect() as connection:
        for table in ["anomalies", "incidents"]:
            create_view(connection, replay(lake / table, report["commit"]["versions"][table]), table)
        connection.execute("SET TimeZone = 'UTC'")

        def recounted(query):
            found = connection.execute(query)
            names = [it[0] for it in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

        def within(column):
            return f"{column} >= '{FROM.isoformat()}'::TIMESTAMPTZ AND {column} < '{TO.isoformat()}'::TIMESTAMPTZ"

        measured = ["request_count", "error_rate", "avg_response_time", "unique_ips"]
        means = ", ".join(f"avg({it}) AS {it}_mean" for it in measured)
        for section, keys, limit in [("by_rule", "anomaly_type", 50), ("top", "endpoint, anomaly_type", 10)]:
            rows = recounted(
                f"SELECT {keys}, count(*) AS occurrences, {means} FROM anomalies WHERE {within('window_start')}"
                f" GROUP BY ALL ORDER BY occurrences DESC, {keys.replace(',', ' NULLS LAST,')} NULLS LAST LIMIT {limit}"
            )
            assert any(it["error_rate_mean"] is not None for it in rows), "rules over windows found something"
            told = [{name: row[name] for name in rows[0]} for row in sections[f"anomalies_{section}"]["rows"]]
            for row, wanted in zip(told, rows, strict=True):
                for name, value in wanted.items():
                    is_close = isinstance(value, float) and math.isclose(row[name], value, rel_tol=1e-9)
                    assert is_close or row[name] == value, f"{section}: {row}, expected {wanted}"
        rows = recounted(
            f"SELECT detector, metric, count(*) AS incidents FROM incidents WHERE {within('since')}"
            " GROUP BY ALL ORDER BY incidents DESC, detector, metric"
        )
        told = [{name: row[name] for name in ("detector", "metric", "incidents")} for row in sections["incidents_by_detector"]["rows"]]
        assert told == rows, f"{told}, expected {rows}"


class Tags(html.parser.HTMLParser):
    """What a browser would find in a file: elements and attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = set(), set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


def check_html(text):
    found = Tags(text)
    assert not found.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "use", "image"}, found.tags
    assert not {it for it in found.attributes if it.startswith("on") or it in ("src", "href", "xlink:href", "srcset", "action")}, found.attributes
    assert "://" not in text and "url(" not in text and "@import" not in text, "it refers to something elsewhere"
    assert NASTY.replace("\u001b", "\ufffd") in found.text, "what was a record is text"
    for part in ["Analytics", "Anomalies", "Models", "Lake versions", "epoch", "UTC", "SELECT"]:
        assert part in found.text, part
    assert "svg" in found.tags and "prefers-color-scheme: dark" in text


def tidelake(binary, *arguments, code=0, environment=None):
    ended = subprocess.run([binary, "report", *arguments], capture_output=True, text=True, env={**os.environ, **(environment or {})})
    assert ended.returncode == code, f"{arguments}: {ended.returncode}, {ended.stderr}"
    return ended.stdout if code == 0 else ended.stderr


def sections_of(report):
    return {section["id"]: section for part in report["parts"] for section in part["sections"]}


def check(report, records, lake):
    sections = sections_of(report)
    check_analytics(sections, records)
    check_models(sections, records)
    check_anomalies(report, sections, lake)
    assert report["zone"] == "UTC" and report["from"] == FROM.strftime("%Y-%m-%dT%H:%M:%SZ"), report["from"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--keep", type=pathlib.Path, help="keep the reports in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        files = root / "input"
        generate = [options.binary, "gen", "--rate", "1", "--count", str(RECORDS), "--seed", "3"]
        subprocess.run([*generate, "--out", str(files), "--start", START.strftime("%Y-%m-%dT%H:%M:%SZ")], check=True, capture_output=True)
        with open(files / "events-0.jsonl", "a") as it:
            at = (FROM + datetime.timedelta(minutes=7)).strftime("%Y-%m-%dT%H:%M:%SZ")
            nasty = {"timestamp": at, "ip": "10.0.0.1", "method": "GET", "endpoint": NASTY, "status_code": 503, "response_time": 12.5, "bytes_sent": 9}
            it.write(json.dumps(nasty) + "\n")
            failing = nasty | {"endpoint": "/api/orders", "ip": "203.0.113.9", "response_time": 3000.5}
            it.write((json.dumps(failing) + "\n") * BURST)
        records = read(files)
        assert RECORDS / 2 < len(records) < RECORDS
        run(options, root, files, records)
    print("reports are what a recount says")


def run(options, root, files, records):
    with Pipeline(options.binary, DATAFLOWS / "web_logs", root / "run", files, {"WATERMARK_DELAY_SECONDS": "36000"}) as pipeline:
        pipeline.start()
        pipeline.wait_value("SELECT count(*) FROM lake.logs", RECORDS + 1 + BURST)
        # What rules say of the last windows is committed with them, or one commit later.
        wait("rules are in the lake", lambda: pipeline.value("SELECT count(*) FROM lake.anomalies"))
        server = ["--server", f"http://127.0.0.1:{pipeline.port}"]
        report = json.loads(tidelake(options.binary, "all", "--range", RANGE, "-o", "json", *server))
        check(report, records, pipeline.lake)
        print("JSON of a server: recounted")

        address = f"http://127.0.0.1:{pipeline.port}/api/v1/reports"
        times = f"from={FROM:%Y-%m-%dT%H:%M:%SZ}&to={TO:%Y-%m-%dT%H:%M:%SZ}"
        over_http = json.load(urllib.request.urlopen(f"{address}/all?{times}", timeout=60))
        check(over_http, records, pipeline.lake)
        assert [it["name"] for it in json.load(urllib.request.urlopen(address, timeout=60))["reports"]] == ["analytics", "anomalies", "models", "all"]
        page = urllib.request.urlopen(urllib.request.Request(f"{address}/all?{times}", headers={"accept": "text/html"}), timeout=60)
        assert page.headers["content-type"].startswith("text/html") and "default-src 'none'" in page.headers["content-security-policy"]
        check_html(page.read().decode())
        print("API: the same, and as a page")

        written = root / "report.html"
        tidelake(options.binary, "--range", RANGE, "--output", str(written), *server)
        check_html(written.read_text())
        text = tidelake(options.binary, "--range", RANGE, *server, environment={"COLUMNS": "80"})
        assert all(len(it) <= 80 for it in text.splitlines()) and "\u001b" not in text, text
        for section in sections_of(report).values():
            assert section["title"] in text, section["title"]
        print("text in 80 columns, and a file of HTML")
        for wrong, code in [(["--range", "soon"], 2), (["revenue"], 2), (["--from", "now", "--to", "yesterday"], 2)]:
            said = tidelake(options.binary, *wrong, *server, code=code)
            assert "write 24h" in said or "there are" in said or "begins" in said, said
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / "report.html").write_text(written.read_text())
            (options.keep / "report.txt").write_text(text)
            (options.keep / "report.json").write_text(json.dumps(report, indent=1))
        pipeline.stop()
        for dataflow in [["--dataflow", str(DATAFLOWS / "web_logs")], []]:
            alone = ["--lake", str(pipeline.lake), *dataflow]
            report = json.loads(tidelake(options.binary, "--from", FROM.isoformat(), "--to", TO.isoformat(), "-o", "json", *alone))
            # Without the dataflow nobody says what its records are called.
            for section in sections_of(report).values():
                for row in section["rows"]:
                    if "records" in row and "requests" not in row:
                        row["requests"] = row["records"]
                    if row.get("of") == "all records":
                        row["of"] = "all requests"
            check(report, records, pipeline.lake)
        said = tidelake(options.binary, "--lake", str(pipeline.lake), "--dataflow", "shop", code=78)
        assert "it has: web_logs" in said, said
        print("lake alone: the same")


if __name__ == "__main__":
    main()
