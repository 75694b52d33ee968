"""Fetching fal's prices from a server like fal's, which is busy, slow, endless or wrong in all its ways."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from pricing.importers import ImportOptions, read_any
from streams import fetching_fal, limits
from streams.cli import main
from streams.errors import Refused
from streams.fetching import Fetched, fetch
from streams.limits import Patience
from streams.settings import Settings

ANONYMOUS = Settings()
SECRETIVE = Settings(
    import_fal_key=SecretStr("f4l-k3y"), import_bearer_token=SecretStr("t0ken"), import_api_key=SecretStr("s3cret")
)


@dataclass
class Answer:
    """What the server says: JSON or bytes."""

    status: int = 200
    body: object = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    """What it was asked for."""

    endpoints: list[str]
    cursor: str | None
    headers: Mapping[str, str]


Script = Callable[[int, Asked], Answer]


@dataclass
class Fal:
    """A running server: `answers` gets the number of the request, from 0 on, and what it asks for."""

    url: str = ""
    answers: Script = lambda number, asked: Answer(body=page(*asked.endpoints))
    asked: list[Asked] = field(default_factory=list)


@dataclass
class Clock:
    """A clock that only sleeping moves, which takes no time."""

    at: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds

    def patience(self, **changed: Any) -> Patience:
        return Patience(now=lambda: self.at, sleep=self.sleep, jitter=lambda: 0.5, **changed)


def page(*endpoints: str, cursor: str | None = None) -> dict[str, object]:
    """A page with a price for each endpoint."""
    found = [{"endpoint_id": id_, "unit_price": 0.025, "unit": "image", "currency": "USD"} for id_ in endpoints]
    return {"prices": found, "next_cursor": cursor, "has_more": cursor is not None}


@pytest.fixture
def fal() -> Iterator[Fal]:
    """The server, on a free port."""
    state = Fal()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            asked = Asked(query.get("endpoint_id", []), *query.get("cursor", [None]), dict(self.headers.items()))
            state.asked.append(asked)
            answer = state.answers(len(state.asked) - 1, asked)
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of clients that went away, as some tests do."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1/models/pricing"
    yield state
    server.shutdown()


def fetched(fal: Fal, *endpoints: str, settings: Settings = SECRETIVE, clock: Clock | None = None) -> Fetched:
    return fetch(fal.url, settings, "fal", endpoints, (clock or Clock()).patience())


def refusal(fal: Fal, *endpoints: str, settings: Settings = SECRETIVE, clock: Clock | None = None) -> str:
    """The one line with which the fetching ends, without the server's address."""
    with pytest.raises(Refused) as refused:
        fetched(fal, *endpoints, settings=settings, clock=clock)
    message = str(refused.value)
    assert not any(secret in message for secret in ("f4l-k3y", "t0ken", "s3cret", "\n"))
    assert message.startswith(fal.url)
    return message.removeprefix(fal.url).strip()


def test_fal_s_key_is_sent_and_no_other_secret(fal: Fal) -> None:
    """The other ones are another provider's."""
    value, location = fetched(fal, "fal-ai/flux/dev")
    assert json.loads(value) == {"asked": ["fal-ai/flux/dev"], **page("fal-ai/flux/dev")}
    assert location == fal.url
    (asked,) = fal.asked
    sent = {name.lower(): text for name, text in asked.headers.items()}
    assert sent["authorization"] == "Key f4l-k3y"
    assert "x-api-key" not in sent


def test_how_far_it_is_can_be_followed(fal: Fal) -> None:
    """In endpoints of those asked for."""
    heard = []
    ids = [f"a/{number}" for number in range(60)]
    fetch(fal.url, SECRETIVE, "fal", ids, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(50, 60), (60, 60)]


def test_the_key_is_not_sent_for_other_formats(fal: Fal) -> None:
    """It is for fal alone."""
    fetch(fal.url, Settings(import_fal_key=SecretStr("f4l-k3y")), "aitronos")
    assert "authorization" not in {name.lower() for name in fal.asked[0].headers}


def test_50_endpoints_are_asked_for_at_a_time(fal: Fal) -> None:
    """Each once, in the order given, and all of their prices are in one document."""
    ids = [f"e/{number}" for number in range(120)]
    value, _ = fetched(fal, *ids, ids[7])
    assert [len(asked.endpoints) for asked in fal.asked] == [50, 50, 20]
    assert [id_ for asked in fal.asked for id_ in asked.endpoints] == ids
    assert json.loads(value) == {"asked": ids, **page(*ids)}


def test_endpoints_come_from_options_files_and_the_url(fal: Fal, tmp_path: Path) -> None:
    """The URL may have them as the API has it, either way."""
    file = tmp_path / "ids.txt"
    file.write_text("c\n\nd\n")
    fal.url += "?endpoint_id=a,b&endpoint_id=e&cursor=7&expand=x"
    fetch(fal.url, ANONYMOUS, "fal", (f"@{file}", "a"), Clock().patience())
    (asked,) = fal.asked
    assert (asked.endpoints, asked.cursor) == (["a", "b", "e", "c", "d"], None)


def test_without_endpoints_the_api_is_asked_all_the_same(fal: Fal) -> None:
    """Whether it answers is its own decision."""
    fal.answers = lambda number, asked: Answer(body=page("x"))
    assert json.loads(fetched(fal).value)["asked"] == []
    assert [asked.endpoints for asked in fal.asked] == [[]]


def test_every_page_is_fetched(fal: Fal) -> None:
    """With the cursor of the page before, and the same endpoints."""
    following = {None: "Mg ==", "Mg ==": "Mw&x=1", "Mw&x=1": None}
    fal.answers = lambda number, asked: Answer(body=page(asked.endpoints[number], cursor=following[asked.cursor]))
    value, _ = fetched(fal, "a", "b", "c")
    assert [asked.cursor for asked in fal.asked] == [None, "Mg ==", "Mw&x=1"]
    assert {tuple(asked.endpoints) for asked in fal.asked} == {("a", "b", "c")}
    assert json.loads(value) == {"asked": ["a", "b", "c"], **page("a", "b", "c")}


def test_prices_keep_every_digit(fal: Fal) -> None:
    """No number is read and written again on the way, as a float would be."""
    price = b'{"endpoint_id": "a", "unit_price": 1.23456789012345678901E-4, "unit": "image", "currency": "USD"}'
    fal.answers = lambda number, asked: Answer(body=b'{"prices": [' + price + b'], "has_more": false}')
    value, location = fetched(fal, "a")
    assert price in value
    sheet = read_any(value, "fal", ImportOptions("fal", "1", 0, location=location)).sheet
    assert sheet is not None
    assert sheet.source is not None
    assert sheet.models[0].units == {"image": Decimal("0.000123456789012345678901")}
    assert (sheet.source.sha256, sheet.source.location) == (sha256(value).hexdigest(), fal.url)


def test_the_same_answers_give_the_same_bytes(fal: Fal) -> None:
    """And so the same sha256 in the sheet."""
    assert fetched(fal, "a", "b") == fetched(fal, "a", "b")


def test_a_busy_server_is_asked_again(fal: Fal) -> None:
    """After what it says, in seconds or as a date, or else after a time that doubles."""
    said = [
        Answer(429, headers={"retry-after": "7"}),
        Answer(500),
        Answer(503, headers={"date": "Sun, 22 Nov 2026 10:00:00 GMT", "retry-after": "Sun, 22 Nov 2026 10:00:30 GMT"}),
        Answer(502, headers={"retry-after": "soon"}),
        Answer(body=page("a")),
    ]
    fal.answers = lambda number, asked: said[number]
    clock = Clock()
    assert json.loads(fetched(fal, "a", clock=clock).value)["prices"] == page("a")["prices"]
    assert clock.slept == [7, 2.0, 30.0, 8.0]


def test_the_time_between_tries_varies(fal: Fal) -> None:
    """By half of it in both directions, so that clients do not come back together."""
    slept = []
    for jitter in (0.0, 0.999):
        fal.answers = lambda number, asked: Answer(500)
        clock = Clock()
        with pytest.raises(Refused):
            fetch(fal.url, ANONYMOUS, "fal", ("a",), Patience(tries=2, sleep=clock.sleep, jitter=lambda j=jitter: j))
        slept += clock.slept
    assert slept == [0.5, 1.499]


def error(kind: str, message: str) -> dict[str, object]:
    """The API's form of an error."""
    return {"error": {"type": kind, "message": message}}


@pytest.mark.parametrize(
    ("answer", "said", "requests"),
    [
        (Answer(500), "answered 500 Internal Server Error, 5 times in a row", 5),
        (Answer(429), "answered 429 Too Many Requests, 5 times in a row", 5),
        (
            Answer(429, headers={"retry-after": "3600"}),
            "answered 429 Too Many Requests; the next try is in 3600 s, which is too late",
            1,
        ),
        (
            Answer(429, headers={"retry-after": "90"}),
            "answered 429 Too Many Requests; the next try is in 90 s, which is too late",
            4,
        ),
        (Answer(401, error("authorization_error", "Authentication required")),
         "answered 401 Unauthorized: the token or key was not accepted", 1),
        (Answer(403), "answered 403 Forbidden: the token or key was not accepted", 1),
        (Answer(404), "answered 404 Not Found", 1),
        (Answer(404, error("not_found", "Model\n x/y  not found")),
         "answered 404 Not Found: Model x/y not found", 1),
        (Answer(404, error("not_found", "unknown key f4l-k3y")), "answered 404 Not Found", 1),
        (Answer(404, error("not_found", "\x1b[2J")), "answered 404 Not Found", 1),
        (Answer(404, b"[" * 100_000), "answered 404 Not Found", 1),
        (Answer(400, error("validation_error", "endpoint_id is required")),
         "answered 400 Bad Request: endpoint_id is required", 1),
        (Answer(302, headers={"location": "http://elsewhere.example/"}),
         "answered 302 Found: it has moved, give its new URL", 1),
        (Answer(body=b"<html>"), "answered with what is no page of prices: JSON is malformed: invalid character "
         "(byte 0)", 1),
        (Answer(body=b'{"prices": {}}'),
         "answered with what is no page of prices: Expected `array`, got `object` - at `$.prices`", 1),
        (Answer(body=b'{"prices": [], "has_more": true}'), "says that there is more, and not where", 1),
        (Answer(body=page("a", cursor="Mg")),
         "has pages without end: a cursor came twice, or over 1,000 did", 2),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line_without_secrets(fal: Fal, answer: Answer, said: str, requests: int) -> None:
    """It says what was answered, and no more requests are made than can help."""
    fal.answers = lambda number, asked: answer
    assert refusal(fal, "a") == said
    assert len(fal.asked) == requests


def test_without_a_key_it_says_how_to_set_one(fal: Fal) -> None:
    """In the name of the setting."""
    fal.answers = lambda number, asked: Answer(401)
    assert refusal(fal, "a", settings=ANONYMOUS) == "answered 401 Unauthorized: set STREAM_PRICING_IMPORT_FAL_KEY"


def test_new_cursors_without_end_are_not_followed(fal: Fal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that always has one more page is left."""
    monkeypatch.setattr(fetching_fal, "REQUESTS_MAX", 3)
    fal.answers = lambda number, asked: Answer(body=page("a", cursor=str(number)))
    assert refusal(fal, "a").startswith("has pages without end")
    assert len(fal.asked) == 4


def test_all_pages_together_have_one_limit_of_size(fal: Fal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sheet may not have more anyway."""
    monkeypatch.setattr(limits, "SIZE_BYTES_MAX", 2 * len(json.dumps(page("a", cursor="0"))) + 1)
    fal.answers = lambda number, asked: Answer(body=page("a", cursor=str(number)))
    assert refusal(fal, "a") == "has more than 0 MiB"
    assert len(fal.asked) == 3


def test_all_requests_together_have_one_limit_of_time(fal: Fal) -> None:
    """However many there are."""
    clock = Clock()

    def answers(number: int, asked: Asked) -> Answer:
        clock.at += 120
        return Answer(body=page("a", cursor=str(number)))

    fal.answers = answers
    assert refusal(fal, "a", clock=clock) == "took longer than 300 s"
    assert len(fal.asked) == 3


def test_a_silent_server_is_left(fal: Fal) -> None:
    """The connection stands, and nothing comes."""
    answered = threading.Event()

    def answers(number: int, asked: Asked) -> Answer:
        answered.wait(5)
        return Answer()

    fal.answers = answers
    began = time.monotonic()
    with pytest.raises(Refused, match="did not answer in time"):
        fetch(fal.url, SECRETIVE, "fal", ("a",), Patience(silence_s=0.05))
    answered.set()
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    ("place", "form", "endpoints", "said"),
    [
        ("http://api.fal.ai/v1/models/pricing", "fal", (), "a token or key is sent over https only"),
        ("http://api.fal.ai/v1/models/pricing", None, (), "a token or key is sent over https only"),
        ("https://me:s3cret@api.fal.ai/", "fal", (), "no user and password in the URL"),
        ("https://api.fal.ai/", "fal", ("@/no/such",), "/no/such cannot be read: No such file or directory"),
        ("https://api.fal.ai/", "aitronos", ("a",), "endpoints are asked for at a URL of format fal only"),
        ("prices.json", "fal", ("a",), "endpoints are asked for at a URL of format fal only"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(
    place: str, form: str | None, endpoints: tuple[str, ...], said: str
) -> None:
    """And nothing is sent."""
    settings = Settings(import_fal_key=SecretStr("f4l-k3y"))
    with pytest.raises(Refused, match=said) as refused:
        fetch(place, settings, form, endpoints)
    assert "s3cret" not in str(refused.value)


def test_a_file_of_ids_has_to_be_text(tmp_path: Path) -> None:
    """Its name is in the message."""
    file = tmp_path / "ids"
    file.write_bytes(b"\xff")
    with pytest.raises(Refused, match=f"{file} is not UTF-8 text"):
        fetch("https://api.fal.ai/", ANONYMOUS, "fal", (f"@{file}",))


def test_sheets_import_asks_for_endpoints_and_prints_the_sheet(fal: Fal) -> None:
    """The command line, from the key to the sheet."""
    named = ["--format", "fal", "--id", "fal", "--version", "1", "--effective-from", "2026-11-01T00:00:00Z"]
    found = CliRunner().invoke(
        main,
        ["sheets", "import", *named, "--endpoint", "a/b", "--endpoint", "c", fal.url],
        env={"STREAM_PRICING_IMPORT_FAL_KEY": "f4l-k3y"},
    )
    assert found.exit_code == 0, found.output
    sheet = json.loads(found.stdout)
    assert [(model["key"], model["units"]) for model in sheet["models"]] == [
        ("a/b", {"image": "0.025"}),
        ("c", {"image": "0.025"}),
    ]
    assert sheet["source"]["location"] == fal.url


@pytest.mark.parametrize(
    "command",
    [
        ["sheets", "check", "--format", "fal", "URL"],
        ["price", "--format", "fal", "--sheet", "URL", "-"],
    ],
    ids=" ".join,
)
def test_every_command_with_a_format_asks_as_fal_wants_it(fal: Fal, command: list[str]) -> None:
    """With its key, for the endpoints in the URL."""
    args = [f"{fal.url}?endpoint_id=a" if arg == "URL" else arg for arg in command]
    found = CliRunner().invoke(main, args, env={"STREAM_PRICING_IMPORT_FAL_KEY": "f4l-k3y"}, input="{}")
    assert found.exit_code == 0, found.output
    (asked,) = fal.asked
    assert asked.endpoints == ["a"]
    assert "Key f4l-k3y" in asked.headers.values()
