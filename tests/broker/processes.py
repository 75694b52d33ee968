"""Workers as child processes, and how a test asks them: signals, logs, pages, metrics."""

import asyncio
import contextlib
import inspect
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from streams.settings import Settings


class WorkerProcess:
    """`stream-pricing worker` as a child process; its log is shown by `workers` when a test fails."""

    def __init__(self, settings: Settings, *options: str, python: Sequence[str] = ()) -> None:
        self.log = Path(tempfile.mkstemp(prefix="worker-", suffix=".log")[1])
        given = {name: getattr(settings, name) for name in settings.model_fields_set if name != "sasl_password"}
        variables = {f"STREAM_PRICING_{name.upper()}": str(value) for name, value in given.items()}
        with self.log.open("wb") as log:
            command = [sys.executable, *python, "-m", "streams", "worker", *options]
            self.process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=log, stderr=log)

    def send(self, number: int) -> None:
        """A signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    async def stop(self, timeout_s: float = 10) -> float:
        """SIGTERM; how long it took to end well."""
        started = time.monotonic()
        self.send(signal.SIGTERM)
        assert await self.ended(timeout_s) == 0, self.text()
        return time.monotonic() - started

    async def ended(self, timeout_s: float) -> int:
        """Its exit code, once it has ended."""
        await eventually(lambda: self.process.poll() is not None, timeout_s)
        return int(self.process.returncode)

    def end(self) -> None:
        """Away with it, in whatever state it is."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.kill()
        self.log.unlink(missing_ok=True)

    def text(self) -> str:
        """What it has said."""
        return self.log.read_text()

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page of its HTTP server; 0 while there is none."""
        url = self.url(path)
        return await asyncio.to_thread(page, url) if url else (0, "")

    def url(self, path: str) -> str:
        """Of a page of its HTTP server; empty while there is none."""
        said = self.text().partition("metrics on ")[2].partition("/metrics\n")
        return said[0] + path if said[1] else ""

    async def is_ready(self) -> bool:
        """Whether /readyz says so."""
        assert self.process.poll() is None, self.text()
        return (await self.get("/readyz"))[0] == 200

    async def metric(self, name: str) -> float:
        """A sample by name and labels, without the prefix; 0 if it is not there."""
        return (await self.metrics()).get(name, 0.0)

    async def metrics(self) -> dict[str, float]:
        """All samples by name and labels, without the prefix."""
        rows = [line.rsplit(" ", 1) for line in (await self.get("/metrics"))[1].splitlines()]
        ours = [row for row in rows if row[0].startswith("stream_pricing_")]
        return {name.removeprefix("stream_pricing_"): float(value) for name, value in ours}

    async def has_committed(self, transactions: int) -> None:
        """Wait for so many transactions."""
        name = 'transactions_total{outcome="committed"}'
        await eventually(lambda: self._is_over(name, transactions), 40)

    async def _is_over(self, name: str, least: float) -> bool:
        return await self.metric(name) >= least


@contextlib.contextmanager
def workers(*started: WorkerProcess) -> Iterator[list[WorkerProcess]]:
    """Workers (append those that are started later) that are gone afterwards; a failing test shows their logs
    and what keeps them from working."""
    running = list(started)
    try:
        yield running
    except BaseException:
        for worker in running:
            print(f"--- pid {worker.process.pid}, exit code {worker.process.poll()}\n{worker.text()[-20000:]}")
            if (url := worker.url("/readyz")) and worker.process.poll() is None:
                print(f"/readyz: {page(url)}")
        raise
    finally:
        for worker in running:
            worker.end()


def page(url: str) -> tuple[int, str]:
    """Status and body; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


async def eventually(question: Callable[[], Any], timeout_s: float = 30, every_s: float = 0.05) -> Any:
    """Ask until the answer, awaited if need be, is truthy."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = question()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
        await asyncio.sleep(every_s)
