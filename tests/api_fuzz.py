#!/usr/bin/env python3
"""Requests that nobody would write, made by schemathesis from the API's own description.

    api_fuzz.py BINARY [--long]

Run it with the Python that tests/readers/setup.sh makes. No request may end with a status of 5xx, but 501 and 503, which say that
something is not there; each answer must have the form that the description promises. Afterwards the server is as well as before, and
`verify` proves its lake. --long makes twenty times as many requests.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from pipeline import DATAFLOWS, Pipeline, wait  # noqa: E402

# Streams have no end; a proof and a training take the processor that the rest needs, and a restart ends what was asked before it.
LEFT_OUT = ["/api/v1/stream", "/api/v1/views/{view}/changes", "/api/v1/verification", "/api/v1/models/{model}/train", "/api/v1/restart"]
CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance"
EVENTS = 3000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    binary = options.binary.resolve()
    with tempfile.TemporaryDirectory(prefix="tidelake-") as folder:
        folder = Path(folder)
        subprocess.run([binary, "gen", "--count", str(EVENTS), "--out", folder / "input"], check=True, capture_output=True)
        settings = {"XDG_CONFIG_HOME": str(folder / "settings"), "XDG_STATE_HOME": str(folder / "state")}
        with Pipeline(binary, DATAFLOWS / "web_logs", folder / "run", folder / "input", settings) as pipeline:
            pipeline.start()
            pipeline.wait_value("SELECT count(*) FROM lake.logs", EVENTS)
            url = f"http://127.0.0.1:{pipeline.port}"
            command = [Path(sys.executable).parent / "schemathesis", "--no-color", "run", f"{url}/api/v1/openapi.json", "--url", url]
            command += ["--checks", CHECKS, "--phases", "coverage,fuzzing", "--seed", "1", "--generation-database", "none"]
            command += ["--max-examples", "200" if options.long else "10", "--request-timeout", "60", "--suppress-health-check", "all"]
            command += ["--warnings", "off", "--continue-on-failure"]
            for path in LEFT_OUT:
                command += ["--exclude-path", path]
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=folder, timeout=3600 if options.long else 600)
            end = done.stdout[-6000:]
            assert done.returncode == 0, f"schemathesis ended with {done.returncode}:\n{end}{done.stderr[-2000:]}"
            print(end.strip().splitlines()[-1])
            wait("all to be well", lambda: pipeline.get("/api/v1/status")["overall"] == "ok", 60)
            assert pipeline.value("SELECT count(*) FROM lake.logs") == EVENTS, "nobody could add or take away records"
            pipeline.stop()
            command = [binary, "verify", pipeline.dataflow, "--lake", pipeline.lake, "--input", folder / "input"]
            proof = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **settings}, timeout=300)
            assert proof.returncode == 0 and "PROVEN" in proof.stdout, proof.stdout + proof.stderr
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
