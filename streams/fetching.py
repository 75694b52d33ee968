"""Fetches a foreign document from a file or over HTTP(S): its bytes, and its origin without secrets."""

import ipaddress
import time
from pathlib import Path
from typing import NamedTuple

import httpx
from pydantic import SecretStr

from streams.errors import Refused
from streams.settings import Settings

SIZE_BYTES_MAX = 16 * 1024 * 1024
ANSWER_S = 60.0

_TIMEOUT = httpx.Timeout(20.0, connect=10.0)
_HINT = "set STREAM_PRICING_IMPORT_BEARER_TOKEN or STREAM_PRICING_IMPORT_API_KEY"


class Fetched(NamedTuple):
    """What was read, and the path or the URL without user, query and fragment."""

    value: bytes
    location: str


def fetch(place: str, settings: Settings) -> Fetched:
    """The document at a path or an http(s) URL. Raises Refused with one line, in which no secret shows."""
    if place.lower().startswith(("http://", "https://")):
        return _fetch_url(place, settings)
    path = Path(place)
    try:
        with path.open("rb") as file:
            value = file.read(SIZE_BYTES_MAX + 1)
    except OSError as error:
        raise Refused(f"{place} cannot be read: {error.strerror}") from None
    _refuse_large(value, place)
    # A name may have bytes that are no text, which JSON cannot carry.
    return Fetched(value, path.name.encode(errors="replace").decode())


def _fetch_url(place: str, settings: Settings) -> Fetched:
    try:
        url = httpx.URL(place)
    except httpx.InvalidURL as error:
        raise Refused(f"the URL cannot be used: {error}") from None
    location = str(url.copy_with(userinfo=b"", query=None, fragment=None))
    if url.userinfo:
        raise Refused(f"{location}: no user and password in the URL; {_HINT}")
    headers = _secret_headers(settings)
    loopback = _is_loopback(url.host)
    if headers and url.scheme != "https" and not loopback:
        raise Refused(f"{location}: a token or key is sent over https only, and none is needed otherwise")
    try:
        # A proxy for the machine itself would only see the secret.
        with (
            httpx.Client(timeout=_TIMEOUT, trust_env=not loopback, headers=headers) as client,
            client.stream("GET", url, headers={"accept-encoding": "identity"}) as response,
        ):
            _check_status(response, location, authenticated=bool(headers))
            return Fetched(_body(response, location), location)
    except httpx.TimeoutException:
        raise Refused(f"{location} did not answer in time") from None
    except httpx.HTTPError as error:
        raise Refused(f"{location} cannot be fetched: {error}") from None


def _secret_headers(settings: Settings) -> dict[str, str]:
    given = {
        "authorization": ("import_bearer_token", "Bearer ", settings.import_bearer_token),
        "x-api-key": ("import_api_key", "", settings.import_api_key),
    }
    return {
        header: before + _printable(name, secret)
        for header, (name, before, secret) in given.items()
        if secret is not None
    }


def _printable(name: str, secret: SecretStr) -> str:
    text = secret.get_secret_value()
    # httpx would say so too, with the secret in its message.
    if not (text and text.isascii() and text.isprintable()):
        raise Refused(f"{name} is empty or has characters that an HTTP header cannot carry")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_status(response: httpx.Response, location: str, *, authenticated: bool) -> None:
    status = f"{response.status_code} {response.reason_phrase}".strip()
    if response.status_code in (401, 403):
        advice = "the token or key was not accepted" if authenticated else _HINT
        raise Refused(f"{location} answered {status}: {advice}")
    # Not followed: the token or key is meant for this host.
    if response.is_redirect:
        raise Refused(f"{location} answered {status}: it has moved, give its new URL")
    if response.status_code != 200:
        raise Refused(f"{location} answered {status}")


def _body(response: httpx.Response, location: str) -> bytes:
    until = time.monotonic() + ANSWER_S
    value = bytearray()
    for chunk in response.iter_bytes():
        value += chunk
        _refuse_large(value, location)
        if time.monotonic() > until:
            raise Refused(f"{location} took longer than {ANSWER_S:g} s")
    return bytes(value)


def _refuse_large(value: bytes | bytearray, place: str) -> None:
    if len(value) > SIZE_BYTES_MAX:
        raise Refused(f"{place} has more than {SIZE_BYTES_MAX // 1024 // 1024} MiB")
