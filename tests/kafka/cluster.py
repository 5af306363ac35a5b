"""A real broker for the length of a test run, and an independent client to fill and change its topics.

`broker.py` starts it; topics are made, grown, shortened and deleted by confluent-kafka's admin client, which waits
for the broker to have done it.
"""

import json
import subprocess
import sys
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

BROKER = Path(__file__).resolve().parent / "broker.py"


class Cluster:
    """One broker in a folder. Use it in a `with`: it does not outlive it."""

    def __init__(self, folder, jars, port=None):
        self.folder, self.jars, self.port = Path(folder), Path(jars), port
        self.bootstrap = None if port is None else f"127.0.0.1:{port}"
        self.clients = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run("stop", "--kill")

    def run(self, command, *arguments):
        line = [sys.executable, str(BROKER), command, "--dir", str(self.folder), *arguments]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()

    def start(self):
        port = [] if self.port is None else ["--port", str(self.port)]
        self.bootstrap = self.run("start", "--jars", str(self.jars), *port)
        self.port = int(self.bootstrap.rpartition(":")[2])
        return self

    def stop(self, kill=False):
        self.run("stop", *(["--kill"] if kill else []))

    @property
    def admin(self):
        if self.clients is None:
            self.clients = AdminClient({"bootstrap.servers": self.bootstrap})
        return self.clients

    def create(self, topic, partitions=1, **config):
        """Makes a topic; `max_message_bytes=…` is the property max.message.bytes."""
        config = {name.replace("_", "."): str(value) for name, value in config.items()}
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config)
        self.admin.create_topics([new])[topic].result(30)

    def grow(self, topic, partitions):
        self.admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(30)

    def delete(self, topic):
        self.admin.delete_topics([topic])[topic].result(30)

    def delete_before(self, topic, partition, offset):
        """What retention does, at once: records below the offset are gone."""
        place = TopicPartition(topic, partition, offset)
        self.admin.delete_records([place])[place].result(30)

    def end_offset(self, topic, partition):
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "looks-only"})
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)[1]
        finally:
            consumer.close()

    def producer(self, **settings):
        settings = {name.replace("_", "."): value for name, value in settings.items()}
        return Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5, **settings})

    def send(self, topic, values, partition=0, **settings):
        """Sends raw values without a key, and returns when the broker has all of them."""
        self.send_keyed(topic, [(None, value) for value in values], partition, **settings)

    def send_keyed(self, topic, messages, partition=0, **settings):
        """Sends keys and values, and returns when the broker has all of them."""
        producer = self.producer(**settings)
        failed = []

        def delivered(error, _message):
            if error is not None:
                failed.append(error)

        for key, value in messages:
            while True:
                try:
                    producer.produce(topic, value, key, partition=partition, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        assert producer.flush(60) == 0, "not all records were sent"
        if failed:
            raise KafkaException(failed[0])


def event(number, at="2026-01-31T12:00:00Z"):
    return json.dumps({"at": at, "n": number}).encode()
