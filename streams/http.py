"""The worker's HTTP server: /metrics, /livez and /readyz, for Prometheus and whoever restarts workers."""

import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import web

from streams.errors import Refused

# The exposition format of prometheus_client.generate_latest.
_METRICS_TYPE = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
_SHUTDOWN_S = 1.0


class Health(Protocol):
    """Whose health is asked for: each answer lists what is wrong, one phrase each; nothing is: healthy."""

    def live(self) -> list[str]:
        """Loops that make no progress. A restart may help."""
        ...

    def ready(self) -> list[str]:
        """Partitions that do not run yet. Waiting may help."""
        ...


@asynccontextmanager
async def serve(host: str, port: int, health: Health, metrics: Callable[[], bytes]) -> AsyncIterator[str]:
    """Serve while the context is open; the value is `http://host:port`. Refused: the port cannot be had."""
    app = web.Application()
    app.router.add_get("/metrics", _fixed(lambda: web.Response(body=metrics(), headers=_METRICS_TYPE)))
    app.router.add_get("/livez", _fixed(lambda: _verdict(health.live())))
    app.router.add_get("/readyz", _fixed(lambda: _verdict(health.ready())))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        yield await _bind(runner, host, port)
    finally:
        await runner.cleanup()


async def _bind(runner: web.AppRunner, host: str, port: int) -> str:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        reason = "the port is taken" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise Refused(f"http_host {host}, http_port {port}: {reason}") from None
    bound = runner.addresses[0][1]
    return f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"


def _fixed(answer: Callable[[], web.Response]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(_request: web.Request) -> web.Response:
        return answer()

    return handle


def _verdict(problems: list[str]) -> web.Response:
    if problems:
        return web.Response(status=503, text="\n".join(problems) + "\n")
    return web.Response(text="ok\n")
