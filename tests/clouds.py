#!/usr/bin/env python3
"""Object stores as they are out there: what holds a lake, and what is refused.

    clouds.py BINARY [--long --tools DIR]

The short form asks a store that takes conditional writes and ignores the condition. --long also runs a dataflow on the
emulators of Azure (azurite, from npm) and Google Cloud Storage (fake-gcs-server, by Go), which it installs into DIR: files
are read into a lake there, the process is killed and started again, and `verify` proves the result. S3 has crash_grid.py --s3.
Run it with the Python that tests/readers/setup.sh makes.
"""

import argparse
import base64
import contextlib
import email.utils
import hashlib
import hmac
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from object_store import Bucket  # noqa: E402
from pipeline import Pipeline, free_port, wait  # noqa: E402

AZURITE = "3.37.0"
FAKE_GCS = "v1.56.1"
# The account that every Azure emulator has; its key is in their documentation.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
DATAFLOW = """
CREATE SOURCE events (timestamp TIMESTAMP NOT NULL, endpoint TEXT, status_code INT, WATERMARK FOR timestamp AS timestamp - INTERVAL '1' SECOND)
  WITH (connector = 'files', path = '${FOLDER}') FORMAT JSON;
CREATE TABLE archive WITH (partition_by = 'date') AS SELECT timestamp, endpoint, status_code, CAST(timestamp AS DATE) AS date FROM events;
CREATE MATERIALIZED VIEW by_endpoint AS SELECT endpoint, count(*) AS requests FROM events GROUP BY endpoint;
"""
RECORDS = 20_000


class Careless(Bucket):
    """A bucket whose server takes a condition and does not look at it."""

    def __init__(self):
        super().__init__()
        careful = self.faults.app

        def careless(environment, start_response):
            environment.pop("HTTP_IF_NONE_MATCH", None)
            return careful(environment, start_response)

        self.faults.app = careless


def flow(folder):
    (folder / "flow").mkdir(parents=True)
    (folder / "flow/dataflow.sql").write_text(DATAFLOW)
    return folder / "flow"


def a_store_that_ignores_conditions_is_refused(binary, folder):
    with Careless() as bucket:
        environment = {**bucket.environment, "FOLDER": str(folder / "input")}
        (folder / "input").mkdir()
        with Pipeline(binary, flow(folder), folder, environment=environment) as pipeline:
            pipeline.lake = bucket.uri
            pipeline.start()
            code = pipeline.process.wait(timeout=60)
            pipeline.process = None
            assert code == 78, f"exit code {code}"
            assert bucket.uri in pipeline.log() and "If-None-Match" in pipeline.log(), pipeline.log()
            assert "overwrote an object" in pipeline.log(), pipeline.log()


@contextlib.contextmanager
def served(command, ready, **more):
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
    try:
        wait(f"{Path(command[0]).name}", ready, 60)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def asked(request, *codes):
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status in codes
    except urllib.error.HTTPError as error:
        return error.code in codes


@contextlib.contextmanager
def azure(tools, folder):
    program = tools / "azurite/node_modules/.bin/azurite-blob"
    if not program.exists():
        (tools / "azurite").mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", f"azurite@{AZURITE}"], cwd=tools / "azurite", check=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}/{ACCOUNT}/lake?restype=container"

    def make_container():
        """Signed by the account's key ("Authorize with Shared Key")."""
        date, version = email.utils.formatdate(usegmt=True), "2021-08-06"
        text = f"PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:{version}\n/{ACCOUNT}/{ACCOUNT}/lake\nrestype:container"
        signature = base64.b64encode(hmac.digest(base64.b64decode(ACCOUNT_KEY), text.encode(), hashlib.sha256)).decode()
        headers = {"x-ms-date": date, "x-ms-version": version, "Authorization": f"SharedKey {ACCOUNT}:{signature}"}
        return asked(urllib.request.Request(url, method="PUT", headers=headers), 201, 409)

    command = [program, "--blobHost", "127.0.0.1", "--blobPort", port, "--location", folder / "azurite", "--silent", "--skipApiVersionCheck"]
    with served(command, make_container):
        settings = {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": f"http://127.0.0.1:{port}"}
        yield "az://lake/pipelines/events", settings


@contextlib.contextmanager
def google(tools, folder):
    program = tools / "go/bin/fake-gcs-server"
    if not program.exists():
        environment = {**os.environ, "GOBIN": str(program.parent)}
        subprocess.run(["go", "install", f"github.com/fsouza/fake-gcs-server@{FAKE_GCS}"], env=environment, check=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def make_bucket():
        body = json.dumps({"name": "lake"}).encode()
        request = urllib.request.Request(f"{url}/storage/v1/b", body, {"content-type": "application/json"})
        return asked(request, 200, 409)

    command = [program, "-scheme", "http", "-host", "127.0.0.1", "-port", port, "-backend", "memory", "-public-host", f"127.0.0.1:{port}"]
    with served([*command, "-external-url", url], make_bucket):
        account = {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
        yield "gs://lake/pipelines/events", {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account), "GOOGLE_ALLOW_HTTP": "true"}


def a_lake_is_written_across_a_kill_and_proved(binary, folder, store, tools):
    subprocess.run([binary, "gen", "--count", str(RECORDS), "--out", folder / "input"], check=True, capture_output=True)
    late = folder / "late"
    late.mkdir()
    waiting = sorted((folder / "input").iterdir())[1:]
    for it in waiting:
        shutil.move(it, late)
    with store(tools, folder) as (uri, settings):
        environment = {**settings, "FOLDER": str(folder / "input")}
        with Pipeline(binary, flow(folder), folder, environment=environment) as pipeline:
            pipeline.lake = uri
            pipeline.start()
            wait("a commit", lambda: 0 < (pipeline.value("SELECT count(*) FROM lake.archive") or 0))
            pipeline.kill()
            for it in late.iterdir():
                shutil.move(it, folder / "input")
            pipeline.start()
            pipeline.wait_value("SELECT sum(requests) FROM by_endpoint", RECORDS)
            pipeline.wait_value("SELECT count(*) FROM lake.archive", RECORDS)
            pipeline.wait_value("SELECT count(DISTINCT CAST(_partition AS TEXT) || '/' || CAST(_offset AS TEXT)) FROM lake.archive", RECORDS)
            pipeline.stop()
            command = [binary, "verify", pipeline.dataflow, "--lake", uri]
            proof = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120)
            assert proof.returncode == 0 and "PROVEN" in proof.stdout, proof.stdout + proof.stderr
            # A second process is refused by a condition, not by luck.
            pipeline.start()
            wait("the server", lambda: pipeline.get("/api/v1/status"))
            with Pipeline(binary, pipeline.dataflow, folder / "second", environment=environment) as second:
                second.lake = uri
                second.start()
                assert second.process.wait(timeout=60) == 4, second.log()
                second.process = None
            pipeline.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--tools", type=Path)
    options = parser.parse_args()
    if options.long and options.tools is None:
        parser.error("--long needs --tools")
    binary = options.binary.resolve()
    passed = 0
    with tempfile.TemporaryDirectory(prefix="tidelake-") as folder:
        tests = [("careless", lambda it: a_store_that_ignores_conditions_is_refused(binary, it))]
        for store in (azure, google) if options.long else ():
            tools = options.tools.resolve()
            tests.append((store.__name__, lambda it, store=store: a_lake_is_written_across_a_kill_and_proved(binary, it, store, tools)))
        for name, test in tests:
            place = Path(folder) / name
            place.mkdir()
            test(place)
            passed += 1
            print(f"ok {name}", flush=True)
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main()
