#!/usr/bin/env python3
"""What people do about incidents, and who is told: through `kill -9`, a receiver that fails, and a change from one process to two.

    incidents.py BINARY

Minutes of traffic with two spikes are read; incidents are acknowledged, muted and dismissed by the API, and each answered action has
to be there after a kill that follows its answer at once. A receiver of webhooks refuses, fails and is away; at the end it has every message,
and each once by its key. `verify` proves all of it. SEED repeats a run.
"""

import argparse
import datetime
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import random
import subprocess
import tempfile
import threading
import time
import urllib.request

from pipeline import Cluster, Pipeline, free_port, wait

DATAFLOW = """
CREATE SOURCE visits (at TIMESTAMP NOT NULL, page TEXT, WATERMARK FOR at AS at - INTERVAL '10' SECOND) WITH (connector = 'files', path = 'nowhere') FORMAT JSON;
CREATE TABLE kept AS SELECT * FROM visits;
CREATE MATERIALIZED VIEW minutes AS SELECT window_start, page, count(*) AS visits FROM TUMBLE(kept, at, INTERVAL '1' MINUTE) GROUP BY window_start, page;
CREATE DETECTOR busy ON minutes METRICS (rate(visits)) KEY (page) WITH (season = 'none');
CREATE WEBHOOK pager FOR incidents WITH (url = 'http://127.0.0.1:${HOOK_PORT}/hook', secret = 'not-for-the-log', max_age = '30 days');
"""
SECRET = b"not-for-the-log"
PAGES = ["a", 'b "quoted"']
MINUTES = 120
SPIKES = {60: "a", 100: 'b "quoted"'}


class Receiver:
    """Takes messages as long as `answers` says nothing else; can be away."""

    def __init__(self, port):
        self.port, self.answers, self.messages, self.server = port, [], [], None

    def start(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                time_, sign = self.headers["tidelake-signature"].split(",v1=")
                signed = hmac.new(SECRET, time_.removeprefix("t=").encode() + b"." + body, hashlib.sha256)
                assert hmac.compare_digest(signed.hexdigest(), sign), "the signature does not fit"
                code = receiver.answers.pop(0) if receiver.answers else 200
                receiver.messages.append((code, self.headers["idempotency-key"], json.loads(body)))
                self.send_response(code)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def taken(self):
        """Each message that was taken, once by its key: event and page."""
        by_key = {}
        for code, key, body in self.messages:
            if code == 200:
                said = (body["event"], body["incident"]["key"]["page"], body["incident"]["incident"])
                assert by_key.setdefault(key, said) == said, f"key {key} says two things"
        return sorted(by_key.values())


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
    files, dataflow = root / "input", root / "busy"
    files.mkdir()
    dataflow.mkdir()
    (dataflow / "dataflow.sql").write_text(DATAFLOW)
    receiver = Receiver(free_port())
    # On a busy machine the steps take long; windows close by the records alone, not by the clock meanwhile.
    environment = {"HOOK_PORT": str(receiver.port), "TIDELAKE_CLOSE_TIMEOUT": "600"}
    begin = datetime.datetime.now(datetime.UTC).replace(second=0, microsecond=0) - datetime.timedelta(minutes=MINUTES + 10)
    write(files / "0.jsonl", begin, range(0, 70))
    with Pipeline(binary, dataflow, root, files, environment) as pipeline:
        pipeline.start()
        wait("the first incident", lambda: states(pipeline).get("a"))
        first = incident(pipeline, "a")
        # The receiver is away, and nothing waits for it.
        told = wait("health tells of the receiver", lambda: [it for it in webhook(pipeline) if it["status"] == "degraded"])
        assert "messages wait since" in told[0]["detail"], told
        answer = act(pipeline, first, action="acknowledge", by="ana", note="it is a sale")
        assert answer["source"] == "incident_actions", answer
        pipeline.kill()

        pipeline.start()
        found = wait("the incident after the kill", lambda: incident(pipeline, "a"))
        assert found["acknowledged"]["by"] == "ana" and found["acknowledged"]["note"] == "it is a sale", found
        receiver.answers = [503, 429, 400]
        receiver.start()
        wait("it is told", lambda: ("opened", "a", first) in [(e, p, i) for e, p, i in receiver.taken()] or None)
        assert {code for code, _, _ in receiver.messages} >= {503, 429, 400}, receiver.messages
        refused(pipeline)
        act(pipeline, first, action="dismiss", by="bo")
        act(pipeline, first, action="reinstate", by="bo")
        act(pipeline, first, action="mute", by="cy", **{"for": "1 hour"})
        pipeline.kill()
        write(files / "0.jsonl", begin, range(70, MINUTES))

        pipeline.start()
        wait("the second incident", lambda: states(pipeline).get('b "quoted"') == "closed")
        found = incident(pipeline, "a")
        assert found["dismissed"] is None and found["muted"]["by"] == "cy", found
        shown(pipeline, 'b "quoted"')
        log = pipeline.sql("SELECT action, \"by\", undone FROM lake.incident_action_log ORDER BY _offset")
        assert [it["action"] for it in log] == ["acknowledge", "dismiss", "dismiss", "mute"], log
        wait("both are over for the receiver", lambda: len([it for it in receiver.taken() if it[0] == "closed"]) == 2)
        healthy = wait("health is well again", lambda: [it for it in webhook(pipeline) if it["status"] == "ok"])
        assert "messages since the start" in healthy[0]["detail"], healthy
        time.sleep(2)
        pipeline.stop()
        assert "not-for-the-log" not in pipeline.log(), "the secret is in the log"
    second = next(i for e, p, i in receiver.taken() if p != "a")
    events = [(e, p) for e, p, i in receiver.taken() if i in (first, second)]
    assert sorted(events) == sorted([("opened", "a"), ("closed", "a"), ("opened", 'b "quoted"'), ("closed", 'b "quoted"')]), events
    proven(binary, dataflow, root, files, environment)
    print("  killed and restarted: every answered action is there, every message came, each once by its key")

    count = len(receiver.taken())
    with Cluster(binary, dataflow, root, files, environment) as cluster:
        cluster.start(1, 2)
        cluster.wait_ready()
        for process in range(2):
            record = {"about": f"of process {process}", "action": "acknowledge", "by": "ana", "at": "2026-01-01T00:00:00Z"}
            answer = request(cluster.port + process, "/api/v1/sources/incident_actions/records", record)
            assert answer["partition"] == process, answer
        wait("both processes' actions", lambda: len(cluster.sql("SELECT about FROM lake.incident_action_log WHERE about LIKE 'of process%'")) == 2, 30)
        cluster.stop()
    assert len(receiver.taken()) == count, "a restart tells nothing twice"
    proven(binary, dataflow, root, files, environment)
    receiver.stop()
    print("  two processes: each takes records in, and nobody is told twice")


def write(path, begin, minutes):
    """Visits of some minutes, in the order of their times."""
    with open(path, "a", encoding="utf-8") as file:
        for minute in minutes:
            for page in PAGES:
                count = 30 + random.randrange(-2, 3)
                if SPIKES.get(minute) == page:
                    count *= 8
                for at in sorted(random.uniform(0, 60) for _ in range(count)):
                    time_ = begin + datetime.timedelta(minutes=minute, seconds=at)
                    file.write(json.dumps({"at": time_.isoformat(), "page": page}) + "\n")


def request(port, path, body):
    headers = {"content-type": "application/json"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(asked, timeout=120) as it:
        return json.load(it)


def act(pipeline, name, **body):
    return pipeline.post(f"/api/v1/incidents/{name}/actions", body)


def refused(pipeline):
    """What is no action is told with what to send instead, and takes nothing in."""
    try:
        pipeline.post("/api/v1/incidents/none/actions", {"action": "forget", "by": "x"})
    except AssertionError as error:
        assert "unacknowledge" in str(error), error
    else:
        raise AssertionError("a wrong action was taken")


def listed(pipeline):
    return pipeline.get("/api/v1/incidents")["incidents"]


def incident(pipeline, page):
    """The incident of a page that the spike made; a name, or all of it once something was said."""
    found = [it for it in listed(pipeline) if it["key"]["page"] == page and it["observed"] > 100]
    if not found:
        return None
    [it] = found
    return it if it["acknowledged"] else it["incident"]


def states(pipeline):
    return {it["key"]["page"]: it["state"] for it in listed(pipeline) if it["observed"] > 100}


def shown(pipeline, page):
    """Records of the archive that an incident is shown by, and its entry in the older list."""
    name = incident(pipeline, page)
    told = wait("the incident's records are stored", lambda: explained(pipeline, name))
    assert told["dimensions"] == [] and told["query"] is None and told["text"] == "", told
    peak = next(it for it in listed(pipeline) if it["incident"] == name)["peak_start"]
    places = []
    for it in told["examples"]["records"]:
        place = (it["partition"], it["offset"])
        [stored] = pipeline.sql('SELECT at, page FROM lake.kept WHERE _partition = {} AND _offset = {}'.format(*place))
        assert it["columns"] == stored and stored["page"] == page and stored["at"][:16] == peak[:16], (it, stored, peak)
        places.append(place)
    assert places == sorted(places) and told["examples"]["has_record_pages"], told["examples"]
    [entry] = [it for it in pipeline.get("/api/anomalies") if it["id"] == name]
    assert entry["anomaly_type"] == "TRAFFIC_SPIKE" and entry["key"] == {"page": page} and entry["level"] in ("WARN", "ERROR"), entry


def explained(pipeline, name):
    told = pipeline.get(f"/api/v1/incidents/{name}/explanation")
    return told if len(told["examples"]["records"]) == 5 else None


def webhook(pipeline):
    return [it for it in pipeline.get("/api/v1/status")["components"] if it["name"] == "webhook pager"]


def proven(binary, dataflow, root, files, environment):
    command = [str(binary), "verify", str(dataflow), "--lake", str(root / "lake"), "--input", str(files)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0 and "could not be made in full" not in done.stdout, done.stdout + done.stderr


if __name__ == "__main__":
    main()
