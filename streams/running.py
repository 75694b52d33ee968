"""A worker as a process: checks before it starts, its HTTP server, its signals; and several of them side by side."""

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import orjson
from aiokafka.errors import KafkaError

from pricing.times import format_time
from streams.admin import verify_for_worker
from streams.errors import Refused
from streams.http import serve
from streams.metrics import Metrics
from streams.session import KafkaClients
from streams.settings import Settings
from streams.version import installed_version
from streams.worker import Worker

log = logging.getLogger(__name__)

SAID_AGAIN_S = 10.0
_KINDS_MAX = 256
_PARENT_S = 1.0


async def run_worker(settings: Settings, parent: int | None = None) -> None:
    """Run one worker until SIGTERM or SIGINT; a second one ends the process at once. Raises Refused.

    `parent`: the id of the process that has started it, with which it ends.
    """
    if not __debug__:
        raise Refused("python -O removes the assertions that aiokafka's transactions rely on: start without it")
    with _unheard():  # the client logs at ERROR what it then raises, and the one line says it
        partitions = await verify_for_worker(settings)
    metrics = Metrics(installed_version(), settings.topics, settings.report_currencies, settings.cost_sheets)
    worker = Worker(settings, KafkaClients(settings), metrics, partitions, lambda: time.time_ns() // 1_000_000)
    _on_signals(worker)
    if parent is not None:
        _end_with(parent, worker)
    # A batch makes a hundred thousand objects and hardly a cycle: the default threshold spends a seventh of the CPU.
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)
    async with serve(settings.http_host, settings.http_port, worker, metrics.exposition) as url:
        log.info("worker %s on %s, metrics on %s/metrics", settings.group, settings.bootstrap_servers, url)
        await worker.run()
    log.info("worker ended")


def _on_signals(worker: Worker) -> None:
    def stop(number: int) -> None:
        log.info("%s: finishing the running commits; a second one ends at once", signal.Signals(number).name)
        worker.stop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)

    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop, each)


def _end_with(parent: int, worker: Worker) -> None:
    """Stop once the parent is gone: killed, or with its terminal. It passes no signal on then, and nobody else does."""
    if os.getppid() != parent:
        log.warning("process %d is gone, which has started this one: finishing the running commits", parent)
        worker.stop()
        return
    asyncio.get_running_loop().call_later(_PARENT_S, _end_with, parent, worker)


async def run_workers(arguments: list[str], http_port: int, processes: int) -> int:
    """Run `processes` workers as child processes, HTTP on successive ports; ends when one ends or on a signal.

    Raises Refused where one was killed: else each says itself why it ends.
    """
    children = []
    for index in range(processes):
        port = str(http_port + index) if http_port else "0"
        command = [sys.executable, "-m", "streams", *arguments, "--http-port", port, "--parent", str(os.getpid())]
        # In a session of its own: Ctrl-C would reach it twice, from the terminal and through us, and end it at once.
        children.append(await asyncio.create_subprocess_exec(*command, start_new_session=True))
    told: list[int] = []

    def pass_on(number: int) -> None:
        told.append(number)
        for child in children:
            if child.returncode is None:
                child.send_signal(number)

    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, pass_on, each)
    ends = [asyncio.create_task(child.wait()) for child in children]
    done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    codes = [task.result() for task in done]
    if not told:  # a second signal would end them at once
        pass_on(signal.SIGTERM)
    await asyncio.wait(ends)
    for child in children:
        if child.returncode == -signal.SIGKILL:
            raise Refused(f"worker process {child.pid} was killed: the others have been stopped")
    return max((abs(code) for code in codes), default=0) and 1


@contextmanager
def _unheard() -> Iterator[None]:
    client = logging.getLogger("aiokafka")
    level = client.level
    if level:  # not at debug
        client.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        client.setLevel(level)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: Mapping[str, object] = {
            "at": format_time(int(record.created * 1000) * 1_000_000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": os.getpid(),
            "message": record.getMessage(),
            **({"error": self.formatException(record.exc_info)} if record.exc_info else {}),
        }
        return orjson.dumps(line).decode()


def set_up_logging(settings: Settings) -> None:
    """Log to stderr, as text or as JSON lines; at debug aiokafka too, else as warnings what goes wrong in it, once each
    in SAID_AGAIN_S."""
    handler = logging.StreamHandler()
    text = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(_JsonLines() if settings.log_json else logging.Formatter(text))
    handler.addFilter(_without_secrets)
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    if settings.log_level != "debug":
        logging.getLogger("aiokafka").setLevel("CRITICAL" if settings.log_level == "error" else "WARNING")
        handler.addFilter(_ForOperators())


def _without_secrets(record: logging.LogRecord) -> bool:
    """At debug aiokafka logs every request whole: in that of SASL is the password."""
    return not (record.name.startswith("aiokafka") and "SaslAuthenticate" in record.getMessage())


class _ForOperators:
    """While a broker is away aiokafka says so a hundred times a second, with tracebacks: once in a while is enough, and
    what broke a connection. One that was being made when its task was cancelled is closed by whoever collects it.
    """

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def __call__(self, record: logging.LogRecord) -> bool:
        if record.name == "asyncio":
            untaken = record.exc_info and isinstance(record.exc_info[1], KafkaError)  # in one of aiokafka's own futures
            return not (untaken or record.getMessage().startswith("Unclosed AIOKafka"))
        if not record.name.startswith("aiokafka"):
            return True
        kind = record.name, str(record.msg)
        said_at, since = self._said.get(kind, (0.0, 0))
        if record.created - said_at < SAID_AGAIN_S:
            self._said[kind] = said_at, since + 1
            return False
        if len(self._said) >= _KINDS_MAX:  # some texts name what they are about
            self._said.clear()
        self._said[kind] = record.created, 0
        record.levelno, record.levelname = logging.WARNING, "WARNING"  # it tries again, or we say what has ended
        text = record.getMessage() + (f": {record.exc_info[1]!r}" if record.exc_info else "")
        record.msg, record.args, record.exc_info = text + (f" ({since} more since the last)" if since else ""), (), None
        return True
