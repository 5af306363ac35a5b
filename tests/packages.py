#!/usr/bin/env python3
"""What a stranger installs: the wheel, the archive and the Debian package, made of a program that is built already.

    tests/packages.py target/release/tidelake [--tools FOLDER]

The wheel goes into a fresh Python environment without an index, and its demo runs in an empty folder. The Debian package is unpacked, not
installed, and read as dpkg, man, bash and systemd read it. What Dockerfile, compose file, unit and chart say to the program must be what it knows:
a flag that was renamed is a service that does not start. FOLDER keeps maturin for the next run.
"""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import venv

from pipeline import SOURCE, free_port, wait

MATURIN = "maturin==1.16.0"
DEPLOY = SOURCE / "deploy"
CHART = DEPLOY / "helm" / "tidelake"


def run(*command, **more):
    """Standard output of a command that must succeed."""
    done = subprocess.run([str(it) for it in command], capture_output=True, text=True, timeout=600, **more)
    assert done.returncode == 0, f"{shlex.join(map(str, command))}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def maturin(tools):
    """Where maturin is; fetched the first time."""
    folder = tools / MATURIN.replace("==", "-")
    program = folder / "bin" / "maturin"
    if not program.exists():
        venv.create(folder, clear=True, with_pip=True)
        run(folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", MATURIN)
    return program


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def version_of_source():
    return re.search(r'^version = "(.+)"', (SOURCE / "Cargo.toml").read_text(), re.M)[1]


# --- The wheel ------------------------------------------------------------------------------------------------------


def check_wheel(binary, tools, folder, options):
    built = digest(binary)
    environment = {**os.environ, "MATURIN": str(maturin(tools))}
    # Not compressed, which would take most of the time of this test.
    wheel = pathlib.Path(run(DEPLOY / "wheel.sh", folder / "wheel", "--compression-method", "stored", *options, env=environment).strip())
    # The tag names the oldest glibc; a wheel for this very machine would be refused by any index.
    assert re.fullmatch(r"tidelake-[\d.]+-py3-none-manylinux_2_\d+_(x86_64|aarch64)\.whl", wheel.name), wheel.name
    home = folder / "python"
    venv.create(home, with_pip=True)
    run(home / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index", wheel)
    program = home / "bin" / "tidelake"
    assert digest(program) == built, "maturin built another program than cargo did"
    assert run(program, "--version") == f"tidelake {version_of_source()}\n"
    components = [it for it in home.glob("lib/*/site-packages/tidelake-*.dist-info/sboms/*.json")]
    assert len(components) == 1, f"the wheel lists what it is made of once: {components}"
    names = {it["name"] for it in json.loads(components[0].read_text())["components"]}
    assert {"timely", "differential-dataflow", "rdkafka-sys", "deltalake"} <= names, names
    return program


@contextlib.contextmanager
def serving(command, folder, environment=None):
    """A program that serves in an empty folder, and ends in order."""
    folder.mkdir()
    log = folder.with_suffix(".log")
    with open(log, "wb") as to:
        process = subprocess.Popen([str(it) for it in command], cwd=folder, stdout=to, stderr=to, env={**os.environ, **(environment or {})})
    try:
        yield process
        process.terminate()
        code = process.wait(timeout=60)
        assert code == 0, f"exit code {code}\n{log.read_text()[-4000:]}"
    except BaseException:
        print(f"--- end of {log}:\n{log.read_text(errors='replace')[-4000:]}", file=sys.stderr)
        raise
    finally:
        process.kill()
        process.wait()


def check_demo(program, folder):
    """The first five minutes: an empty folder, one command, an answer; then the image's HEALTHCHECK, which is to see it."""
    port = free_port()
    server = f"http://127.0.0.1:{port}"
    probe = re.search(r"^HEALTHCHECK .*CMD (\[.+\])$", (SOURCE / "Dockerfile").read_text(), re.M)[1]
    probe = [str(program), *json.loads(probe)[1:]]
    seen = {**os.environ, "TIDELAKE_SERVER": server}
    assert subprocess.run(probe, env=seen, capture_output=True, timeout=60).returncode != 0, "healthy before it was started"
    with serving([program, "demo", "--listen", f"127.0.0.1:{port}", "--history", "0.05", "--no-incident"], folder / "demo"):
        wait("the demo", lambda: urllib.request.urlopen(f"{server}/readyz", timeout=5).status == 200, 60)
        query = [program, "sql", "--server", server, "-o", "json", "SELECT sum(requests) AS n FROM top_endpoints"]
        wait("rows", lambda: json.loads(run(*query))[0]["n"], 60)
        # A small container has no certificates of authorities.
        run(*query, env={**os.environ, "SSL_CERT_FILE": "/nonexistent", "SSL_CERT_DIR": "/nonexistent"})
        page = urllib.request.urlopen(f"{server}/", timeout=10).read().decode()
        assert "<html" in page and "this build has no page" not in page, page
        run(*probe, env=seen)
    run(program, "verify", cwd=folder / "demo")


def check_shipped(program, folder):
    """Dataflows out of the binary are those of the source, and can run."""
    names = sorted(it.name for it in (SOURCE / "dataflows").iterdir())
    listed = run(program, "init", cwd=folder)
    assert [it.split()[0] for it in listed.splitlines()] == names, listed
    for name in names:
        run(program, "init", name, cwd=folder)
        run("diff", "-r", SOURCE / "dataflows" / name, folder / name)
        run(program, "check", name, cwd=folder)
    again = subprocess.run([str(program), "init", names[0]], cwd=folder, capture_output=True, text=True, timeout=60)
    assert again.returncode == 2 and "is there already" in again.stderr, again
    missing = subprocess.run([str(program), "run", "dataflows/web_logs"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert missing.returncode == 3 and "tidelake init web_logs dataflows/web_logs" in missing.stderr, missing


# --- Archive and package --------------------------------------------------------------------------------------------


def check_archive(binary, folder):
    first = pathlib.Path(run(DEPLOY / "archive.sh", binary, folder / "archive", env={**os.environ, "COMPRESSION_LEVEL": "1"}).strip())
    with tarfile.open(first) as archive:
        names = archive.getnames()
        archive.extractall(folder, filter="data")
    root = folder / names[0]
    assert run(root / "tidelake", "--version") == run(binary, "--version")
    for name in ["man/man1/tidelake-run.1", "completions/tidelake.bash", "systemd/tidelake.service", "dataflows/web_logs/dataflow.sql", "LICENSE"]:
        assert (root / name).is_file(), name
    return root


def check_manual(folder):
    """What man says of the pages, and what a reader sees."""
    pages = sorted(folder.glob("*.1*"))
    assert 20 <= len(pages), pages
    plain = {**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", *pages], capture_output=True, text=True, env=plain, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr
    first = run("man", "-l", next(it for it in pages if it.name.startswith("tidelake.1")), env=plain)
    assert "EXIT STATUS" in first and "tidelake-run(1)" in first, first


def check_completions(script, program):
    """Bash completes a command, an option and a value by the script."""
    lines = "\n".join(
        [
            f"source {script}",
            f"PATH={program.parent}:$PATH",
            'complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _tidelake tidelake "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"; echo "${COMPREPLY[*]}"; }',
            "complete_line tidelake compl",
            "complete_line tidelake run --commit-",
            "complete_line tidelake completions z",
        ]
    )
    said = run("bash", "--norc", "-c", lines).splitlines()
    assert said == ["completions", "--commit-interval", "zsh"], said


def check_package(binary, folder):
    package = pathlib.Path(run(DEPLOY / "deb.sh", binary, folder / "deb", env={**os.environ, "COMPRESSION_LEVEL": "0"}).strip())
    about = run("dpkg-deb", "--field", package)
    assert f"Version: {version_of_source()}\n" in about and re.search(r"Depends: .*libc6 \(>= 2\.\d+\)", about), about
    owners = {it.split()[1] for it in run("dpkg-deb", "--contents", package).splitlines()}
    assert owners == {"root/root"}, owners
    root, control = folder / "root", folder / "control"
    run("dpkg-deb", "--extract", package, root)
    run("dpkg-deb", "--control", package, control)
    run("md5sum", "--check", "--quiet", control / "md5sums", cwd=root)
    for name in (control / "conffiles").read_text().split():
        assert (root / name.lstrip("/")).is_file(), name
    for script in ["postinst", "prerm", "postrm"]:
        assert os.access(control / script, os.X_OK), script
        run("sh", "-n", control / script)
    program = root / "usr/bin/tidelake"
    assert run(program, "--version") == run(binary, "--version")
    # All settings are known, also those that are written as a suggestion.
    settings = (root / "etc/tidelake/tidelake.toml").read_text()
    whole = folder / "whole.toml"
    whole.write_text(re.sub(r"^# ([a-z-]+ = )", r"\1", settings, flags=re.M).replace('listen = "127.0.0.1:4000"\n', ""))
    for file in [root / "etc/tidelake/tidelake.toml", whole]:
        run(program, "--config", file, "check", root / "usr/share/tidelake/dataflows/web_logs", cwd=folder)
    check_manual(root / "usr/share/man/man1")
    check_completions(root / "usr/share/bash-completion/completions/tidelake", program)
    check_unit(root, program, folder)


def check_unit(root, program, folder):
    """The unit is one that systemd takes, and what it starts runs with the settings and variables that the package has."""
    unit = root / "usr/lib/systemd/system/tidelake.service"
    said = subprocess.run(["systemd-analyze", "verify", f"--root={root}", "--man=no", "tidelake.service"], capture_output=True, text=True, timeout=60)
    wrong = [it for it in (said.stdout + said.stderr).splitlines() if "tidelake.service" in it and "not found" not in it]
    assert not wrong, wrong
    exposure = run("systemd-analyze", "security", "--offline=yes", "--no-pager", unit, env={**os.environ, "LC_ALL": "C.UTF-8"})
    level = float(re.search(r"exposure level for tidelake.service: ([\d.]+)", exposure)[1])
    assert level <= 2.0, exposure
    text = unit.read_text()
    codes = re.search(r"^RestartPreventExitStatus=(.+)$", text, re.M)[1]
    assert f"RestartPreventExitStatus={codes}`" in (SOURCE / "src/cli/exit.rs").read_text(), codes
    line = re.search(r"^ExecStart=(.+)$", text, re.M)[1]
    defaults = (root / "etc/default/tidelake").read_text()
    chosen = re.search(r"^DATAFLOW=(.+)$", defaults, re.M)[1]
    # The same line, on folders and a port of this test.
    port = free_port()
    state = folder / "state"
    settings = (root / "etc/tidelake/tidelake.toml").read_text()
    file = folder / "service.toml"
    file.write_text(settings.replace("/var/lib/tidelake", str(state)).replace("127.0.0.1:4000", f"127.0.0.1:{port}"))
    line = line.replace("${DATAFLOW}", str(root / chosen.lstrip("/"))).replace("/usr/bin/tidelake", str(program)).replace("/etc/tidelake/tidelake.toml", str(file))
    run(program, "gen", "--count", "1000", "--out", folder / "input")
    with serving(shlex.split(line), state, {"HOME": str(state), "TIDELAKE_INPUT": str(folder / "input")}):
        wait("the service", lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).status == 200, 60)
    assert (state / "lake").is_dir(), "the last commit was made"


# --- What the files of deploy/ say to the program -------------------------------------------------------------------


def check_words(program):
    """Every flag in chart and compose file is one of the command that it stands behind, and every file that is mounted is there."""
    helped = {name: set(re.findall(r"--[a-z][a-z-]+", run(program, name, "--help"))) for name in ["run", "gen"]}
    used = re.findall(r"^ +- (--[a-z-]+)$", (CHART / "templates" / "statefulset.yaml").read_text(), re.M)
    assert 10 < len(used), used
    unknown = [it for it in used if it not in helped["run"]]
    compose = (SOURCE / "docker-compose.yml").read_text()
    for name, flags in helped.items():
        lines = re.findall(rf'^    command: \["{name}",.*\]$', compose, re.M)
        assert lines, f"docker-compose.yml starts no {name}"
        unknown += [it for line in lines for it in re.findall(r'"(--[a-z-]+)"', line) if it not in flags]
    assert not unknown, f"no such flags: {unknown}"
    for path in re.findall(r"^ +- (\./[^:]+):", compose, re.M):
        assert (SOURCE / path).exists(), f"docker-compose.yml mounts {path}, which is not there"
    version = version_of_source()
    chart = (CHART / "Chart.yaml").read_text()
    assert f"\nappVersion: {version}\n" in chart, f"deploy/helm/tidelake/Chart.yaml is not of version {version}"
    # Names in .env.example and defaults are those of the compose file.
    for name, default in re.findall(r"^#([A-Z_]+)=(.*)$", (SOURCE / ".env.example").read_text(), re.M):
        if name != "COMPOSE_PROFILES":
            assert f"${{{name}:-{default}}}" in compose, f".env.example: {name}={default}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--tools", type=pathlib.Path)
    # Options of cargo with which the binary was built, so that the wheel takes it as it is.
    parser.add_argument("--cargo", default="")
    arguments = parser.parse_args()
    binary = arguments.binary.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        tools = (arguments.tools or folder / "tools").resolve()
        program = check_wheel(binary, tools, folder, shlex.split(arguments.cargo))
        check_demo(program, folder)
        print("the wheel: installed without an index, its demo runs in an empty folder and is proved")
        (folder / "shipped").mkdir()
        check_shipped(program, folder / "shipped")
        check_archive(binary, folder)
        check_package(binary, folder)
        print("archive and package: manual, completions, settings and service are those of the program")
        check_words(program)
        print("image, compose file and chart say nothing that the program does not know")


if __name__ == "__main__":
    main()
