"""Child processes of the demo and the bench: started with our settings, watched through /proc, and gone at the end.

A child has a session of its own, so that a Ctrl-C in the terminal reaches it only through us, and a log file that is
shown when it ends unasked.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.errors import Refused
from streams.settings import SECRETS, Settings

_STOP_S = 8.0
_HTTP_S = 5.0
_LOG_LINES = 3


def given_settings(settings: Settings) -> dict[str, object]:
    """The settings that were given, by name, as JSON has them; secrets are left to the environment and the file they
    came from."""
    names = settings.model_fields_set | {"bootstrap_servers", "topic_prefix"}
    return settings.model_dump(mode="json", include=names - SECRETS)


def as_options(settings: Settings) -> list[str]:
    """The given settings as options of a command."""
    options = []
    for name, value in given_settings(settings).items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            options.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            options.append(f"--{flag}={_text(value)}")
    return options


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


class Child:
    """A process `python -m MODULE ARGUMENTS`, killed at the end of the `with` block if it still runs."""

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        self._log = tempfile.NamedTemporaryFile(prefix="stream-pricing-", suffix=".log")  # noqa: SIM115
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._log.close()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that does not end it soon."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def check(self) -> None:
        """Raise Refused with its last words if it has ended."""
        if self.process.poll() is not None:
            last = " / ".join(self.log().splitlines()[-_LOG_LINES:])
            raise Refused(f"a child process ended with exit code {self.process.returncode}: {last}")

    def log(self) -> str:
        """What it has written so far."""
        return Path(self._log.name).read_text(errors="replace")

    def cpu_s(self) -> float:
        """User and system time so far."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_rss_mib(self) -> float:
        """The most memory that it ever had, in MiB (VmHWM)."""
        for line in self._proc("status").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise Refused("/proc has no VmHWM: memory cannot be measured here")

    def _proc(self, name: str) -> str:
        try:
            return Path(f"/proc/{self.process.pid}/{name}").read_text()
        except OSError as error:
            raise Refused(f"the bench reads /proc, as Linux has it: {error}") from None


class WorkerChild(Child):
    """`stream-pricing worker` with its HTTP server on a free port."""

    def __init__(self, settings: Settings, config: Path | None = None) -> None:
        before = ["--config", str(config)] if config else []
        options = [*as_options(settings), "--http-host=127.0.0.1", "--http-port=0", "--no-log-json", "--log-level=info"]
        super().__init__("streams", [*before, "worker", *options, f"--parent={os.getpid()}"])
        self._url: str | None = None

    def is_ready(self) -> bool:
        """Whether it runs all of its partitions."""
        answer = self._get("/readyz")
        return answer is not None

    def metrics(self) -> dict[str, float]:
        """All samples by name and labels; empty while its server is not there."""
        text = self._get("/metrics") or ""
        rows = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in rows}

    def _get(self, path: str) -> str | None:
        self.check()
        if self._url is None:
            self._url = self._find_url()
        if self._url is None:
            return None
        try:
            with urllib.request.urlopen(self._url + path, timeout=_HTTP_S) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return None

    def _find_url(self) -> str | None:
        for line in self.log().splitlines():
            _, found, url = line.partition("metrics on ")
            if found:
                return url.strip().removesuffix("/metrics")
        return None
