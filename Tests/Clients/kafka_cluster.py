"""librdkafka's mock cluster: real brokers' protocol on real sockets, in this process."""
import ctypes
import signal
import subprocess
import sys
import threading

PRODUCER, CONSUMER, COPY = 0, 1, 2


def library():
    lib = ctypes.CDLL("librdkafka.so.1")
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in [
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_conf_set", number, [pointer, text, text, text, ctypes.c_size_t]),
        ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_flush", number, [pointer, number]),
        ("rd_kafka_topic_new", pointer, [pointer, text, pointer]),
        ("rd_kafka_topic_destroy", None, [pointer]),
        ("rd_kafka_produce", number, [pointer, ctypes.c_int32, number, text, ctypes.c_size_t, text, ctypes.c_size_t,
                                      pointer]),
        ("rd_kafka_poll", number, [pointer, number]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
        ("rd_kafka_mock_broker_set_down", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_up", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_poll_set_consumer", number, [pointer]),
        ("rd_kafka_topic_partition_list_new", pointer, [number]),
        ("rd_kafka_topic_partition_list_add", pointer, [pointer, text, ctypes.c_int32]),
        ("rd_kafka_topic_partition_list_destroy", None, [pointer]),
        ("rd_kafka_subscribe", number, [pointer, pointer]),
        ("rd_kafka_consumer_poll", pointer, [pointer, number]),
        ("rd_kafka_message_destroy", None, [pointer]),
        ("rd_kafka_consumer_close", number, [pointer]),
    ]:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def client(lib, kind, settings):
    conf, problem = lib.rd_kafka_conf_new(), ctypes.create_string_buffer(512)
    for name, value in {"log_level": "0", **settings}.items():
        assert lib.rd_kafka_conf_set(conf, name.encode(), value.encode(), problem, 512) == 0, problem.value
    made = lib.rd_kafka_new(kind, conf, problem, 512)
    assert made, problem.value
    return made


class KafkaProducer:
    def __init__(self, bootstrap, linger_ms=5):
        self.lib = library()
        self.client = client(self.lib, PRODUCER, {"bootstrap.servers": bootstrap, "linger.ms": str(linger_ms)})
        self.topics = {}

    def produce(self, topic, partition, value):
        if topic not in self.topics:
            self.topics[topic] = self.lib.rd_kafka_topic_new(self.client, topic.encode(), None)
        while self.lib.rd_kafka_produce(self.topics[topic], partition, COPY, value, len(value), None, 0, None) != 0:
            # The queue is full.
            self.lib.rd_kafka_poll(self.client, 100)

    def flush(self):
        assert self.lib.rd_kafka_flush(self.client, 30_000) == 0

    def close(self):
        for topic in self.topics.values():
            self.lib.rd_kafka_topic_destroy(topic)
        self.lib.rd_kafka_destroy(self.client)


class KafkaCluster:
    def __init__(self, brokers=1):
        self.lib = library()
        self.brokers = brokers
        self.owner = client(self.lib, PRODUCER, {})
        self.cluster = self.lib.rd_kafka_mock_cluster_new(self.owner, brokers)
        self.bootstrap = self.lib.rd_kafka_mock_cluster_bootstraps(self.cluster).decode()
        self.producer = KafkaProducer(self.bootstrap)
        self.produce, self.flush = self.producer.produce, self.producer.flush

    def create_topic(self, name, partitions):
        assert self.lib.rd_kafka_mock_topic_create(self.cluster, name.encode(), partitions, self.brokers) == 0

    def down(self, broker=1):
        self.lib.rd_kafka_mock_broker_set_down(self.cluster, broker)

    def up(self, broker=1):
        self.lib.rd_kafka_mock_broker_set_up(self.cluster, broker)

    def member(self, group, topic):
        return GroupMember(self, group, topic)

    def close(self):
        self.producer.close()
        self.lib.rd_kafka_mock_cluster_destroy(self.cluster)
        self.lib.rd_kafka_destroy(self.owner)


class KafkaProcess:
    """A cluster in a process of its own, which can be stopped: its sockets stay open and nobody answers."""

    def __init__(self, topic, partitions):
        self.process = subprocess.Popen([sys.executable, __file__, topic, str(partitions)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.bootstrap = self.process.stdout.readline().strip()
        self.producer = KafkaProducer(self.bootstrap)
        self.produce, self.flush = self.producer.produce, self.producer.flush

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        self.thaw()
        self.producer.close()
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


class GroupMember:
    """Another consumer of a group: takes its share of the partitions and throws the messages away."""

    def __init__(self, cluster, group, topic):
        self.lib, self.messages, self.stopping = cluster.lib, 0, threading.Event()
        self.client = client(self.lib, CONSUMER, {
            "bootstrap.servers": cluster.bootstrap, "group.id": group, "auto.offset.reset": "earliest",
            "enable.auto.commit": "false", "session.timeout.ms": "3000", "heartbeat.interval.ms": "300"})
        self.lib.rd_kafka_poll_set_consumer(self.client)
        topics = self.lib.rd_kafka_topic_partition_list_new(1)
        self.lib.rd_kafka_topic_partition_list_add(topics, topic.encode(), -1)
        assert self.lib.rd_kafka_subscribe(self.client, topics) == 0
        self.lib.rd_kafka_topic_partition_list_destroy(topics)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping.is_set():
            message = self.lib.rd_kafka_consumer_poll(self.client, 100)
            if message:
                self.messages += 1
                self.lib.rd_kafka_message_destroy(message)

    def leave(self):
        self.stopping.set()
        self.thread.join(30)
        self.lib.rd_kafka_consumer_close(self.client)
        self.lib.rd_kafka_destroy(self.client)


if __name__ == "__main__":
    served = KafkaCluster()
    served.create_topic(sys.argv[1], int(sys.argv[2]))
    print(served.bootstrap, flush=True)
    sys.stdin.read()
    served.close()
