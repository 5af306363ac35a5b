"""More connections than the process may have descriptors: health answers, commits go on, and no file is missing.

    python3 tests/connections.py target/release/tidelake

The program runs with a low limit, and two thousand clients connect and say nothing. Those who wait longest make room for who comes later, and
the descriptors that are not for connections are left to the lake. The soft limit itself is raised at the start.
"""

import pathlib
import re
import socket
import subprocess
import sys
import tempfile

from pipeline import DATAFLOWS, Pipeline, wait

CLIENTS = 2_000


def limited(binary, folder, soft, hard):
    """A program that starts the real one with these limits of descriptors."""
    script = pathlib.Path(folder) / f"tidelake-{soft}"
    script.write_text(f'#!/bin/sh\nulimit -Sn {soft}\nulimit -Hn {hard}\nexec {binary} "$@"\n')
    script.chmod(0o755)
    return script


def commit(pipeline):
    return pipeline.get("/api/v1/status")["commit"]["number"]


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "input"
        command = [binary, "gen", "--rate", "200", "--duration", "600", "--out", source]
        generator = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait("the first file", lambda: source.is_dir() and any(source.iterdir()))
            with Pipeline(limited(binary, folder, 64, 256), DATAFLOWS / "web_logs", folder, source=source) as pipeline:
                pipeline.start()
                first = wait("a commit", lambda: commit(pipeline) or None)
                limits = pathlib.Path(f"/proc/{pipeline.process.pid}/limits").read_text()
                assert re.search(r"Max open files +256 +256", limits), limits
                clients = [socket.create_connection(("127.0.0.1", pipeline.port)) for _ in range(CLIENTS)]
                for _ in range(20):
                    assert pipeline.get("/api/v1/status")["overall"]
                wait("three more commits", lambda: first + 3 <= commit(pipeline))
                used = len(list(pathlib.Path(f"/proc/{pipeline.process.pid}/fd").iterdir()))
                assert used < 256, f"{used} descriptors are open"
                for client in clients:
                    client.close()
                log = pipeline.log().lower()
                assert "os error 24" not in log and "too many open files" not in log, log
                rows = pipeline.sql("SELECT count(*) AS n, count(DISTINCT _partition * 100000000000 + _offset) AS m FROM lake.logs")
                assert rows[0]["n"] == rows[0]["m"] > 0, rows
                pipeline.stop()
        finally:
            generator.kill()
            generator.wait()
    print(f"{CLIENTS} silent clients of a process with 256 descriptors: health, commits and queries went on")


if __name__ == "__main__":
    main()
