#!/usr/bin/env python3
"""What `tidelake doctor` finds, and what a bundle for whoever helps has in it, and has not.

    doctor.py BINARY

Run it with the Python that tests/readers/setup.sh makes.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from pipeline import Pipeline, free_port, wait  # noqa: E402

SECRET = "doctor-secret-27182818"
# In every record, and nowhere else.
CONTENT = "content-of-records-16180339"
DATAFLOW = """
CREATE SOURCE events (timestamp TIMESTAMP NOT NULL, text TEXT, WATERMARK FOR timestamp AS timestamp - INTERVAL '1' SECOND)
  WITH (connector = 'files', path = '${FOLDER}') FORMAT JSON;
CREATE TABLE archive AS SELECT timestamp, text FROM events;
CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS records, max(text) AS newest FROM events;
"""
OF_KAFKA = """
CREATE SOURCE events (timestamp TIMESTAMP NOT NULL, WATERMARK FOR timestamp AS timestamp - INTERVAL '1' SECOND)
  WITH (connector = 'kafka', brokers = '${BROKERS}', topic = 't', "kafka.sasl.password" = '${PASSWORD}') FORMAT JSON;
CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS records FROM events;
"""


class Doctor:
    def __init__(self, binary, server, **environment):
        self.binary, self.server = binary, server
        self.environment = {**os.environ, **environment}

    def run(self, command, *arguments):
        line = [self.binary, command, *map(str, arguments), "--server", self.server]
        return subprocess.run(line, capture_output=True, text=True, env=self.environment, timeout=120)

    def found(self, *arguments):
        """Verdicts with evidence by what they are of, and the exit code."""
        done = self.run("doctor", *arguments, "--json")
        try:
            findings = json.loads(done.stdout)
        except json.JSONDecodeError as error:
            raise AssertionError(f"{done.stdout}{done.stderr}") from error
        for it in findings:
            assert (it["fix"] is None) == (it["verdict"] == "ok"), it
        return findings, done.returncode


def of(findings, name):
    return [(it["verdict"], it["evidence"]) for it in findings if it["of"].startswith(name)]


def flow(folder, text):
    folder.mkdir(parents=True)
    (folder / "dataflow.sql").write_text(text)
    return folder


def main():
    binary = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory(prefix="tidelake-") as folder:
        folder = Path(folder)
        nobody = f"127.0.0.1:{free_port()}"
        kafka = flow(folder / "kafka", OF_KAFKA)

        doctor = Doctor(binary, f"http://{nobody}", BROKERS=nobody, PASSWORD=SECRET)
        findings, code = doctor.found("--lake", folder / "none")
        assert code == 0, findings
        assert of(findings, "lake") == [("ok", "it is not there yet; the first start makes it")], findings
        assert of(findings, "server")[0][1].startswith("nobody listens there"), findings
        assert not (folder / "none").exists(), "it changes nothing"

        findings, code = doctor.found(kafka, "--lake", folder / "none")
        [(verdict, evidence)] = of(findings, "source events")
        assert (code, verdict) == (1, "failed") and f"brokers {nobody} do not answer" in evidence, findings
        assert "Connection refused" in evidence, evidence
        print("ok a broker that is not there")

        wrong = flow(folder / "wrong", "CREATE MATERIALIZED VIEW v AS SELECT nothing FROM nowhere;")
        findings, code = doctor.found(wrong, "--lake", folder / "none")
        assert code == 1 and of(findings, "dataflow")[0][0] == "failed", findings
        print("ok a dataflow that is wrong")

        inputs = folder / "input"
        inputs.mkdir()
        lines = [json.dumps({"timestamp": f"2026-01-01T00:00:{it % 60:02}Z", "text": f"{CONTENT} {it}"}) for it in range(500)]
        (inputs / "a.jsonl").write_text("\n".join(lines) + "\n")
        environment = {"FOLDER": str(inputs), "WEBHOOK_PASSWORD": SECRET}
        with Pipeline(binary, flow(folder / "files", DATAFLOW), folder / "run", environment=environment) as pipeline:
            pipeline.start()
            pipeline.wait_value("SELECT count(*) FROM lake.archive", 500)
            doctor = Doctor(binary, f"http://127.0.0.1:{pipeline.port}", **environment)
            findings, code = doctor.found(pipeline.dataflow, "--lake", pipeline.lake)
            assert code == 0, findings
            assert ("ok", f"1 file matches {inputs}") in of(findings, "source events"), findings
            assert any(f"held by process {pipeline.process.pid} on " in it[1] for it in of(findings, "lake")), findings
            assert any("components are well" in it[1] for it in of(findings, "server")), findings
            text = doctor.run("doctor", pipeline.dataflow, "--lake", pipeline.lake).stdout
            assert text.splitlines()[-1] in ("all is well", "1 warning", "2 warnings"), text
            print("ok a pipeline that is well")

            (folder / "with-secrets.log").write_text(f"sasl.password={SECRET}\nanother line\n")
            target = folder / "bundle.tar.gz"
            done = doctor.run("bundle", pipeline.dataflow, "--lake", pipeline.lake, "--log", folder / "with-secrets.log", "-o", target)
            assert done.returncode == 0, done.stderr
            with tarfile.open(fileobj=io.BytesIO(target.read_bytes())) as archive:
                texts = {it.name: archive.extractfile(it).read().decode() for it in archive.getmembers()}
            expected = ["about.txt", "doctor.txt", "settings.toml", "dataflow/dataflow.sql", "check.txt", "lake.json", "logs/with-secrets.log"]
            expected += [f"server/{it}" for it in ("status.json", "pipeline.json", "tables.json", "version.json", "metrics.txt")]
            assert sorted(texts) == sorted(f"tidelake-bundle/{it}" for it in expected), sorted(texts)
            for name, text in texts.items():
                assert SECRET not in text, f"{name} has a secret"
                assert CONTENT not in text, f"{name} has content of records"
            assert "another line" in texts["tidelake-bundle/logs/with-secrets.log"]
            assert json.loads(texts["tidelake-bundle/lake.json"])[0]["tables"]["archive"], texts["tidelake-bundle/lake.json"]
            print("ok a bundle without secrets and records")

            pipeline.stop()
        manifests = sorted((folder / "run/lake/_tidelake").glob("*/manifests/*.json"))
        content = manifests[-1].read_text()
        manifests[-1].write_text(content[: len(content) // 2])
        findings, code = Doctor(binary, f"http://{nobody}").found("--lake", folder / "run/lake")
        assert code == 1 and any(it[0] == "failed" and "damaged" in it[1] for it in of(findings, "lake")), findings
        print("ok a damaged lake")
    print("5 passed, 0 failed")


if __name__ == "__main__":
    main()
