#!/usr/bin/env python3
"""Checks the traces that a collector of OpenTelemetry gets, and that no collector can harm a pipeline.

    tests/traces.py BINARY

Run it with the Python that tests/readers/setup.sh makes: the collector here reads what it gets with the project's own description of the
protocol. A cluster is traced over commits, queries and requests; then collectors are away, refuse, or take a connection and
never answer, and settings are wrong.
"""

import collections
import gzip
import http.server
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from pipeline import DATAFLOWS, Cluster, Pipeline, free_port, wait

KEY = "a-key-of-the-collector"
EVENTS = 20_000
# The value of a query, which no trace may show.
VALUE = "/a/page/of-ann"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
QUIET = "5bf92f3577b34da6a3ce929d0e0e4737"
CONFIGURATION = 78


class Collector:
    """Takes spans by OTLP over HTTP, or answers with a status, until the end of its `with`."""

    def __init__(self, port=0, status=200):
        collector = self
        self.spans, self.headers, self.lock = [], [], threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                request = ExportTraceServiceRequest.FromString(body)
                with collector.lock:
                    collector.headers.append({**self.headers, "path": self.path})
                    if status == 200:
                        collector.take(request)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, request):
        for of_resource in request.resource_spans:
            resource = attributes(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self.spans += [(resource, it) for it in of_scope.spans]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def named(self, name, **wanted):
        """Spans of a name that have these attributes."""
        with self.lock:
            spans = [it for _, it in self.spans if it.name == name]
        return [it for it in spans if wanted.items() <= attributes(it.attributes).items()]

    def children(self, parent):
        """Names of the parts of a span, each with them."""
        found = collections.defaultdict(list)
        with self.lock:
            for _, span in self.spans:
                if span.trace_id == parent.trace_id and span.parent_span_id == parent.span_id:
                    found[span.name].append(span)
        return found


def attributes(pairs):
    return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in pairs}


def request(port, path, trace=None, flags="01", query=None):
    headers = {"traceparent": f"00-{trace}-{PARENT}-{flags}"} if trace else {}
    body = None
    if query is not None:
        headers["content-type"] = "application/json"
        body = json.dumps({"query": query}).encode()
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    try:
        with urllib.request.urlopen(asked, timeout=60) as it:
            return json.load(it)
    except urllib.error.HTTPError as error:
        return json.load(error)


def generate(binary, folder):
    command = [binary, "gen", "--count", str(EVENTS), "--out", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def a_cluster(binary, root):
    """What a cluster of two processes did is what its traces say."""
    generate(binary, root / "input")
    environment = {
        "WATERMARK_DELAY_SECONDS": "7200",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={KEY}",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=tests",
    }
    with Collector() as collector:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        with Cluster(binary, DATAFLOWS / "web_logs", root, root / "input", environment) as cluster:
            cluster.start(workers=1, processes=2)
            cluster.wait_ready()
            cluster.wait_value("SELECT count(*) FROM lake.logs", EVENTS)
            port = cluster.port
            rows = f"SELECT endpoint FROM top_endpoints WHERE endpoint <> '{VALUE}' LIMIT 3"
            answer = request(port, "/api/v1/sql", TRACE, query=rows)
            assert len(answer["rows"]) == 3, answer
            request(port, "/api/v1/sql", query=f"SELECT nothing FROM top_endpoints WHERE endpoint = '{VALUE}'")
            request(port, "/api/v1/views", QUIET, flags="00")
            number = cluster.get("/api/v1/status")["commit"]["number"]
            cluster.stop()
            log = cluster.log()
        resources(collector)
        starts(collector)
        commits(collector, number)
        queries(collector)
        assert not collector.named("GET /healthz") and not collector.named("GET /readyz"), "probes are no requests of people"
        quiet = [it for _, it in collector.spans if it.trace_id.hex() == QUIET]
        assert not quiet, f"who asks does not want this trace: {quiet}"
        shown = "\n".join(str(it) for _, it in collector.spans)
        assert VALUE not in shown, "a value of a query is in a trace"
        assert all(it["api-key"] == KEY and it["path"] == "/v1/traces" for it in collector.headers), collector.headers[:1]
        assert KEY not in log and KEY not in shown, "the key of the collector is in the log or a trace"
    print(f"ok: {len(collector.spans)} spans of a cluster tell of its starts, {number} commits, requests and queries")


def resources(collector):
    found = {it["service.instance.id"]: it for it, _ in collector.spans}
    processes = sorted(it["tidelake.process"] for it in found.values())
    assert processes == ["0", "1"], found
    for it in found.values():
        wanted = {"service.name": "tidelake", "tidelake.dataflow": "web_logs", "deployment.environment.name": "tests"}
        assert wanted.items() <= it.items(), it


def starts(collector):
    found = collector.named("start")
    assert len(found) == 2, f"each process starts once: {found}"
    for start in found:
        parts = collector.children(start)
        assert sorted(parts) == ["claim", "state", "views"], parts.keys()
        inside(start, parts)


def commits(collector, newest):
    """Each commit that is in the lake is told of once, with all its steps."""
    tables = set()
    numbers = [attributes(it.attributes)["tidelake.commit.number"] for it in collector.named("commit")]
    assert len(numbers) == len(set(numbers)), f"a commit is told of twice: {sorted(numbers)}"
    # The first is the claim of the start.
    missing = set(range(min(numbers), newest + 1)) - set(numbers)
    assert not missing and min(numbers) <= 3, f"commits {sorted(missing)} of {newest} are not told of, of {sorted(numbers)}"
    records = 0
    for commit in collector.named("commit"):
        assert not commit.parent_span_id and commit.status.code == Status.STATUS_CODE_UNSET, commit
        parts = collector.children(commit)
        told = attributes(commit.attributes)
        records += told["tidelake.records"]
        workers = sorted(attributes(it.attributes)["tidelake.worker"] for it in parts["files"])
        assert workers == [0, 1], f"files of workers {workers} in {told}"
        assert len(parts["state"]) == 1 and parts["manifest"], {name: len(it) for name, it in parts.items()}
        tables |= {attributes(it.attributes)["tidelake.table"] for it in parts["table_log"]}
        # They are of one machine here, so no clock is ahead of another.
        inside(commit, parts)
    assert records == EVENTS, f"all commits together read {records} records of {EVENTS}"
    assert "logs" in tables and "top_endpoints" in tables, tables


def queries(collector):
    (asked,) = [it for it in collector.named("POST /api/v1/sql") if it.trace_id.hex() == TRACE]
    assert asked.parent_span_id.hex() == PARENT and asked.kind == Span.SPAN_KIND_SERVER, asked
    told = attributes(asked.attributes)
    wanted = {"http.request.method": "POST", "http.route": "/api/v1/sql", "url.path": "/api/v1/sql", "http.response.status_code": 200}
    assert wanted.items() <= told.items(), told
    (query,) = collector.children(asked)["query"]
    told = attributes(query.attributes)
    wanted = {
        "db.system.name": "tidelake",
        "db.query.text": "SELECT endpoint FROM top_endpoints WHERE endpoint <> ? LIMIT ?",
        "db.response.returned_rows": 3,
        "db.collection.name": "top_endpoints",
        "tidelake.query.kind": "asked",
    }
    assert wanted.items() <= told.items() and told["tidelake.epoch"], told
    parts = collector.children(query)
    assert sorted(parts) == ["execute", "plan", "queue", "views"], parts.keys()
    inside(query, parts)
    inside(asked, {"query": [query]})
    (refused,) = collector.named("query", **{"error.type": "query_rejected"})
    assert refused.status.code == Status.STATUS_CODE_ERROR, refused


def inside(whole, parts):
    for name, spans in parts.items():
        for it in spans:
            start, end = it.start_time_unix_nano, it.end_time_unix_nano
            assert whole.start_time_unix_nano <= start <= end <= whole.end_time_unix_nano, f"{name} is not inside {whole.name}"


def lost(pipeline):
    return pipeline.metrics().get('tidelake_trace_spans_total{outcome="lost"}', 0)


def collectors_that_fail(binary, root):
    """Commits go on and stops are clean; the log says once that spans are lost, and when they are not any more."""
    generate(binary, root / "input")
    port = free_port()
    environment = {
        "WATERMARK_DELAY_SECONDS": "7200",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "500",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
    }
    with Pipeline(binary, DATAFLOWS / "web_logs", root, root / "input", environment) as pipeline:
        pipeline.start()
        pipeline.wait_value("SELECT count(*) FROM lake.logs", EVENTS)
        wait("spans are counted as lost", lambda: 0 < lost(pipeline))
        with Collector(port) as collector:
            wait("spans come when there is a collector", lambda: pipeline.get("/api/v1/views") and collector.spans)
            wait("the log says so", lambda: "again; " in pipeline.log())
        with Collector(port, status=401):
            before = lost(pipeline)
            wait("spans are lost to one that refuses", lambda: pipeline.get("/api/v1/views") and before < lost(pipeline))
        log = pipeline.log()
        assert log.count("traces do not reach") == 2, log[-2000:]
        assert "Connection refused" in log and "401" in log, log[-2000:]
        # One that takes the connection and never answers.
        with socket.create_server(("127.0.0.1", port), reuse_port=False):
            pipeline.get("/api/v1/views")
            time.sleep(1)
            began = time.monotonic()
            pipeline.stop()
            took = time.monotonic() - began
        assert took < 9, f"the stop took {took:.1f} s"
        pipeline.start(OTEL_SDK_DISABLED="true")
        wait("it serves", lambda: pipeline.get("/api/v1/status")["commit"])
        assert not any("trace" in it for it in pipeline.metrics()), "it was told not to trace"
        pipeline.wait_value("SELECT count(*) FROM lake.logs", EVENTS)
        pipeline.stop()
    print("ok: a collector that is away, refuses or does not answer costs spans and nothing else")


def wrong_settings(binary, root):
    """What cannot be done is refused in plain words before anything is made."""
    (root / "input").mkdir(parents=True)
    wrong = {
        "http/protobuf": {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        "like http://collector:4318": {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
        "user or a password": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://ann:of-ann@collector:4318"},
        "possible are otlp and none": {"OTEL_TRACES_EXPORTER": "console"},
        "possible are always_on": {"OTEL_TRACES_SAMPLER": "xray"},
        "a share of traces": {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "half"},
        "milliseconds": {"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"},
    }
    for words, environment in wrong.items():
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", **environment}
        with Pipeline(binary, DATAFLOWS / "web_logs", root / re.sub(r"\W", "", words), root / "input", environment) as pipeline:
            pipeline.start()
            code = pipeline.process.wait(30)
            log = pipeline.log()
            assert code == CONFIGURATION and words in log, f"exit code {code} for {environment}: {log}"
            assert "of-ann" not in log, log
            assert not pipeline.lake.exists(), "nothing is made by a start that is refused"
    print(f"ok: {len(wrong)} settings that cannot be done are refused")


def main():
    binary = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        wrong_settings(binary, root / "wrong")
        a_cluster(binary, root / "cluster")
        collectors_that_fail(binary, root / "failing")


if __name__ == "__main__":
    main()
