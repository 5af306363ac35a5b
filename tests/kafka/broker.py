#!/usr/bin/env python3
"""Runs one real Kafka broker for tests: KRaft, a single node, loopback only.

    broker.py start --dir D --jars J [--port P] [--property K=V ...]
    broker.py stop  --dir D [--kill]
    broker.py topic --dir D --jars J --create NAME --partitions N [--config K=V ...]
    broker.py topic --dir D --jars J --alter NAME --partitions N
    broker.py topic --dir D --jars J --delete NAME

J is the folder of jars that fetch.sh prints; needs Java 17 (JAVA_HOME or PATH) and
nothing else beside Python's standard library.

`start` prints the bootstrap address once the broker takes part in its cluster, so
what runs next needs no wait of its own, and leaves it running detached. Everything
it has is under D: data/ (the topics), broker.log, server.properties, and
broker.json ({"pid", "bootstrap"}), which is there only while the broker should be
running. On a D that was used before it keeps the data and, unless --port says
otherwise, the port: that is a restart. On a broker that runs already it only
prints the address. --property overrides a line of server.properties and is not
remembered by the next start.

`stop` ends the broker by its process id: SIGTERM, and SIGKILL when it has not
ended in time or at once with --kill, which is how a test plays a crash. Stopping a
broker that does not run is no error.

Topics exist only when created here or by a client's admin call: the broker creates
none by itself.
"""

import argparse
import base64
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import uuid
from pathlib import Path

START_SECONDS_MAX = 90
STOP_SECONDS_MAX = 30
START_ATTEMPTS_MAX = 3
# Below the range that systems hand out for outgoing connections, so that nothing
# takes the port of a stopped broker before it starts again.
PORTS = range(20_000, 32_000)
HOST = "127.0.0.1"


def main():
    arguments = parse_arguments()
    try:
        arguments.run(arguments)
    except BrokerError as error:
        sys.exit(f"broker.py: {error}")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="{start,stop,topic}")

    command = commands.add_parser("start", help="start a broker, or restart one on its data")
    command.add_argument("--dir", type=Path, required=True, help="the folder of this broker")
    command.add_argument("--jars", type=Path, required=True, help="the folder of the jars")
    command.add_argument("--port", type=int, help="the port (default: the last one, or a free one)")
    command.add_argument("--property", type=key_value, action="append", default=[], metavar="K=V")
    command.set_defaults(run=start)

    command = commands.add_parser("stop", help="stop a broker")
    command.add_argument("--dir", type=Path, required=True, help="the folder of this broker")
    command.add_argument("--kill", action="store_true", help="SIGKILL at once, as in a crash")
    command.set_defaults(run=stop)

    command = commands.add_parser("topic", help="create, alter or delete a topic")
    command.add_argument("--dir", type=Path, required=True, help="the folder of the broker")
    command.add_argument("--jars", type=Path, required=True, help="the folder of the jars")
    action = command.add_mutually_exclusive_group(required=True)
    action.add_argument("--create", metavar="NAME")
    action.add_argument("--alter", metavar="NAME", help="raise its number of partitions")
    action.add_argument("--delete", metavar="NAME")
    command.add_argument("--partitions", type=int, metavar="N")
    command.add_argument("--config", type=key_value, action="append", default=[], metavar="K=V")
    command.set_defaults(run=topic)

    arguments = parser.parse_args()
    if arguments.run is topic:
        if (arguments.delete is None) == (arguments.partitions is None):
            parser.error("--partitions goes with --create and --alter, and only with them")
        if arguments.config and arguments.create is None:
            parser.error("--config goes only with --create")
    return arguments


def key_value(text):
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


class BrokerError(Exception):
    """Something the caller is told in one sentence."""


# --- start ------------------------------------------------------------------------


def start(arguments):
    folder = arguments.dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    running = read_running(folder)
    if running is not None:
        print(running["bootstrap"])
        return

    java, jars = find_java(), class_path(arguments.jars)
    for attempt in range(START_ATTEMPTS_MAX):
        port = choose_port(arguments.port, port_of_last_start(folder), first=attempt == 0)
        write_properties(folder, port, free_port(other_than=port), arguments.property)
        cluster_id = format_storage(java, jars, folder)
        pid = launch(java, jars, folder)
        bootstrap = f"{HOST}:{port}"
        write_atomically(
            folder / "broker.json", json.dumps({"pid": pid, "bootstrap": bootstrap}) + "\n"
        )
        if wait_until_serving(pid, port, cluster_id):
            print(bootstrap)
            return
        end(pid, kill=True)
        (folder / "broker.json").unlink()
        if arguments.port is not None:
            break
    log = folder / "broker.log"
    raise BrokerError(f"the broker did not start; the end of {log} says:\n{log_end(log)}")


def choose_port(wanted, last, first):
    """A port that was asked for by name is that one or an error; another may change."""
    if wanted is not None:
        if not is_free(wanted):
            raise BrokerError(f"port {wanted} on {HOST} is in use")
        return wanted
    return last if first and last is not None and is_free(last) else free_port()


def free_port(other_than=None):
    for port in random.sample(PORTS, 200):
        if port != other_than and is_free(port):
            return port
    raise BrokerError(f"found no free port on {HOST} in {PORTS.start}..{PORTS.stop}")


def is_free(port):
    with socket.socket() as probe:
        # As the broker does: connections of a former run may still linger.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def port_of_last_start(folder):
    try:
        lines = (folder / "server.properties").read_text().splitlines()
    except FileNotFoundError:
        return None
    prefix = f"advertised.listeners=BROKER://{HOST}:"
    return next((int(line.removeprefix(prefix)) for line in lines if line.startswith(prefix)), None)


def write_properties(folder, port, controller_port, overrides):
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": f"BROKER://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"BROKER://{HOST}:{port}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(folder / "data"),
        "num.partitions": "3",
        "auto.create.topics.enable": "false",
        "delete.topic.enable": "true",
        # One node: every internal topic has one replica, and few partitions, so
        # that its first use is quick.
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        # A killed broker is let in again only when its former self has timed out.
        # By default that is 9 s, of which a restart then waits most.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "500",
        # A small machine shared with the program under test.
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.dedupe.buffer.size": str(16 << 20),
        **dict(overrides),
    }
    text = "".join(f"{key}={value}\n" for key, value in properties.items())
    write_atomically(
        folder / "server.properties", f"# Written anew by every start of broker.py.\n{text}"
    )


def format_storage(java, jars, folder):
    """The id of the cluster, given at the first start and kept with the data."""
    formatted = folder / "data" / "meta.properties"
    if formatted.exists():
        properties = dict(
            line.split("=", 1) for line in formatted.read_text().splitlines() if "=" in line
        )
        return properties["cluster.id"]
    cluster_id = random_cluster_id()
    command = [
        *(java, "-Xmx256m", "-XX:TieredStopAtLevel=1", *logging_options("warn"), "-cp", jars),
        *("kafka.tools.StorageTool", "format", "--cluster-id", cluster_id),
        *("--config", str(folder / "server.properties")),
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise BrokerError(f"could not format the storage:\n{done.stdout}{done.stderr}")
    return cluster_id


def random_cluster_id():
    """A UUID as Kafka writes it; one that looks like an option would be taken for one."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def launch(java, jars, folder):
    command = [
        *(java, "-Xms256m", "-Xmx1g", *logging_options("info"), "-cp", jars),
        *("kafka.Kafka", str(folder / "server.properties")),
    ]
    with open(folder / "broker.log", "ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            # A Ctrl+C or the end of the test's terminal must not reach the broker.
            start_new_session=True,
        )
    return process.pid


def wait_until_serving(pid, port, cluster_id):
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        if not is_alive(pid):
            return False
        if is_serving(port, cluster_id):
            return True
        time.sleep(0.1)
    return False


def is_serving(port, cluster_id):
    """Whether this very broker answers and counts itself in.

    It listens, and may answer ApiVersions, before the controller lets it take
    part; until then it is in nobody's list of brokers and a topic made now would
    have nowhere to go. So: ApiVersions (key 18) to see that this is a Kafka broker,
    then Metadata (key 3) for no topics, which must list one broker, of our cluster.
    """
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            versions = exchange(connection, api_key=18, api_version=0, body=b"")
            if struct.unpack_from(">h", versions)[0] != 0:
                return False
            no_topics_no_creation = struct.pack(">i?", 0, False)
            metadata = exchange(connection, api_key=3, api_version=4, body=no_topics_no_creation)
            return cluster_with_one_broker(metadata) == cluster_id
    except (OSError, struct.error):
        return False


def cluster_with_one_broker(metadata):
    """The cluster's id in a Metadata response, if it lists exactly one broker."""
    at = struct.calcsize(">ii")
    _throttle_ms, brokers = struct.unpack_from(">ii", metadata)
    if brokers != 1:
        return None

    def string():
        nonlocal at
        (size,) = struct.unpack_from(">h", metadata, at)
        at += 2 + max(size, 0)  # an absent string has the size -1
        return metadata[at - max(size, 0) : at].decode()

    at += 4  # node id
    string()  # host
    at += 4  # port
    string()  # rack
    return string()


def exchange(connection, api_key, api_version, body):
    """Sends one request of Kafka's protocol; the response without its header."""
    client = b"broker.py"
    request = struct.pack(">hhih", api_key, api_version, 1, len(client)) + client + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    (size,) = struct.unpack(">i", receive(connection, 4))
    return receive(connection, size)[4:]


def receive(connection, size):
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise OSError("the connection was closed")
        received += part
    return received


def log_end(log):
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-20:])


# --- stop -------------------------------------------------------------------------


def stop(arguments):
    folder = arguments.dir.resolve()
    running = read_running(folder)
    if running is not None and not end(running["pid"], arguments.kill):
        raise BrokerError(f"process {running['pid']} did not end")
    (folder / "broker.json").unlink(missing_ok=True)


def end(pid, kill):
    """Ends the process; whether it is gone."""
    for signal_number in (signal.SIGKILL,) if kill else (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, signal_number)
        except ProcessLookupError:
            return True
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while time.monotonic() < deadline:
            if not is_alive(pid):
                return True
            time.sleep(0.05)
    return False


def read_running(folder):
    """What broker.json says, if that process still is this broker."""
    try:
        running = json.loads((folder / "broker.json").read_text())
    except FileNotFoundError:
        return None
    if not is_alive(running["pid"]):
        return None
    # After a crash the number may have gone to a process that is not ours to end.
    try:
        command = Path(f"/proc/{running['pid']}/cmdline").read_bytes()
    except OSError:
        return running
    return running if os.fsencode(folder / "server.properties") in command else None


def is_alive(pid):
    try:
        os.waitpid(pid, os.WNOHANG)  # if it is our own child, let it go when it has ended
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Ended, but nobody has asked for its exit code: as in a container without init.
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state != "Z"


# --- topic ------------------------------------------------------------------------


def topic(arguments):
    running = read_running(arguments.dir.resolve())
    if running is None:
        raise BrokerError(f"no broker is running in {arguments.dir}")
    if arguments.create is not None:
        action = ["--create", "--topic", arguments.create]
        for key, value in arguments.config:
            action += ["--config", f"{key}={value}"]
    elif arguments.alter is not None:
        action = ["--alter", "--topic", arguments.alter]
    else:
        action = ["--delete", "--topic", arguments.delete]
    if arguments.partitions is not None:
        action += ["--partitions", str(arguments.partitions)]

    command = [
        *(find_java(), "-Xmx256m", "-XX:TieredStopAtLevel=1", *logging_options("off")),
        *("-cp", class_path(arguments.jars), "org.apache.kafka.tools.TopicCommand"),
        *("--bootstrap-server", running["bootstrap"], *action),
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise BrokerError(f"{' '.join(action)} failed:\n{done.stdout}{done.stderr}")


# --- shared -----------------------------------------------------------------------


def find_java():
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(os.path.join(home, "bin", "java")) if home else shutil.which("java")
    if java is None:
        raise BrokerError("found no Java: set JAVA_HOME or put java on the PATH")
    return java


def class_path(jars):
    if not any(jars.glob("kafka_*.jar")):
        raise BrokerError(f"there is no Kafka broker in {jars}: run fetch.sh first")
    return str(jars.resolve() / "*")


def logging_options(level):
    prefix = "-Dorg.slf4j.simpleLogger"
    return (
        f"{prefix}.defaultLogLevel={level}",
        f"{prefix}.showDateTime=true",
        f"{prefix}.dateTimeFormat=HH:mm:ss.SSS",
        f"{prefix}.showThreadName=false",
    )


def write_atomically(path, text):
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)


if __name__ == "__main__":
    main()
