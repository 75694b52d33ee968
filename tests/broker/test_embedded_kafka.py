"""The launcher of the embedded Kafka: what it promises of its start, its end and its errors."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams import kafka_jars
from streams.embedded_kafka import EmbeddedKafka, KafkaUnavailable, kafka_cluster

FOREGROUND = [sys.executable, "-c", "import sys; from streams.embedded_kafka import main_kafka; sys.exit(main_kafka())"]
RUN_UNTIL_KILLED = """
import time
from streams.embedded_kafka import EmbeddedKafka
broker = EmbeddedKafka()
broker.start()
print(broker.pid, broker.process.pid, broker.folder, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """A broker of this module's own, since its tests stop it."""
    # A killed broker is let in again when its session has ended: 9 s by default.
    config = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}
    with EmbeddedKafka(config=config) as running:
        yield running


def test_the_session_s_kafka_answers_metadata(kafka: str) -> None:
    """A cluster that is said to be ready lists its brokers to a client."""

    async def brokers() -> int:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        try:
            return len((await admin.describe_cluster())["brokers"])
        finally:
            await admin.close()

    assert asyncio.run(brokers()) >= 1


def test_an_existing_cluster_is_used_and_nothing_started() -> None:
    """Where bootstrap servers are given, no broker is started."""
    never_started = EmbeddedKafka()
    with kafka_cluster("kafka.example:9092", never_started) as servers:
        assert (servers, never_started.process) == ("kafka.example:9092", None)


def test_a_restart_keeps_data_and_address(broker: EmbeddedKafka, prefix: str) -> None:
    """What was acknowledged before a restart is read after it, at the same address."""
    before = broker.bootstrap_servers, broker.pid
    asyncio.run(_write(broker.bootstrap_servers, f"{prefix}kept", [b"1", b"2"]))
    broker.restart()
    assert asyncio.run(_read(broker.bootstrap_servers, f"{prefix}kept", 2)) == [b"1", b"2"]
    assert broker.bootstrap_servers == before[0]
    assert broker.pid != before[1]


def test_a_broker_that_was_killed_starts_again_with_its_data(broker: EmbeddedKafka, prefix: str) -> None:
    """SIGKILL of the broker is seen, and `restart()` brings it back."""
    asyncio.run(_write(broker.bootstrap_servers, f"{prefix}kept", [b"1"]))
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)
    _wait_until(lambda: not broker.alive(), "the broker's end is noticed")
    broker.restart()
    assert asyncio.run(_read(broker.bootstrap_servers, f"{prefix}kept", 1)) == [b"1"]


def test_it_stops_with_its_parent_killed_with_sigkill() -> None:
    """Neither the broker, nor its keeper, nor its folder outlives a parent that could not clean up."""
    parent = subprocess.Popen([sys.executable, "-c", RUN_UNTIL_KILLED], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as said:
        broker, keeper, folder = said.readline().split()
    assert _runs(int(broker))
    assert Path(folder).is_dir()
    parent.kill()
    parent.wait()
    _wait_until(lambda: not _runs(int(broker)), "the broker ends")
    _wait_until(lambda: not _runs(int(keeper)), "its keeper ends")
    assert not Path(folder).exists()


def test_the_foreground_kafka_prints_its_address_and_ends_at_sigterm() -> None:
    """`stream-pricing kafka` says where it listens, and SIGTERM ends it with exit code 0."""
    process = subprocess.Popen(FOREGROUND, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as said:
        address = said.readline().strip().rpartition(" ")[2]
    host, port = address.split(":")
    socket.create_connection((host, int(port)), 5).close()
    process.terminate()
    assert process.wait(20) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), 5)


def test_a_foreground_kafka_that_is_killed_says_by_what() -> None:
    process = subprocess.Popen(FOREGROUND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    [keeper] = _children(process.pid)
    [broker] = _children(keeper)
    os.kill(broker, signal.SIGKILL)
    assert "Kafka was killed by SIGKILL" in process.communicate(timeout=20)[1]
    assert process.returncode == 1


def test_a_taken_port_is_said_in_one_line() -> None:
    """A port that another program listens on is named in the error."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(KafkaUnavailable, match=rf"^port {port} of 127\.0\.0\.1, .* is taken.*$"):
            EmbeddedKafka(port=port).start()


def test_a_broker_that_ends_while_it_starts_is_reported_with_its_reason() -> None:
    """The error carries the broker's own last words, and the folder is gone."""
    broken = EmbeddedKafka(config={"num.io.threads": "none"})
    with pytest.raises(KafkaUnavailable, match=r"num\.io\.threads"):
        broken.start()
    assert not broken.folder.exists()


def test_a_java_that_does_not_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A java on the PATH that exists but fails counts as none."""
    shim = tmp_path / "java"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setattr(kafka_jars, "_java_candidates", lambda: iter([str(shim)]))
    with pytest.raises(KafkaUnavailable, match=rf"{shim} does not run"):
        kafka_jars.find_java()


def test_jars_are_downloaded_once(broker: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the jars in the cache, a start calls no downloader."""

    def no_download(*_: object) -> None:
        raise AssertionError("a second download")

    monkeypatch.setattr(kafka_jars, "_run_jgo", no_download)
    assert (kafka_jars.get_jars() / "kafka_2.13-4.3.1.jar").is_file()


def test_a_damaged_jar_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A jar in the cache that is not the pinned one is fetched again, never run."""

    def no_network(*_: object) -> None:
        raise KafkaUnavailable("no network?")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kafka_jars, "_run_jgo", no_network)
    jars = kafka_jars.cache_folder() / "jars"
    jars.mkdir(parents=True)
    (jars / "kafka_2.13-4.3.1.jar").write_bytes(b"truncated")
    with pytest.raises(KafkaUnavailable, match="no network"):
        kafka_jars.get_jars()


def test_a_data_folder_that_is_given_is_kept(tmp_path: Path, prefix: str) -> None:
    """A folder of the caller's survives the broker, and the next broker, on other ports, reads it."""
    with EmbeddedKafka(data_dir=tmp_path) as first:
        asyncio.run(_write(first.bootstrap_servers, f"{prefix}kept", [b"1"]))
    with EmbeddedKafka(data_dir=tmp_path) as second:
        assert asyncio.run(_read(second.bootstrap_servers, f"{prefix}kept", 1)) == [b"1"]


def test_a_folder_that_another_kafka_runs_on_is_left_as_it_is(tmp_path: Path) -> None:
    """The second one is refused with one line, before it changes anything; the first one goes on."""
    with EmbeddedKafka(data_dir=tmp_path) as first:
        settings = tmp_path / "server.properties"
        before = settings.read_bytes()
        with pytest.raises(KafkaUnavailable, match=rf"^another Kafka runs on {tmp_path}: [^\n]*$"):
            EmbeddedKafka(data_dir=tmp_path).start()
        assert settings.read_bytes() == before
        first.restart()


def test_a_folder_is_free_once_nothing_runs_on_it_any_more(tmp_path: Path) -> None:
    """Not when the keeper was killed and its broker still writes there, but as soon as that is killed too."""
    orphan = EmbeddedKafka(data_dir=tmp_path)
    orphan.start()
    broker, keeper = orphan.pid, orphan.process
    assert broker is not None and keeper is not None
    try:
        keeper.kill()
        keeper.wait()
        with pytest.raises(KafkaUnavailable, match="another Kafka runs on"):
            EmbeddedKafka(data_dir=tmp_path).start()
    finally:
        os.kill(broker, signal.SIGKILL)
    _wait_until(lambda: not _runs(broker), "the broker ends")
    orphan.stop()
    with EmbeddedKafka(data_dir=tmp_path) as second:
        assert second.alive()


async def _write(servers: str, topic: str, values: list[bytes]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def _read(servers: str, topic: str, count: int) -> list[bytes | None]:
    async with AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
        return [(await asyncio.wait_for(consumer.getone(), 20)).value for _ in range(count)]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def _wait_until(holds: Callable[[], bool], what: str, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)
