#!/usr/bin/env python3
"""Who may ask a running server: users and roles by command line, API and a changed file; TLS with a certificate that is
renewed; starts that would be open by mistake; and clusters whose processes do not share a secret.

    tests/access.py target/release/tidelake

Certificates are made by openssl. Everything listens on loopback, or is refused before it listens.
"""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from pipeline import free_port

WITHIN = 40


def main():
    binary = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("home").mkdir()
        os.environ["HOME"] = str(Path("home").resolve())
        for name in [it for it in os.environ if it.startswith(("TIDELAKE_", "XDG_"))]:
            del os.environ[name]
        subprocess.run([binary, "gen", "--count", "2000", "--out", "input"], check=True, capture_output=True)
        for part in (refused_starts, users_and_roles, over_tls, in_a_cluster):
            part(binary)
            print(f"ok  {part.__name__.replace('_', ' ')}")


class Process:
    """A command that runs, and what it has said."""

    def __init__(self, *arguments, env=None):
        self.said = tempfile.NamedTemporaryFile("w+", delete=False)
        self.process = subprocess.Popen(
            arguments, stdout=self.said, stderr=self.said, env={**os.environ, **(env or {})}
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(WITHIN)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def text(self):
        return Path(self.said.name).read_text()


def until(what, holds, within=WITHIN):
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            if got := holds():
                return got
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.1)
    raise SystemExit(f"after {within} s it did not come to this: {what}")


def expect(what, got, wanted):
    if got != wanted:
        raise SystemExit(f"{what}: {got!r}, not {wanted!r}")


def run(binary, *arguments, env=None):
    return subprocess.run(
        [binary, *arguments], capture_output=True, text=True, env={**os.environ, **(env or {})}, timeout=WITHIN
    )


def ask(address, path, token=None, method="GET", body=None, context=None):
    """Status and text of an answer."""
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(f"{address}{path}", method=method, headers=headers, data=body)
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def token_of(binary, role, name):
    made = json.loads(run(binary, "token", "new", "--role", role, "--name", name, "--json").stdout)
    line = f'[[users]]\nname = "{name}"\nrole = "{role}"\ntoken = "{made["hash"]}"\n'
    return made["token"], line


def serve(*more):
    return ["run", DATAFLOW, "--input", "./input", "--lake", "./lake", *more]


DATAFLOW = str(Path(__file__).resolve().parent.parent / "dataflows/web_logs")


def refused_starts(binary):
    """What would be open by mistake does not start, and says what to do."""
    cases = [
        (["--listen", "0.0.0.0:0"], "--insecure"),
        (["--auth-file", "missing.toml"], "missing.toml"),
        (["--tls-cert", "missing.pem", "--tls-key", "missing.key"], "missing.pem"),
    ]
    for more, told in cases:
        ended = run(binary, *serve(*more))
        expect(f"exit code of {more}", ended.returncode, 78)
        assert told in ended.stderr, ended.stderr
    Path("hosts").write_text("127.0.0.1:1\n192.0.2.1:1\n")
    ended = run(binary, *serve("--process", "0", "--hosts", "hosts"))
    expect("exit code without a secret", ended.returncode, 78)
    assert "--cluster-secret-file" in ended.stderr, ended.stderr
    expect("no lake was made", Path("lake").exists(), False)


def users_and_roles(binary):
    shown = run(binary, "token", "new", "--role", "read", "--name", "anna").stdout
    anna = shown.splitlines()[0]
    lines = shown[shown.index("[[users]]") :]
    assert re.fullmatch(r"tl_[0-9a-f]{64}", anna) and anna not in lines, shown
    prometheus, of_prometheus = token_of(binary, "metrics", "prometheus")
    admin, of_admin = token_of(binary, "admin", "root")
    Path("users.toml").write_text(lines + of_prometheus + of_admin)
    at = free_port()
    address = f"http://127.0.0.1:{at}"
    with Process(binary, *serve("--listen", str(at), "--auth-file", "users.toml")) as server:
        until("it is ready", lambda: ask(address, "/readyz")[0] == 200)
        expect("without a token", ask(address, "/api/v1/views")[0], 401)
        expect("metrics without a token", ask(address, "/metrics")[0], 401)
        expect("the page", ask(address, "/")[0], 200)
        expect("metrics", ask(address, "/metrics", prometheus)[0], 200)
        expect("views as prometheus", ask(address, "/api/v1/views", prometheus)[0], 403)
        expect("views as anna", ask(address, "/api/v1/views", anna)[0], 200)
        board = ("/api/v1/boards/mine", "PUT", b'{"panels": []}')
        expect("a board as anna", ask(address, board[0], anna, *board[1:])[0], 403)
        expect("a board as root", ask(address, board[0], admin, *board[1:])[0], 204)

        # Programs: by environment and by file.
        asked = ["sql", "SELECT count(*) AS n FROM logs", "-o", "json", "--server", address]
        ended = run(binary, *asked)
        expect("sql without a token", ended.returncode, 65)
        assert "Bearer" in ended.stderr, ended.stderr
        ended = run(binary, *asked, env={"TIDELAKE_TOKEN": anna})
        expect("sql with a token", ended.returncode, 0)
        Path("token").write_text(shown)
        ended = run(binary, *asked, "--token-file", "token")
        expect("sql with a file", ended.returncode, 0)

        # Whoever is taken out of the file is out, also of a stream that is open.
        with Process(binary, "tail", "traffic_1m", "--server", address, "--token-file", "token") as tail:
            until("the stream has begun", lambda: tail.text())
            Path("users.toml").write_text(of_admin)
            until("anna is out", lambda: ask(address, "/api/v1/views", anna)[0] == 401)
            until("her stream has ended", lambda: tail.process.poll() is not None)
        Path("users.toml").write_text("[[users]]\nname =")
        until("health tells", lambda: "are not understood" in ask(address, "/api/v1/status", admin)[1])
        expect("as before", ask(address, "/api/v1/views", admin)[0], 200)
    said = server.text()
    for secret in (anna, prometheus, admin):
        assert secret not in said, "a token stands in the log"
    # The session key lies where only its owner can read it.
    key = Path("home/.local/state/tidelake/session.key")
    expect("mode of the session key", key.stat().st_mode & 0o777, 0o600)


def certificate(name):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        + ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"]
        + ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"],
        check=True,
        capture_output=True,
    )


def over_tls(binary):
    certificate("first")
    certificate("second")
    for kind in ("pem", "key"):
        Path(f"server.{kind}").write_bytes(Path(f"first.{kind}").read_bytes())
    admin, line = token_of(binary, "admin", "root")
    Path("tidelake.toml").write_text(line.replace("[[users]]", "[[auth.users]]"))
    at = free_port()
    address = f"https://localhost:{at}"
    first = ssl.create_default_context(cafile="first.pem")
    second = ssl.create_default_context(cafile="second.pem")
    with Process(binary, *serve("--listen", f"localhost:{at}", "--tls-cert", "server.pem", "--tls-key", "server.key")):
        until("it is ready", lambda: ask(address, "/readyz", context=first)[0] == 200)
        expect("views", ask(address, "/api/v1/views", admin, context=first)[0], 200)
        expect("users of the settings", ask(address, "/api/v1/views", context=first)[0], 401)
        status, text = ask(f"http://localhost:{at}", "/api/v1/views", admin)
        expect("plain HTTP", (status, "https://" in text), (400, True))
        with socket.create_connection(("127.0.0.1", at)) as plain:
            with ssl.create_default_context(cafile="first.pem").wrap_socket(plain, server_hostname="localhost") as tls:
                assert tls.version() in ("TLSv1.3", "TLSv1.2"), tls.version()
        # The page's cookie goes over TLS alone.
        request = urllib.request.Request(
            f"{address}/api/v1/session",
            data=json.dumps({"token": admin}).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10, context=first) as answer:
            assert "; Secure" in answer.headers["set-cookie"], answer.headers
        asked = ["sql", "SELECT 1 AS one", "-o", "csv", "--server", address]
        ended = run(binary, *asked, env={"TIDELAKE_TOKEN": admin})
        expect("an unknown certificate", ended.returncode, 69)
        assert "--ca-file" in ended.stderr, ended.stderr
        ended = run(binary, *asked, "--ca-file", "first.pem", env={"TIDELAKE_TOKEN": admin})
        expect("sql over TLS", (ended.returncode, ended.stdout.split()), (0, ["one", "1"]))
        for kind in ("key", "pem"):
            Path(f"server.{kind}").write_bytes(Path(f"second.{kind}").read_bytes())
        until("the renewed certificate is used", lambda: ask(address, "/healthz", context=second)[0] == 200)
    Path("tidelake.toml").unlink()


def in_a_cluster(binary):
    at = free_port(4)
    address = f"http://127.0.0.1:{at}"
    # `up` makes a secret of its own.
    admin, line = token_of(binary, "admin", "root")
    Path("users.toml").write_text(line)
    more = ["--processes", "2", "--workers", "1", "--listen", str(at), "--auth-file", "users.toml"]
    with Process(binary, "up", DATAFLOW, "--input", "./input", "--lake", "./lake", *more) as cluster:
        for number in range(2):
            of = f"http://127.0.0.1:{at + number}"
            until(f"process {number} is ready", lambda of=of: ask(of, "/readyz")[0] == 200)
            expect("without a token", ask(of, "/api/v1/views")[0], 401)
            expect("with a token", ask(of, "/api/v1/views", admin)[0], 200)
        commands = [
            Path(f"/proc/{child}/cmdline").read_text()
            for child in Path(f"/proc/{cluster.process.pid}/task/{cluster.process.pid}/children").read_text().split()
        ]
        secret = Path(re.search(r"--cluster-secret-file\0([^\0]+)", commands[0]).group(1))
        expect("who reads the secret's folder", secret.parent.stat().st_mode & 0o777, 0o700)
        assert all(secret.read_text() not in it for it in commands), "the secret is an argument"
    expect("the secret is gone", secret.exists(), False)
    # A process with another secret, and one without.
    Path("ours").write_text("the secret of this cluster, of many bytes")
    Path("theirs").write_text("the secret of another one, of many bytes")
    ports = free_port(8)
    Path("hosts").write_text(f"127.0.0.1:{ports + 4}\n127.0.0.1:{ports + 5}\n")

    def member(number, *more):
        listen = ["--listen", str(ports + number), "--process", str(number), "--hosts", "hosts", "--workers", "1"]
        return Process(binary, *serve(*listen, *more))

    with member(0, "--cluster-secret-file", "ours") as first:
        for more, told in ((["--cluster-secret-file", "theirs"], "another secret"), ([], "has no secret")):
            with member(1, *more) as other:
                until("it is refused", lambda: other.process.poll() is not None)
                assert told in other.text(), other.text()
        with member(1, "--cluster-secret-file", "ours"):
            until("both are ready", lambda: ask(f"http://127.0.0.1:{ports}", "/readyz")[0] == 200)
    assert "was closed" in first.text(), first.text()


if __name__ == "__main__":
    main()
