"""The HTTP server: what it answers, and what it says when it cannot start."""

import asyncio
import socket
from dataclasses import dataclass, field

import httpx
import pytest

from streams.errors import Refused
from streams.http import serve


@dataclass
class Health:
    """Health as told."""

    dead: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    def live(self) -> list[str]:
        return self.dead

    def ready(self) -> list[str]:
        return self.waiting


def get(path: str, health: Health, body: bytes = b"") -> httpx.Response:
    """One request to a server of its own."""

    async def ask() -> httpx.Response:
        async with serve("127.0.0.1", 0, health, lambda: body) as url, httpx.AsyncClient() as client:
            return await client.get(url + path)

    return asyncio.run(ask())


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health_is_200_and_ok(path: str) -> None:
    """Nothing to report is health."""
    answer = get(path, Health())
    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_a_stuck_loop_is_503_with_its_name() -> None:
    """Liveness says what makes no progress."""
    answer = get("/livez", Health(dead=["poll has not turned for 31 s"]))
    assert (answer.status_code, answer.text) == (503, "poll has not turned for 31 s\n")


def test_ready_and_live_are_two_questions() -> None:
    """A worker that restores is alive and not ready."""
    health = Health(waiting=["partition 3 restores", "partition 4 restores"])
    assert get("/livez", health).status_code == 200
    answer = get("/readyz", health)
    assert (answer.status_code, answer.text) == (503, "partition 3 restores\npartition 4 restores\n")


def test_metrics_are_served_in_prometheus_format() -> None:
    """The body is passed on, with the content type of the text format."""
    answer = get("/metrics", Health(), b"stream_pricing_seen_ids 1\n")
    assert (answer.status_code, answer.text) == (200, "stream_pricing_seen_ids 1\n")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_other_paths_are_not_there() -> None:
    """The server offers three paths."""
    assert get("/", Health()).status_code == 404


def test_a_taken_port_is_one_line() -> None:
    """Host, port and reason."""

    async def start(port: int) -> None:
        async with serve("127.0.0.1", port, Health(), bytes):
            raise AssertionError("two servers on one port")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Refused, match=f"^http_host 127.0.0.1, http_port {port}: the port is taken$"):
            asyncio.run(start(port))
