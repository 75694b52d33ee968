"""A worker as a process: what reaches several of them, and what the log has of the Kafka client."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.errors import KafkaError

from streams import running

# Two children that take signals as workers do, and need a moment for their running commit. Each line is one write:
# `print` makes two of it where Python is not buffered, and theirs would mix.
PARENT = """
import asyncio, sys
from streams.running import run_workers
sys.executable = sys.argv[1]
sys.exit(asyncio.run(run_workers([], 7000, 2)))
"""
CHILD = """
import asyncio, os, sys
from streams import running
async def main():
    stopping = asyncio.Event()
    class Worker:
        stop = stopping.set
    running._PARENT_S = 0.05
    running._on_signals(Worker)
    running._end_with(int(sys.argv[-1]), Worker)
    os.write(1, b"up\\n")
    await asyncio.wait_for(stopping.wait(), 60)
    await asyncio.sleep(0.3 + int(sys.argv[sys.argv.index("--http-port") + 1]) % 2)
    os.write(1, b"committed\\n")
asyncio.run(main())
"""
LOG = """
import logging, sys
from streams.cli.common import run
from streams.running import set_up_logging
from streams.settings import Settings
set_up_logging(Settings(log_level=sys.argv[1]))
async def work():
    log = logging.getLogger("aiokafka.producer.sender")
    log.info("metadata")
    try:
        raise ConnectionError("the broker is gone")
    except ConnectionError:
        log.exception("Unexpected error in %s", "sender routine")
    for node in range(3):
        log.warning("no connection to node %d", node)
    logging.getLogger("aiokafka.conn").debug("Request %s", "SaslAuthenticateRequest_v1(b'admin\\0secret')")
run(work(), is_logged=True)
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The leader of the terminal's process group, with two children that are up."""
    child = tmp_path / "child"
    child.write_text(f"#!{sys.executable}\n{CHILD}")
    child.chmod(0o755)
    command = [sys.executable, "-c", PARENT, str(child)]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["up\n", "up\n"]
        yield process
        process.kill()


def test_ctrl_c_in_a_terminal_reaches_each_worker_once(parent: subprocess.Popen[str]) -> None:
    """A second one would end it at once, in the middle of its commit."""
    os.killpg(parent.pid, signal.SIGINT)
    assert (parent.communicate(timeout=10)[0], parent.returncode) == ("committed\n" * 2, 0)


def test_workers_end_with_the_process_that_runs_them(parent: subprocess.Popen[str]) -> None:
    """They have sessions of their own, where no terminal would end them."""
    parent.kill()
    assert parent.communicate(timeout=10)[0] == "committed\n" * 2  # once nobody is left that could write


def logged(level: str) -> list[str]:
    """What a worker's log has of a broken connection at this level."""
    ran = subprocess.run([sys.executable, "-c", LOG, level], capture_output=True, text=True, check=True)
    return ran.stderr.splitlines()


def test_a_worker_logs_what_goes_wrong_in_the_client_in_one_line() -> None:
    """With the error, and without the traceback that aiokafka has for every connection that breaks; and it says once
    what aiokafka says again and again.
    """
    line, other = logged("info")
    said = "Unexpected error in sender routine: ConnectionError('the broker is gone')"
    assert line.endswith(f"WARNING aiokafka.producer.sender: {said}")
    assert other.endswith("WARNING aiokafka.producer.sender: no connection to node 0")


def test_what_the_client_tries_again_is_no_error() -> None:
    """A new cluster has no coordinator of groups for a second, which aiokafka logs as an error."""
    assert logged("error") == []


def test_what_a_client_says_again_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """And said again after a while."""
    monkeypatch.setattr(running, "SAID_AGAIN_S", 10.0)
    for_operators, found = running._ForOperators(), []
    for at in (100.0, 101.0, 109.9, 110.0, 111.0):
        record = logging.LogRecord("aiokafka", logging.ERROR, "", 0, "no connection to node %d", (int(at),), None)
        record.created = at
        if for_operators(record):
            found.append(record.getMessage())
    assert found == ["no connection to node 100", "no connection to node 110 (2 more since the last)"]


def test_at_debug_a_worker_logs_everything_of_the_client() -> None:
    found = logged("debug")
    assert any(line.endswith("INFO aiokafka.producer.sender: metadata") for line in found)
    assert "Traceback (most recent call last):" in found
    assert sum("no connection" in line for line in found) == 3


def test_what_a_client_has_said_is_forgotten_at_some_time() -> None:
    """Texts that are made of offsets are without end."""
    for_operators = running._ForOperators()
    for number in range(1000):
        assert for_operators(logging.LogRecord("aiokafka", logging.ERROR, "", 0, f"lost {number}", (), None))
    assert len(for_operators._said) <= running._KINDS_MAX


def test_an_error_that_nobody_took_from_the_client_is_not_logged() -> None:
    """Its sender leaves some behind in futures of its own when a session ends; what ended it is told."""
    for error, is_told in ((KafkaError("away"), False), (ValueError("ours"), True)):
        said = (type(error), error, None)
        record = logging.LogRecord("asyncio", logging.ERROR, "", 0, "Future exception was never retrieved", (), said)
        assert running._ForOperators()(record) is is_told


def test_no_password_is_logged() -> None:
    """aiokafka logs its requests at debug, and one of them is the password."""
    assert not any("secret" in line for line in logged("debug"))
