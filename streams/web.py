"""Gets documents over HTTP(S): in bounded time and size, again where the server is busy, secrets only where it is safe.

429 and 5xx are asked again, after what `Retry-After` says or else after a time that doubles and varies, so that many
clients do not come back together. Everything else that is no 200 ends it with one line, in which no secret shows.
"""

import ipaddress
import json
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx
from pydantic import SecretStr

from streams import limits
from streams.errors import Refused
from streams.limits import PATIENCE, Patience, Progress, refuse_large, untold


class Secrets(NamedTuple):
    """The headers that say who asks, and how to set them where they are needed."""

    headers: Mapping[str, str]
    hint: str


def parse_url(place: str) -> httpx.URL:
    """The URL. Refused with one line: what is none, and one with a password in it."""
    try:
        url = httpx.URL(place)
    except httpx.InvalidURL as error:
        raise Refused(f"the URL cannot be used: {error}") from None
    if url.userinfo:
        raise Refused(f"{location_of(url)}: no user and password in the URL: a token or key is a setting")
    return url


def location_of(url: httpx.URL) -> str:
    """The URL without user, query and fragment, any of which may have a secret."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def header_text(name: str, secret: SecretStr) -> str:
    """The secret, or Refused where a header cannot carry it: httpx would say so too, with the secret in its message."""
    text = secret.get_secret_value()
    if not (text and text.isascii() and text.isprintable() and text == text.strip()):
        raise Refused(f"{name} is empty or has characters that an HTTP header cannot carry")
    return text


class Site:
    """One server, asked for one or more documents: they share the time and the size that is allowed."""

    def __init__(
        self, url: httpx.URL, secrets: Secrets, patience: Patience = PATIENCE, *, progress: Progress = untold
    ) -> None:
        self.location = location_of(url)
        loopback = _is_loopback(url.host)
        if secrets.headers and url.scheme != "https" and not loopback:
            raise Refused(f"{self.location}: a token or key is sent over https only, and none is needed otherwise")
        self._secrets = secrets
        self._patience = patience
        self._progress = progress
        self._until = patience.now() + patience.total_s
        self._bytes_left = limits.SIZE_BYTES_MAX
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(max(0, patience.total_s), self._hang_up)
        self._timer.daemon = True
        self._client = httpx.Client(
            timeout=httpx.Timeout(patience.silence_s, connect=min(10.0, patience.silence_s)),
            # A proxy for the machine itself would only see the secret.
            trust_env=not loopback,
            headers={"accept-encoding": "identity", **secrets.headers},
        )

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._client.close()

    def get(self, url: httpx.URL) -> bytes:
        """The body of the answer 200. Raises Refused."""
        for tried in range(1, self._patience.tries + 1):
            try:
                with self._client.stream("GET", url, extensions={"trace": self._on_step}) as response:
                    if not _is_busy(response):
                        self._check_status(response)
                        return self._body(response)
                    status, asked_s = _status(response), _retry_after_s(response)
            except httpx.TimeoutException:
                raise Refused(f"{self.location} did not answer in time") from None
            except httpx.HTTPError as error:
                self._refuse_late()
                raise Refused(f"{self.location} cannot be fetched: {error}") from None
            if tried < self._patience.tries:
                self._wait(status, asked_s, tried)
        raise Refused(f"{self.location} answered {status}, {self._patience.tries} times in a row")

    def _on_step(self, step: str, info: Mapping[str, Any]) -> None:
        """Told by the client of each step of a request: keeps the connections that it makes."""
        if step.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets.append(info["return_value"].get_extra_info("socket"))
            if self._is_late():
                self._hang_up()

    def _hang_up(self) -> None:
        """Ends every read at once. The client's own limit is one of silence: a byte now and then, in the headers even
        before anything is returned to us, could keep it reading for ever."""
        for each in self._sockets:
            with suppress(OSError):  # it is closed already
                socket.socket.shutdown(each, socket.SHUT_RDWR)

    def _is_late(self) -> bool:
        return self._patience.now() > self._until

    def _refuse_late(self) -> None:
        if self._is_late():
            raise Refused(f"{self.location} took longer than {self._patience.total_s:g} s")

    def _wait(self, status: str, asked_s: float | None, tried: int) -> None:
        backoff_s = self._patience.backoff_s * 2 ** (tried - 1) * (0.5 + self._patience.jitter())
        wait_s = backoff_s if asked_s is None else asked_s
        left_s = self._until - self._patience.now()
        if wait_s > left_s:
            raise Refused(f"{self.location} answered {status}; the next try is in {wait_s:.0f} s, which is too late")
        self._patience.sleep(wait_s)

    def _check_status(self, response: httpx.Response) -> None:
        status = _status(response)
        if response.status_code in (401, 403):
            advice = "the token or key was not accepted" if self._secrets.headers else self._secrets.hint
            raise Refused(f"{self.location} answered {status}: {advice}")
        # Not followed: the token or key is meant for this host.
        if response.is_redirect:
            raise Refused(f"{self.location} answered {status}: it has moved, give its new URL")
        if response.status_code != 200:
            raise Refused(f"{self.location} answered {status}{self._reason(response)}")

    def _reason(self, response: httpx.Response) -> str:
        """What `{"error": {"message"}}` says, if the answer begins with it and it does not repeat a secret."""
        try:
            said = json.loads(next(response.iter_bytes(), b""))["error"]["message"]
        except (ValueError, LookupError, TypeError, RecursionError):
            return ""
        text = " ".join(str(said).split())[:200]
        secrets = [value.split()[-1] for value in self._secrets.headers.values()]
        return f": {text}" if text.isprintable() and not any(secret in text for secret in secrets) else ""

    def _body(self, response: httpx.Response) -> bytes:
        value = bytearray()
        promised = response.headers.get("content-length", "")
        total = int(promised) if promised.isascii() and promised.isdigit() else None
        if total is not None:
            refuse_large(total, self._bytes_left, f"{self.location}, {total:,} bytes,")
        for chunk in response.iter_bytes():
            value += chunk
            self._progress(len(value), total)
            refuse_large(len(value), self._bytes_left, self.location)
            self._refuse_late()
        # An answer of no promised length ends where we hung up.
        self._refuse_late()
        self._bytes_left -= len(value)
        return bytes(value)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_busy(response: httpx.Response) -> bool:
    return response.status_code == 429 or response.status_code >= 500


def _status(response: httpx.Response) -> str:
    return f"{response.status_code} {response.reason_phrase}".strip()


def _retry_after_s(response: httpx.Response) -> float | None:
    """Seconds, or the time until a date by the server's own clock (RFC 9110, 10.2.3); None for anything else."""
    text = response.headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        until = parsedate_to_datetime(text)
        return max(0.0, (until - parsedate_to_datetime(response.headers.get("date", ""))).total_seconds())
    except (TypeError, ValueError):
        return None
