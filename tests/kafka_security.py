#!/usr/bin/env python3
"""A Kafka that asks who one is: TLS with client certificates, and SASL over TLS (SCRAM, PLAIN, and OAUTHBEARER with an issuer of tokens).

    kafka_security.py BINARY --jars DIR

Run it with the Python that tests/readers/setup.sh makes; DIR is what tests/kafka/fetch.sh prints. One real broker listens in
each way; its authorizer lets in only whom it knows. `gen` writes and `run` reads by a file with settings of the client,
`verify` proves the result, and whoever is refused is told why. Tokens that last for seconds are renewed while records are read and
written, and an issuer that is away is told when the last token has ended. No password and no token is in a log, an answer or an argument.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

sys.path.insert(0, str(Path(__file__).resolve().parent / "kafka"))
from cluster import Cluster  # noqa: E402
from issuer import Issuer  # noqa: E402
from pipeline import Pipeline, free_port, wait  # noqa: E402

RECORDS = 2000
DATAFLOW = """
CREATE SOURCE events (timestamp TIMESTAMP NOT NULL, endpoint TEXT, WATERMARK FOR timestamp AS timestamp - INTERVAL '1' SECOND)
  WITH (connector = 'kafka', brokers = '${BROKERS}', topic = '${TOPIC}', client_config = '${KAFKA_CLIENT_CONFIG}') FORMAT JSON;
CREATE TABLE archive AS SELECT timestamp, endpoint FROM events;
CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS records FROM events;
"""
# Long enough to be found wherever they turn up.
SECRETS = {"scram": "scram-secret-90817264", "plain": "plain-secret-55128734", "oauth": "oauth-secret-62951413"}
WRONG = "wrong-secret-31415926"
PLAIN_MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule"
SCRAM_MODULE = "org.apache.kafka.common.security.scram.ScramLoginModule"
OAUTH = "org.apache.kafka.common.security.oauthbearer.OAuthBearer"
# Who gets tokens, and for how many seconds. The last two are none that the broker lets in.
SHORT_SECONDS = 10
CLIENTS = {"oauth-reader": 3600, "short-reader": SHORT_SECONDS, "short-writer": SHORT_SECONDS, "oauth-stranger": 3600, "oauth-forger": 3600}


class Certificates:
    """An authority, and what it has signed, as files of PEM."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.ca = self.authority("ca")
        self.other_ca = self.authority("other-ca")
        self.broker = self.signed("broker", "subjectAltName=IP:127.0.0.1")
        self.client = self.signed("client", "extendedKeyUsage=clientAuth")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    def authority(self, name):
        key, certificate = self.folder / f"{name}.key", self.folder / f"{name}.pem"
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", key, "-out", certificate)
        return certificate

    def signed(self, name, extension):
        key, request, certificate = (self.folder / f"{name}.{it}" for it in ("key", "csr", "pem"))
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        (self.folder / f"{name}.ext").write_text(extension + "\n")
        signer = ("-CA", self.ca, "-CAkey", self.ca.with_suffix(".key"), "-CAcreateserial")
        self.openssl("x509", "-req", "-in", request, *signer, "-days", "2", "-extfile", self.folder / f"{name}.ext", "-out", certificate)
        # Kafka reads a key with its chain from one file.
        both = self.folder / f"{name}-both.pem"
        both.write_text(key.read_text() + certificate.read_text())
        return certificate


class Guarded(Cluster):
    """A broker that listens in five ways, of which only the first, for the test itself, asks nobody who he is."""

    WAYS = {"TLS": "SSL", "SCRAM": "SASL_SSL", "PLAIN": "SASL_SSL", "OAUTH": "SASL_SSL"}

    def __init__(self, folder, jars, certificates, issuer):
        super().__init__(folder, jars, free_port(following=1 + len(self.WAYS)))
        self.ports = {way: self.port + 1 + number for number, way in enumerate(self.WAYS)}
        self.certificates, self.issuer = certificates, issuer

    def start(self):
        controller = self.port + 1 + len(self.WAYS)
        at = {"BROKER": self.port, **self.ports}
        listeners = [f"{name}://127.0.0.1:{port}" for name, port in at.items()]
        kinds = {"BROKER": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **self.WAYS}
        properties = {
            "listeners": ",".join([*listeners, f"CONTROLLER://127.0.0.1:{controller}"]),
            "advertised.listeners": ",".join(listeners),
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in kinds.items()),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:CN=client;User:scram-reader;User:plain-reader;User:oauth-reader;User:short-reader;User:short-writer",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.certificates.folder / "broker-both.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.certificates.ca,
            "listener.name.tls.ssl.client.auth": "required",
            "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{SCRAM_MODULE} required;",
            "listener.name.plain.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.plain.plain.sasl.jaas.config": f'{PLAIN_MODULE} required user_plain-reader="{SECRETS["plain"]}";',
            "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.oauth.oauthbearer.sasl.jaas.config": f"{OAUTH}LoginModule required;",
            "listener.name.oauth.oauthbearer.sasl.server.callback.handler.class": f"{OAUTH}ValidatorCallbackHandler",
            "listener.name.oauth.sasl.oauthbearer.jwks.endpoint.url": self.issuer.jwks.as_uri(),
            # A connection whose token has ended is ended, too.
            "listener.name.oauth.oauthbearer.connections.max.reauth.ms": 3_600_000,
        }
        allowed = "-Dorg.apache.kafka.sasl.oauthbearer.allowed"
        os.environ["JDK_JAVA_OPTIONS"] = f"{allowed}.urls={self.issuer.jwks.as_uri()} {allowed}.files={self.issuer.jwks}"
        arguments = [word for name, value in properties.items() for word in ("--property", f"{name}={value}")]
        self.bootstrap = self.run("start", "--jars", str(self.jars), "--port", str(self.port), *arguments)
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        users = [("scram-reader", SECRETS["scram"]), ("stranger", SECRETS["scram"])]
        changes = [UserScramCredentialUpsertion(user, info, secret.encode()) for user, secret in users]
        for done in admin.alter_user_scram_credentials(changes).values():
            done.result(timeout=30)
        return self

    def at(self, way):
        return f"127.0.0.1:{self.ports[way]}"


class Scene:
    def __init__(self, binary, folder, cluster, certificates):
        self.binary, self.folder, self.cluster, self.certificates = binary, folder, cluster, certificates
        self.issuer = cluster.issuer

    def file(self, name, **settings):
        path = self.folder / f"{name}.properties"
        lines = ["# settings of the client", *(f"{key.replace('_', '.')}={value}" for key, value in settings.items())]
        path.write_text("\n".join(lines) + "\n")
        return path

    def settings(self, way):
        over_tls = {"ssl_ca_location": self.certificates.ca}
        sasl = {"security_protocol": "SASL_SSL", **over_tls}
        return {
            "TLS": {
                "security_protocol": "SSL",
                **over_tls,
                "ssl_certificate_location": self.certificates.client,
                "ssl_key_location": self.certificates.client.with_suffix(".key"),
            },
            "SCRAM": {**sasl, "sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "scram-reader", "sasl_password": SECRETS["scram"]},
            "PLAIN": {**sasl, "sasl_mechanism": "PLAIN", "sasl_username": "plain-reader", "sasl_password": SECRETS["plain"]},
            "OAUTH": {
                **sasl,
                "sasl_mechanism": "OAUTHBEARER",
                "sasl_oauthbearer_method": "oidc",
                "sasl_oauthbearer_token_endpoint_url": self.issuer.url,
                "sasl_oauthbearer_client_id": "oauth-reader",
                "sasl_oauthbearer_client_secret": SECRETS["oauth"],
                "sasl_oauthbearer_scope": "kafka.read kafka.write",
                "sasl_oauthbearer_extensions": "logicalCluster=lkc-1,team=tide",
                "https_ca_location": self.certificates.ca,
            },
        }[way]

    def pipeline(self, name, way, client_config, topic="events"):
        folder = self.folder / name
        (folder / "flow").mkdir(parents=True)
        (folder / "flow/dataflow.sql").write_text(DATAFLOW)
        environment = {"BROKERS": self.cluster.at(way), "TOPIC": topic, "KAFKA_CLIENT_CONFIG": str(client_config)}
        return Pipeline(self.binary, folder / "flow", folder, environment=environment, commit_interval=0.5)

    def gen(self, way, client_config, topic="events", load=("--count", str(RECORDS))):
        command = [self.binary, "gen", "--brokers", self.cluster.at(way), "--topic", topic, *load]
        command += ["--client-config", str(client_config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)


def no_secret_in(text, *tokens):
    for secret in (*SECRETS.values(), WRONG, *tokens):
        assert secret not in text, f"a secret is told: {text[max(0, text.index(secret) - 200) :][:400]}"


def each_way_in_reads_and_writes_and_is_proved(scene):
    total = 0
    for way in scene.cluster.WAYS:
        file = scene.file(way, **scene.settings(way))
        written = scene.gen(way, file)
        assert written.returncode == 0, f"{way}: {written.stderr}"
        total += RECORDS
        with scene.pipeline(f"reads-{way}", way, file) as pipeline:
            pipeline.start()
            pipeline.wait_value("SELECT records FROM totals", total)
            pipeline.wait_value("SELECT count(*) FROM lake.archive", total)
            arguments = Path(f"/proc/{pipeline.process.pid}/cmdline").read_bytes().decode()
            shown = [json.dumps(pipeline.get(f"/api/v1/{it}")) for it in ("status", "pipeline", "tables")]
            no_secret_in("\n".join([arguments, pipeline.log(), written.stdout, written.stderr, *shown]), *scene.issuer.tokens)
            pipeline.stop()
            environment = {**os.environ, **pipeline.environment}
            command = [scene.binary, "verify", str(pipeline.dataflow), "--lake", str(pipeline.lake)]
            proof = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
            assert proof.returncode == 0 and "PROVEN" in proof.stdout, f"{way}: {proof.stdout}{proof.stderr}"
        print(f"    {way}: {total} records read, and proved", flush=True)


def whoever_is_refused_is_told_why(scene):
    """Not only that the brokers do not answer."""
    scram, tls, oauth = (scene.settings(it) for it in ("SCRAM", "TLS", "OAUTH"))
    nobody = f"https://127.0.0.1:{free_port()}/token"
    cases = [
        ("password", "SCRAM", {**scram, "sasl_password": WRONG}, "invalid credentials"),
        ("authority", "SCRAM", {**scram, "ssl_ca_location": scene.certificates.other_ca}, "certificate verify failed"),
        ("certificate", "TLS", {it: tls[it] for it in tls if "certificate" not in it and "key" not in it}, "certificate"),
        ("plaintext", "SCRAM", {"security_protocol": "PLAINTEXT"}, "do not answer"),
        ("mechanism", "PLAIN", scram, "mechanism"),
        ("stranger", "SCRAM", {**scram, "sasl_username": "stranger"}, "uthoriz"),
        ("client-secret", "OAUTH", {**oauth, "sasl_oauthbearer_client_secret": WRONG}, "refuses client 'oauth-reader': invalid_client"),
        ("issuer-away", "OAUTH", {**oauth, "sasl_oauthbearer_token_endpoint_url": nobody}, f"no token from {nobody}: it could not be reached"),
        ("issuer-authority", "OAUTH", {**oauth, "https_ca_location": scene.certificates.other_ca}, "name its authority's with https.ca.location"),
        ("token-signature", "OAUTH", {**oauth, "sasl_oauthbearer_client_id": "oauth-forger"}, "invalid_token"),
        ("token-stranger", "OAUTH", {**oauth, "sasl_oauthbearer_client_id": "oauth-stranger"}, "uthoriz"),
    ]
    scene.issuer.forgers.add("oauth-forger")
    with ThreadPoolExecutor(6) as together:
        for told in together.map(lambda it: refused(scene, *it), cases):
            print(f"    {told}", flush=True)


def refused(scene, name, way, settings, cause):
    """Health and `gen` both say the cause."""
    file = scene.file(f"refused-{name}", **settings)
    with scene.pipeline(f"refused-{name}", way, file) as pipeline:
        pipeline.start(workers=1)
        told = wait(f"health that says {cause!r}", lambda: saying(pipeline, cause), 60)
        no_secret_in(pipeline.log() + json.dumps(pipeline.get("/api/v1/status")), *scene.issuer.tokens)
        command = [scene.binary, "doctor", pipeline.dataflow, "--lake", scene.folder / "none", "--json"]
        examined = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **pipeline.environment}, timeout=120)
        source = next(it for it in json.loads(examined.stdout) if it["of"].startswith("source "))
        # Whoever may not read a topic can ask whether there is one.
        if "stranger" not in name:
            assert source["verdict"] == "failed" and cause in source["evidence"], f"{name}: {source}"
        no_secret_in(examined.stdout + examined.stderr, *scene.issuer.tokens)
    written = scene.gen(way, file)
    assert written.returncode != 0, f"{name}: gen was let in"
    assert cause in written.stderr, f"{name}: gen does not say {cause!r}: {written.stderr}"
    no_secret_in(written.stdout + written.stderr, *scene.issuer.tokens)
    return f"{name}: {told}"


def saying(pipeline, cause):
    status, detail = pipeline.health()
    return f"{status}: {detail}" if status != "ok" and cause in detail else None


def tokens_are_renewed_while_records_are_read_and_written(scene):
    """The broker ends a connection whose token has ended, so nothing goes on with the first one."""
    cluster, issuer = scene.cluster, scene.issuer
    cluster.create("renewed", partitions=3)
    reads, writes = (
        scene.file(it, **{**scene.settings("OAUTH"), "sasl_oauthbearer_client_id": it}) for it in ("short-reader", "short-writer")
    )
    with scene.pipeline("renewed", "OAUTH", reads, "renewed") as pipeline, ThreadPoolExecutor(1) as beside:
        pipeline.start(workers=1)
        pipeline.wait_health("ok")
        load = ("--rate", "100", "--duration", str(3 * SHORT_SECONDS))
        writing = beside.submit(scene.gen, "OAUTH", writes, "renewed", load)
        while not writing.done():
            status, detail = pipeline.health()
            assert status == "ok", f"while tokens are renewed: {status}: {detail}"
            time.sleep(0.5)
        assert writing.result().returncode == 0, writing.result().stderr
        total = sum(cluster.end_offset("renewed", it) for it in range(3))
        assert total >= 100 * 2 * SHORT_SECONDS, f"{total} records"
        pipeline.wait_value("SELECT records FROM totals", total)
        tokens = {it: issuer.given.count(it) for it in ("short-reader", "short-writer")}
        assert all(3 <= it <= 9 for it in tokens.values()), f"{tokens} in {3 * SHORT_SECONDS} s"
        print(f"    {total} records, tokens: {tokens}", flush=True)
        issuer.stop()
        told = wait("health that tells of the issuer", lambda: saying(pipeline, f"no token from {issuer.url}: it could not be reached"), 60)
        print(f"    {told}", flush=True)
        issuer.start()
        pipeline.wait_health("ok")
        written = scene.gen("OAUTH", writes, "renewed")
        assert written.returncode == 0, written.stderr
        pipeline.wait_value("SELECT records FROM totals", total + RECORDS)
        pipeline.wait_value("SELECT count(*) FROM lake.archive", total + RECORDS)
        no_secret_in(pipeline.log(), *issuer.tokens)
        pipeline.stop()


def a_file_that_is_not_understood_is_refused_at_the_start(scene):
    for name, content, told, code in (
        ("java", "ssl.truststore.location=/x\n", "ssl.ca.location", 3),
        ("unknown", "sasl.pasword=x\n", "sasl.pasword", 3),
        ("no-endpoint", "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.method=oidc\n", "token.endpoint.url", 3),
    ):
        file = scene.folder / f"{name}.properties"
        file.write_text(content)
        with scene.pipeline(name, "SCRAM", file) as pipeline:
            pipeline.start()
            ended = pipeline.process.wait(timeout=60)
            pipeline.process = None
            assert ended == code, f"{name}: exit code {ended}"
            assert told in pipeline.log(), pipeline.log()


TESTS = [
    each_way_in_reads_and_writes_and_is_proved,
    whoever_is_refused_is_told_why,
    tokens_are_renewed_while_records_are_read_and_written,
    a_file_that_is_not_understood_is_refused_at_the_start,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--jars", type=Path, required=True)
    parser.add_argument("--only", help="the test with this name")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidelake-") as folder:
        folder = Path(folder)
        certificates = Certificates(folder / "certificates")
        clients = {client: (SECRETS["oauth"], seconds) for client, seconds in CLIENTS.items()}
        with (
            Issuer(folder / "issuer", certificates.folder / "broker-both.pem", clients, free_port()) as issuer,
            Guarded(folder / "broker", arguments.jars, certificates, issuer).start() as cluster,
        ):
            scene = Scene(arguments.binary.resolve(), folder, cluster, certificates)
            for test in TESTS:
                if arguments.only in (None, test.__name__):
                    began = time.monotonic()
                    test(scene)
                    print(f"ok {test.__name__.replace('_', ' ')} ({time.monotonic() - began:.1f} s)", flush=True)
    print(f"{len(TESTS)} passed, 0 failed")


if __name__ == "__main__":
    main()
