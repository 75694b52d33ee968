"""Fetching a document: from a file, and from a web server that may be anything."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from streams import limits
from streams.errors import Refused
from streams.fetching import Fetched, fetch
from streams.limits import Patience
from streams.settings import Settings

ANONYMOUS = Settings()
SECRETIVE = Settings(import_bearer_token=SecretStr("t0ken"), import_api_key=SecretStr("k3y"))


class _Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """The status that the path names; 200 for those who have both secrets, 401 for the others."""
        asked = self.path.split("?")[0].strip("/")
        known = self.headers["authorization"] == "Bearer t0ken" and self.headers["x-api-key"] == "k3y"
        status = int(asked) if asked.isdigit() else 200 if known or asked == "open" else 401
        self.send_response(status)
        self.send_header("location", "http://elsewhere.example/")
        if "long" in self.path:
            self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}" if status == 200 else b"t0ken k3y")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of that server."""
    running = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()


def test_a_file_is_read(tmp_path: Path) -> None:
    """Its place is the name, since the folder says more of the machine than of the sheet."""
    path = tmp_path / "sheet.json"
    path.write_bytes(b"{}")
    assert fetch(str(path), ANONYMOUS) == Fetched(b"{}", "sheet.json")


def test_both_secrets_are_sent(server: str) -> None:
    """And what is kept of the URL has none."""
    assert fetch(f"{server}/pricing?key=s3cret#part", SECRETIVE) == Fetched(b"{}", f"{server}/pricing")


@pytest.mark.parametrize(("path", "told"), [("open", (2, None)), ("open?long", (2, 2))])
def test_how_far_it_is_can_be_followed(server: str, path: str, told: tuple[int, int | None]) -> None:
    """In bytes, of as many as the server promises."""
    heard = []
    fetch(f"{server}/{path}", ANONYMOUS, progress=lambda done, total: heard.append((done, total)))
    assert heard == [told]


def test_no_secret_is_needed_where_none_is_asked_for(server: str) -> None:
    """A public document is fetched without."""
    assert fetch(f"{server}/open", ANONYMOUS).value == b"{}"


@pytest.mark.parametrize(
    ("path", "settings", "said"),
    [
        ("pricing", ANONYMOUS, "answered 401 Unauthorized: set STREAM_PRICING_IMPORT_BEARER_TOKEN or "),
        ("401", SECRETIVE, "answered 401 Unauthorized: the token or key was not accepted"),
        ("403", SECRETIVE, "answered 403 Forbidden: the token or key was not accepted"),
        ("404", ANONYMOUS, "answered 404 Not Found"),
        ("302", SECRETIVE, "answered 302 Found: it has moved, give its new URL"),
        ("204", ANONYMOUS, "answered 204 No Content"),
        ("503?key=s3cret", SECRETIVE, "/503 answered 503 Service Unavailable, 5 times in a row"),
    ],
)
def test_a_refusal_is_one_line_without_secrets(server: str, path: str, settings: Settings, said: str) -> None:
    """It names the place and what was answered."""
    with pytest.raises(Refused) as refused:
        fetch(f"{server}/{path}", settings, patience=Patience(sleep=lambda seconds: None))
    message = str(refused.value)
    assert said in message
    assert server in message
    assert not any(secret in message for secret in ("t0ken", "k3y", "s3cret", "\n"))


@pytest.mark.parametrize(
    ("place", "settings", "said"),
    [
        ("http://prices.example/v1", SECRETIVE, "a token or key is sent over https only"),
        ("http://127.0.0.1.example/v1", SECRETIVE, "a token or key is sent over https only"),
        ("https://me:s3cret@prices.example/v1", ANONYMOUS, "no user and password in the URL"),
        ("http://127.0.0.1:1/", SECRETIVE, "http://127.0.0.1:1/ cannot be fetched: "),
        ("http://[::1/", ANONYMOUS, "the URL cannot be used"),
        ("/no/such/file", ANONYMOUS, "/no/such/file cannot be read: No such file or directory"),
        ("/tmp", ANONYMOUS, "/tmp cannot be read: Is a directory"),
        ("https://a.example/", Settings(import_api_key=SecretStr("k3\ny")), "import_api_key is empty or has"),
        ("https://a.example/", Settings(import_api_key=SecretStr(" k3y")), "import_api_key is empty or has"),
        (
            "https://a.example/",
            Settings(import_bearer_token=SecretStr("k3y\u00e9")),
            "import_bearer_token is ",
        ),
    ],
)
def test_what_cannot_be_fetched_is_one_line_without_secrets(place: str, settings: Settings, said: str) -> None:
    """Nothing is sent where a secret would be seen by others."""
    with pytest.raises(Refused) as refused:
        fetch(place, settings)
    assert said in str(refused.value)
    assert not any(secret in str(refused.value) for secret in ("t0ken", "k3", "s3cret"))


def test_what_is_too_large_or_too_slow_is_not_read_on(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bounds hold for files and answers."""
    path = tmp_path / "sheet.json"
    path.write_bytes(b"[1]")
    monkeypatch.setattr(limits, "SIZE_BYTES_MAX", 1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_bytes, args=[b"[1]"]).start()
    for place, size in (
        (str(path), ", 3 bytes,"),
        (str(pipe), ""),
        (f"{server}/open?long", ", 2 bytes,"),
        (f"{server}/open", ""),
    ):
        with pytest.raises(Refused) as refused:
            fetch(place, ANONYMOUS)
        assert str(refused.value) == f"{place.partition('?')[0]}{size} has more than 0 MiB"
    monkeypatch.setattr(limits, "SIZE_BYTES_MAX", 100)
    with pytest.raises(Refused, match="took longer than -1 s"):
        fetch(f"{server}/open", ANONYMOUS, patience=Patience(total_s=-1))


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (HEAD, b"x"),
        (HEAD + b"content-length: 1000\r\n\r\n", b" "),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (HEAD + b"\r\n{}", b" "),
        (HEAD + b"\r\n{}", b""),
    ],
    ids=["headers", "body", "chunks", "a body of no length", "a body of no length and no end"],
)
def test_who_drips_is_not_read_for_ever(first: bytes, then: bytes) -> None:
    """Each byte comes before the silence is too long, and all of them take too long; half a body is none."""

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(first)
            until = time.monotonic() + 3
            while time.monotonic() < until:
                try:
                    connection.sendall(then)
                except OSError:
                    return
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=drip, args=[listening], daemon=True).start()
        port = listening.getsockname()[1]
        started = time.monotonic()
        with pytest.raises(Refused, match=r"/ took longer than 0\.3 s$"):
            fetch(f"http://127.0.0.1:{port}/", ANONYMOUS, patience=Patience(silence_s=10, total_s=0.3))
        assert time.monotonic() - started < 2
