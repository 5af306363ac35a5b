"""A bucket behind the real S3 protocol, on loopback, that fails as object stores do.

The server is moto's. In front of it a seeded part of all requests is refused, answered late, or carried out and then
answered with an error, which is what a lost answer looks like to the one who waits for it.
"""

import logging
import pathlib
import random
import threading
import time

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


class Faults:
    """What happens to requests, in front of the server. Kinds are counted, so that a test can tell that they happened."""

    def __init__(self, app, share, seed):
        self.app, self.share = app, share
        # Kind of everything that goes wrong, if it is not to be drawn.
        self.only = None
        self.random = random.Random(seed)
        self.counts = {"refused": 0, "late": 0, "answer lost": 0}
        self.lock = threading.Lock()
        # One request at a time: the server looks first and writes then, and lists what another request takes away.
        self.serving = threading.Lock()

    def __call__(self, environment, start_response):
        kind = self.choose()
        if kind == "refused":
            # A body that was sent is read, or the connection could not be used again.
            environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
            return self.error(start_response)
        if kind == "late":
            time.sleep(0.5)
        is_lost = kind == "answer lost" and environment["REQUEST_METHOD"] == "PUT"
        with self.serving:
            answer = list(self.app(environment, (lambda status, headers, info=None: None) if is_lost else start_response))
        return self.error(start_response) if is_lost else answer

    def choose(self):
        with self.lock:
            if self.share <= self.random.random():
                return None
            kind = self.only or self.random.choice(list(self.counts))
            self.counts[kind] += 1
            return kind

    @staticmethod
    def error(start_response):
        start_response("503 Slow Down", [("content-type", "application/xml"), ("content-length", "0")])
        return [b""]


class Bucket:
    """Use it in a `with`. `faults` is the share of requests that go wrong."""

    def __init__(self, name="lake", faults=0.0, seed=0):
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.name = name
        self.faults = Faults(DomainDispatcherApplication(create_backend_app), 0.0, seed)
        self.server = make_server("127.0.0.1", 0, self.faults, threaded=True)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        self.environment = {**KEYS, "AWS_ENDPOINT": self.endpoint, "AWS_ALLOW_HTTP": "true"}
        self.uri = f"s3://{name}/pipelines/lake"
        self.wanted = faults

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.client().create_bucket(Bucket=self.name)
        self.faults.share = self.wanted
        return self

    def __exit__(self, kind, error, trace):
        self.server.shutdown()

    def client(self):
        names = {"aws_access_key_id": KEYS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": KEYS["AWS_SECRET_ACCESS_KEY"]}
        return boto3.client("s3", endpoint_url=self.endpoint, region_name=KEYS["AWS_REGION"], **names)

    def download(self, folder):
        """Everything below the lake's address, as files, for readers that want a folder. From then on nothing goes wrong."""
        self.faults.share = 0.0
        client, prefix = self.client(), "pipelines/lake/"
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
            for entry in page.get("Contents", []):
                path = pathlib.Path(folder) / entry["Key"].removeprefix(prefix)
                path.parent.mkdir(parents=True, exist_ok=True)
                client.download_file(self.name, entry["Key"], str(path))
