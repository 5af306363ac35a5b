"""A thousand event streams of one view at ten frames a second: what they cost the server, and how late a frame comes.

    python3 benches/streams.py target/release/tidelake

Backs the documentation's claim on streams: 1,000 readers for less than 30 % of a core, p99 below 250 ms. The processor time is that of the threads
that serve, as the kernel tells it, and that of the whole process with and without readers. The delay of a frame is from its epoch, the wall-clock time
at which the engine closed it, to when this process has read it; this process reads all streams itself, so on a busy machine it is an upper bound.
With `--stalled N`, so many readers that never read ride along. Needs nothing but Python.
"""

import argparse
import json
import os
import pathlib
import re
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
from pipeline import DATAFLOWS, Pipeline, wait  # noqa: E402

EPOCH = re.compile(rb'event: changes\ndata: \{"view":"[^"]*","epoch":(\d+)')
TICKS = os.sysconf("SC_CLK_TCK")


def seconds_of(stat):
    """Name and processor time of a line of /proc/…/stat."""
    name, rest = stat[stat.index("(") + 1 :].rsplit(")", 1)
    fields = rest.split()
    return name, (int(fields[11]) + int(fields[12])) / TICKS


def processor_seconds(pid):
    """Of the whole process, and of its threads that serve."""
    all_threads = seconds_of(pathlib.Path(f"/proc/{pid}/stat").read_text())[1]
    serving = 0.0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        name, seconds = seconds_of((task / "stat").read_text())
        serving += seconds if name.startswith("http") else 0
    return all_threads, serving


def over(pid, seconds, work):
    """Shares of a core used while `work` runs for so long."""
    before, began = processor_seconds(pid), time.monotonic()
    work(seconds)
    length = time.monotonic() - began
    return [(after - first) / length for first, after in zip(before, processor_seconds(pid))]


class Readers:
    def __init__(self, port, count, view):
        self.poll = select.epoll()
        self.sockets, self.rest, self.delays_ms, self.frames = {}, {}, [], 0
        request = f"GET /api/v1/views/{view}/changes?hz=10 HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
        for _ in range(count):
            it = socket.create_connection(("127.0.0.1", port))
            it.sendall(request)
            it.setblocking(False)
            self.sockets[it.fileno()] = it
            self.rest[it.fileno()] = b""
            self.poll.register(it, select.EPOLLIN)

    def read(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for number, _ in self.poll.poll(0.1):
                data = self.sockets[number].recv(1 << 16)
                assert data, "the server closed a stream"
                now_ms = time.time() * 1000
                data = self.rest[number] + data
                last = 0
                for found in EPOCH.finditer(data):
                    self.delays_ms.append(now_ms - int(found[1]))
                    self.frames += 1
                    last = found.end()
                self.rest[number] = data[max(last, len(data) - 120) :]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--stalled", type=int, default=0)
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--view", default="totals")
    options = parser.parse_args()
    binary = pathlib.Path(options.binary).resolve()
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "input"
        source.mkdir()
        pipeline = Pipeline(binary, DATAFLOWS / "web_logs", folder, source=source)
        command = [binary, "gen", "--rate", str(options.rate), "--duration", "600", "--out", source]
        generator = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with pipeline:
                pipeline.start()
                wait("records", lambda: 0 < (pipeline.value("SELECT requests FROM totals") or 0))
                pid = pipeline.process.pid
                alone = over(pid, options.seconds, time.sleep)
                stalled = Readers(pipeline.port, options.stalled, options.view)
                readers = Readers(pipeline.port, options.streams, options.view)
                readers.read(5)
                readers.delays_ms.clear()
                readers.frames = 0
                began = time.monotonic()
                with_readers = over(pid, options.seconds, readers.read)
                length = time.monotonic() - began
                slowest_ms = 0.0
                for _ in range(10):
                    asked = time.monotonic()
                    pipeline.get("/api/v1/status")
                    slowest_ms = max(slowest_ms, (time.monotonic() - asked) * 1000)
                del stalled
        finally:
            generator.kill()
            generator.wait()
    delays = statistics.quantiles(readers.delays_ms, n=100)
    figures = {
        "streams": options.streams,
        "stalled": options.stalled,
        "frames_per_second_and_stream": round(readers.frames / length / options.streams, 2),
        "serving_cores": round(with_readers[1], 3),
        "process_cores": round(with_readers[0], 3),
        "process_cores_without_streams": round(alone[0], 3),
        "delay_p50_ms": round(delays[49]),
        "delay_p99_ms": round(delays[98]),
        "status_slowest_ms": round(slowest_ms),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
