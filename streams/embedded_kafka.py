"""A real Kafka without Docker, for `stream-pricing kafka`, the demo, the bench and the tests.

One Apache Kafka broker (KRaft, replication factor 1) on free ports of 127.0.0.1, its data in a temporary
folder. It is ready when a metadata request answers, and it stops with its parent, also when that is killed
with SIGKILL (see `kafka_keeper.py`). A folder has one broker at a time: the lock file in it is held by the keeper
and the broker, and so free again when both have ended, however they did. It is no place for data that anybody wants
to keep.
"""

import fcntl
import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from streams.kafka_config import CONTROLLER, HOST, LOG4J, PLAINTEXT, server_properties
from streams.kafka_jars import KAFKA_VERSION, KafkaUnavailable, cache_folder, find_java, get_jars
from streams.kafka_probe import PortTaken, answers_metadata, check_free, is_free, last_problem

__all__ = ["EmbeddedKafka", "KafkaUnavailable", "kafka_cluster", "main_kafka"]

JAVA_OPTIONS = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

# Below the ephemeral ports of Linux and macOS: a client that reconnects to one of those while the broker
# restarts may be given the same port as its source, connect to itself, and keep the broker from binding.
_PORTS = range(20_000, 30_000)
_PORT_TRIES = 3
_READY_S = 90
_STOP_S = 15
_KEEPER_S = 60  # it gives the broker 10 s, and then removes a folder that may have thousands of files
_DISK_BYTES_MIN = 256 << 20
_CLUSTER_ID = "c3RyZWFtLXByaWNpbmctMQ"


@dataclass(kw_only=True)
class EmbeddedKafka:
    """A broker: set it up with the fields, then `start()`, or use it as a context manager.

    The listener at `bootstrap_servers` is plain text, always. Further ones are named by their security
    protocol in `listeners` (`SASL_PLAINTEXT`, `SSL`, `SASL_SSL`) and configured in `config`; `address(name)`
    says where they are. An authorizer needs `super.users=User:ANONYMOUS`, the broker itself and plain text.
    """

    port: int | None = None  # of the plain text listener; None: a free one
    data_dir: Path | None = None  # None: a temporary folder, removed at the end
    config: Mapping[str, str] = field(default_factory=dict)  # beats every setting of ours
    listeners: Sequence[str] = ()
    format_options: Sequence[str] = ()  # of StorageTool, such as --add-scram
    java: str | None = None  # None: see find_java
    java_options: Sequence[str] = JAVA_OPTIONS

    folder: Path = field(init=False)
    pid: int | None = field(init=False, default=None)  # of the broker itself; None while it does not run
    process: subprocess.Popen[bytes] | None = field(init=False, default=None)  # its keeper
    _ports: dict[str, int] = field(init=False, default_factory=dict)
    _java_path: str = field(init=False, default="")
    _said: bytes = field(init=False, default=b"")
    _exit_code: int = field(init=False, default=0)  # the broker's last; below 0: the signal that killed it

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap_servers(self) -> str:
        """`127.0.0.1:PORT` of the plain text listener."""
        return self.address(PLAINTEXT)

    @property
    def log_path(self) -> Path:
        """What the broker logs (warnings and worse); gone with a temporary folder."""
        return self.folder / "broker.log"

    def address(self, listener: str) -> str:
        """`127.0.0.1:PORT` of a listener."""
        return f"{HOST}:{self._ports[listener]}"

    def alive(self) -> bool:
        """Whether the broker runs."""
        self._listen(0)
        return self.pid is not None

    def start(self) -> None:
        """Start and wait until metadata requests answer. Raises KafkaUnavailable, with one line."""
        if self.process is not None:
            raise KafkaUnavailable(f"the broker at {self.bootstrap_servers} has been started already")
        self._java_path = self.java or find_java()
        jars = get_jars()
        for tries_left in reversed(range(_PORT_TRIES)):
            try:
                self._ports = self._choose_ports()
                self._open(jars)
                self._run(jars)
                return
            except PortTaken:
                self.stop()
                if self.port is not None or not tries_left:
                    raise
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """Stop, and remove the folder if it is a temporary one. Stopping twice is fine."""
        keeper, self.process, self.pid = self.process, None, None
        if keeper is None:
            return
        assert keeper.stdin is not None and keeper.stdout is not None
        keeper.stdin.close()
        try:
            keeper.wait(_KEEPER_S)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait()
        keeper.stdout.close()

    def restart(self) -> None:
        """Stop the broker, if it still runs, and start it again: same data, same ports."""
        self.halt()
        self._run(get_jars())

    def halt(self) -> None:
        """Stop the broker and keep its data and ports for `restart()`."""
        self._tell("stop")
        deadline = time.monotonic() + _STOP_S
        while self.alive() and time.monotonic() < deadline:
            self._listen(0.1)
        for name, port in self._ports.items():
            while not is_free(port) and time.monotonic() < deadline:
                time.sleep(0.05)
            check_free(name, port)

    def _choose_ports(self) -> dict[str, int]:
        names = [PLAINTEXT, CONTROLLER, *self.listeners]
        free = (port for port in random.sample(_PORTS, len(_PORTS)) if is_free(port))
        ports = dict(zip(names, free, strict=False))
        if self.port is not None:
            check_free(PLAINTEXT, self.port)
            ports[PLAINTEXT] = self.port
        return ports

    def _open(self, jars: Path) -> None:
        """Make the folder, its keeper first, so that nothing is left behind if we are killed here."""
        temporary = self.data_dir is None
        try:
            self.folder = self.data_dir or Path(tempfile.mkdtemp(prefix="stream-pricing-kafka-"))
            self.folder.mkdir(parents=True, exist_ok=True)
            with _locked(self.folder) as lock:
                self.process = _start_keeper(self.folder, temporary, lock)
            free_bytes = shutil.disk_usage(self.folder).free
            if free_bytes < _DISK_BYTES_MIN:
                raise KafkaUnavailable(f"no disk for Kafka's data: {self.folder} has {free_bytes >> 20} MiB free")
            (self.folder / "log4j2.properties").write_text(LOG4J)
            (self.folder / "server.properties").write_text(server_properties(self.folder, self._ports, self.config))
            self._format(jars)
        except OSError as error:
            raise KafkaUnavailable(f"Kafka's data folder cannot be made: {error}") from error

    def _format(self, jars: Path) -> None:
        """Give a new data folder its identity: a copy if possible, since a JVM takes over a second."""
        data, formatted = self.folder / "data", cache_folder() / "formatted"
        if (data / "meta.properties").exists():
            return
        if not self.format_options and formatted.exists():
            shutil.copytree(formatted, data)
            return
        config = ["-t", _CLUSTER_ID, "-c", str(self.folder / "server.properties"), *self.format_options]
        ran = subprocess.run(
            [*self._java(jars), "kafka.tools.StorageTool", "format", *config],
            capture_output=True, text=True, start_new_session=True, check=False,
        )  # fmt: skip
        if ran.returncode != 0:
            raise KafkaUnavailable(f"Kafka could not format its data folder: {last_problem(ran.stdout + ran.stderr)}")
        if not self.format_options:
            made = Path(tempfile.mkdtemp(dir=cache_folder(), prefix="formatted."))
            shutil.copytree(data, made, dirs_exist_ok=True)
            try:
                made.rename(formatted)
            except OSError:  # another process was first
                shutil.rmtree(made)

    def _java(self, jars: Path) -> list[str]:
        log = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"
        return [self._java_path, *self.java_options, log, "-cp", f"{jars}/*"]

    def _run(self, jars: Path) -> None:
        self._tell("start " + json.dumps([*self._java(jars), "kafka.Kafka", str(self.folder / "server.properties")]))
        log_start = self.log_path.stat().st_size
        deadline = time.monotonic() + _READY_S
        self._listen(_STOP_S)
        while time.monotonic() < deadline:
            if not self.alive():
                raise self._death(log_start)
            if answers_metadata(self._ports[PLAINTEXT]):
                return
            time.sleep(0.05)
        raise KafkaUnavailable(f"Kafka did not answer within {_READY_S} s: {self._last_log(log_start)}")

    def _death(self, log_start: int) -> KafkaUnavailable:
        last = self._last_log(log_start)
        if re.search(r"Address already in use|BindException", last):
            return PortTaken(f"a port of {HOST} was taken while Kafka started: {last}")
        return KafkaUnavailable(f"Kafka {self._end()} while it started: {last}")

    def _end(self) -> str:
        return f"was killed by {signal.Signals(-self._exit_code).name}" if self._exit_code < 0 else "ended"

    def _last_log(self, start: int = 0) -> str:
        try:
            with self.log_path.open("rb") as log:
                log.seek(start)
                return last_problem(log.read().decode(errors="replace"))
        except OSError:
            return "it left no log"

    def _tell(self, command: str) -> None:
        try:
            assert self.process is not None and self.process.stdin is not None
            self.process.stdin.write(f"{command}\n".encode())
        except (AssertionError, OSError) as error:
            raise KafkaUnavailable("the broker's keeper is gone: start() again") from error

    def _listen(self, timeout_s: float) -> None:
        """Take in what the keeper says: for `timeout_s` at most if it says nothing."""
        if self.process is None or self.process.stdout is None:
            return
        while select.select([self.process.stdout], [], [], timeout_s)[0]:
            timeout_s = 0
            chunk = os.read(self.process.stdout.fileno(), 65536)
            if not chunk:
                self.pid = None
                return
            *lines, self._said = (self._said + chunk).split(b"\n")
            for line in lines:
                word, _, number = line.partition(b" ")
                self.pid = int(number) if word == b"pid" else None
                self._exit_code = int(number) if word == b"exit" else 0


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """The folder's lock file, locked. Whoever is given it meanwhile keeps the lock for as long as it lives."""
    with (folder / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise KafkaUnavailable(f"another Kafka runs on {folder}: stop it, or choose another data folder") from None
        yield lock.fileno()


def _start_keeper(folder: Path, temporary: bool, lock: int) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("kafka_keeper.py")
    at_the_end = "remove" if temporary else "keep"
    # A session of its own: a Ctrl-C in the terminal must not reach the broker before we stop it.
    with (folder / "broker.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(script), str(folder), at_the_end, str(os.getpid()), str(lock)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, bufsize=0, start_new_session=True,
            pass_fds=[lock],
        )  # fmt: skip


@contextmanager
def kafka_cluster(existing: str | None = None, broker: EmbeddedKafka | None = None) -> Iterator[str]:
    """Bootstrap servers: of the `existing` cluster, starting nothing, else of a broker that lives as long."""
    if existing:
        yield existing
        return
    with broker or EmbeddedKafka() as running:
        yield running.bootstrap_servers


def main_kafka(port: int | None = None, data_dir: Path | None = None) -> int:
    """`stream-pricing kafka`: run until SIGINT or SIGTERM, after printing the address; the exit code."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with EmbeddedKafka(port=port, data_dir=data_dir) as broker:
            print(f"Kafka {KAFKA_VERSION}, bootstrap servers: {broker.bootstrap_servers}", flush=True)
            while broker.alive():
                time.sleep(0.2)
            raise KafkaUnavailable(f"Kafka {broker._end()}: {broker._last_log()}")
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, previous)
