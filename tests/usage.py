"""Usage to price: one-line events for tables, and seeded streams of everything that producers send.

    usage("acme ftg-3.0-pro in=1000 cached=200 out=50")        # an event, as a dict
    encode(event), encode_binary(event)                        # (value, headers) in two of the three modes
    stream(seed=7, n=500)                                      # list[RawRecord], the same for the same seed

A stream holds only what the contract decides: a case with two readings (an omitted default in a duplicate, a
`-0`) is left out. Its books are in `usage_samples` (`sample_oracle(now_ms)`), its dead letters in
`usage_hostile`. Events lie up to 34 days before `now_ms`, append times within seconds after it: on a real
broker pass the clock.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from tests import usage_bodies
from tests.oracle import Record, partition_of, plain
from tests.usage_hostile import Headers, Hostile, hostile_rows
from tests.usage_samples import (
    CURED_DIRECT,
    CURED_MODEL,
    DIRECT,
    MODELS,
    ORGANIZATIONS,
    Literal,
    dumps,
    sample_oracle,
    sample_sheet,
    source_sheet,
)

__all__ = [
    "Literal",
    "RawRecord",
    "as_records",
    "dumps",
    "encode",
    "encode_binary",
    "hostile_rows",
    "sample_oracle",
    "sample_sheet",
    "source_sheet",
    "stream",
    "usage",
]

NOW_MS = 1_795_341_600_000  # 2026-11-22T10:00:00Z
DAY_MS = 86_400_000
STRUCTURED = ("content-type", b"application/cloudevents+json")


@dataclass(frozen=True)
class RawRecord:
    """A record to produce to the raw topic; `timestamp_ms` is the append time on a simulated broker."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None


def as_records(raw: list[RawRecord], topic: str = "usage.raw.v1") -> list[Record]:
    """The same as read back from a broker: each partition's offsets count from 0."""
    offsets: dict[int, int] = {}
    records = []
    for one in raw:
        offset = offsets[one.partition] = offsets.get(one.partition, -1) + 1
        append_ms = NOW_MS if one.timestamp_ms is None else one.timestamp_ms
        records.append(Record(topic, one.partition, offset, append_ms, one.key, one.value, one.headers))
    return records


# --- one-line events

KINDS = {"in": "input", "cached": "cache_read", "created": "cache_creation", "out": "output"}
ENVELOPE_WORDS = ("id", "source")
DATA_WORDS = ("project", "provider", "region", "user", "api_key_id", "service_tier", "priority")
DATA_WORDS += ("not_billable_because",)
CODE_WORDS = {"cpu": "cpu_seconds", "mb": "memory_mb", "wall": "wall_seconds"}


def usage(line: str) -> dict[str, Any]:
    """The event of a line `ORGANIZATION WHAT [WORD=VALUE …]`; the same line is the same event, id and all.

    WHAT: a model (`ftg-3.0-pro in=1000 cached=200 created=5 out=50 reasoning=7 seconds=1.5`),
    `image:OPERATION` (`count=2 model=M`), `code` (`cpu=5.5 mb=512 wall=10`), `connector:NAME/TOOL`
    (`executions=3`), `terminal` (`egress_bytes=1`), `units:ENDPOINT` (`image=2 second=5.5`) or
    `response:SURFACE` (`body={"model":"m","usage":…} model=M`). Any WHAT: `project= provider= region= user=
    api_key_id= service_tier= priority= not_billable_because= billable=no at=TIME id= source=`. Without
    them: project `p1`, 2026-11-22T10:00:00Z.
    """
    organization, what, *rest = line.split()
    words = dict(word.split("=", 1) for word in rest)
    at = words.pop("at", "2026-11-22T10:00:00Z")
    names = {name: words.pop(name) for name in ENVELOPE_WORDS if name in words}
    data: dict[str, Any] = {"organization": organization, "project": words.pop("project", "p1")}
    data |= {name: words.pop(name) for name in DATA_WORDS if name in words}
    data |= {"billable": words.pop("billable") == "yes"} if "billable" in words else {}
    type_, fields = _fields(what, words)
    digest = blake2b(line.encode(), digest_size=8).hexdigest()
    envelope = {
        "specversion": "1.0",
        "id": f"evt-{digest}",
        "source": "gateway/eu-1",
        "type": f"ai.usage.{type_}.v1",
    }
    return envelope | names | {"time": at, "subject": data["project"], "data": data | fields}


def _fields(what: str, words: dict[str, str]) -> tuple[str, dict[str, Any]]:
    kind, _, name = what.partition(":")
    if kind == "image":
        count = {"count": int(words.pop("count"))} if "count" in words else {}
        return "image", {"operation": name, **count, **words}
    if kind == "code":
        return "code_execution", {CODE_WORDS[word]: value for word, value in words.items()}
    if kind == "connector":
        connector, tool = name.split("/")
        fields = {"connector": connector, "tool": tool}
        return "connector_tool", fields | {word: int(value) for word, value in words.items()}
    if kind == "terminal":
        return "terminal", {"dimensions": words}
    if kind == "units" and name:
        return "units", {"endpoint": name, "units": words}
    if kind == "response":
        body = json.loads(words.pop("body"), parse_float=Literal)
        return "response", {"surface": name, **words, "response": body}
    seconds = {"seconds": words.pop("seconds")} if "seconds" in words else {}
    tokens = {KINDS.get(word, word): int(value) for word, value in words.items()}
    return "model", {"model": what} | ({"tokens": tokens} if tokens else {}) | seconds


def encode(event: dict[str, Any], headers: Headers = (STRUCTURED,)) -> tuple[bytes, Headers]:
    """(value, headers) in structured mode; without headers it is the bare envelope."""
    return dumps(event).encode(), headers


def encode_binary(event: dict[str, Any]) -> tuple[bytes, Headers]:
    """(value, headers) in binary mode: the data as value, the attributes as headers."""
    attributes = tuple((f"ce_{name}", text.encode()) for name, text in event.items() if name != "data")
    return dumps(event["data"]).encode(), (("content-type", b"application/json"), *attributes)


# --- streams


def stream(seed: int, n: int, *, partitions: int = 4, now_ms: int = NOW_MS, hostile: bool = True) -> list[RawRecord]:
    """`n` records in append order: events of all types, doubles, conflicts, misrouted, late and hostile."""
    maker = _Maker(random.Random(seed), seed, now_ms)
    records = []
    for number in range(n):
        organization, (value, headers) = maker.next_value(number, hostile)
        partition, key = maker.route(organization, partitions)
        records.append(RawRecord(partition, key, value, headers, now_ms + number * 7))
    return records


class _Maker:
    """The dice of one stream, and the events that it may repeat."""

    def __init__(self, rng: random.Random, seed: int, now_ms: int) -> None:
        self.rng, self.seed, self.now_ms = rng, seed, now_ms
        self.sent: list[dict[str, Any]] = []

    def next_value(self, number: int, hostile: bool) -> tuple[str, tuple[bytes | None, Headers]]:
        rng, dice = self.rng, self.rng.random()
        if hostile and dice < 0.08:
            return rng.choice(ORGANIZATIONS), self._hostile(number)
        if hostile and dice < 0.10:
            event = self._event(number) | {"time": rng.choice([self._time(-3600_000), self._time(36 * DAY_MS)])}
        elif self.sent and dice < 0.20:
            event = self._respelled(rng.choice(self.sent))
        elif self.sent and dice < 0.24:
            event = self._conflicting(rng.choice(self.sent))
        else:
            event = self._event(number)
            self.sent.append(event)
        return event["data"]["organization"], self._encoded(event)

    def route(self, organization: str, partitions: int) -> tuple[int, bytes | None]:
        """Mostly right; else without a key, or with another one, anywhere."""
        if self.rng.random() < 0.88:
            return partition_of(organization, partitions), organization.encode()
        key = self.rng.choice([None, b"", b"wrong", "schlüssel".encode(), b"\xff\x00", organization.encode()])
        return self.rng.randrange(partitions), key

    # events

    def _hostile(self, number: int) -> tuple[bytes | None, Headers]:
        """A row of the table, at the present time: it must fail by what it is about, not by its age."""
        organization, then = self.rng.choice(ORGANIZATIONS), b"2026-11-22T10:00:00Z"
        row, now = self.rng.choice(_hostile_rows(organization)), self._time(0).encode()
        id_ = f"bad-{self.seed}-{number}".encode()

        def present(text: bytes) -> bytes:
            return text.replace(then, now).replace(b"bad-id", id_)

        return row.value and present(row.value), tuple((name, present(text)) for name, text in row.headers)

    def _event(self, number: int) -> dict[str, Any]:
        rng = self.rng
        organization = rng.choice(ORGANIZATIONS)
        type_, fields = rng.choices(
            [self._model, self._image, self._code, self._connector, self._terminal, self._units, self._response],
            [45, 8, 7, 7, 7, 10, 16],
        )[0]()
        data = {"organization": organization, "project": rng.choice(["p1", "proj_7", "P.x:@~-9"])}
        data |= self._common() | fields
        id_ = f"{self.seed}-{number}" + rng.choice(["", "", "-é", '-"q"\\', "-日本", "-\U0001f600"])
        source = rng.choice(["gateway/eu-1", "gateway/us-1", "/a/ü", 'say "hi" \\ bye', "urn:x:<&>"])
        event = {"specversion": "1.0", "id": id_, "source": source, "type": f"ai.usage.{type_}.v1"}
        event |= {"time": self._time(self._age_ms())}
        event |= {"subject": data["project"]} if rng.random() < 0.7 else {}
        event |= {"region": "ext", "partitionkey": "ä"} if rng.random() < 0.1 else {}
        return event | {"data": data}

    def _common(self) -> dict[str, Any]:
        rng, data = self.rng, {}
        choices: dict[str, list[Any]] = {
            "provider": ["aitronos", "acme", "openai"],
            "region": ["eu-1", "ÜS"],
            "user": ["u1", 'O"Brien\\', "名前", "a" * 256, "\u2028x", "é" * 128],
            "api_key_id": ["key_1"],
            "service_tier": ["priority", "batch"],
            "labels": [{"team": "core", "ünï": 'q"\\'}, {f"l{i}": "x" * 128 for i in range(16)}],
            "provider_cost": [{"amount": self._quantity(), "currency": rng.choice(["USD", "EUR"])}],
        }
        for name, values in choices.items():
            if rng.random() < 0.15:
                data[name] = rng.choice(values)
        if rng.random() < 0.12:
            data |= {"billable": False, "not_billable_because": rng.choice(["failover_retry", "own_word"])}
        elif rng.random() < 0.05:
            data["billable"] = True
        return data

    def _model(self) -> tuple[str, dict[str, Any]]:
        rng = self.rng
        direct = [name for model in DIRECT for name in (model["key"], *model.get("aliases", ()))]
        keys = ["ftg-3.0-pro"] * 9 + [*MODELS, *direct, "mdl_ftg30pro", "mdl_mini", CURED_MODEL, "ghost-9"]
        kinds = rng.sample(["input", "cache_read", "cache_creation", "output"], rng.randint(1, 4))
        kinds += ["reasoning"] if rng.random() < 0.04 else []
        tokens = {kind: self._count() for kind in kinds}
        known = keys if any(tokens.values()) else ["ftg-3.0-pro"]
        fields: dict[str, Any] = {"model": rng.choice(known), "tokens": tokens}
        fields |= {"seconds": self._quantity()} if rng.random() < 0.06 else {}
        if any(tokens.values()) and rng.random() < 0.4:
            fields["priority"] = rng.choice(["low", "default", "high"] * 5 + ["turbo", "never"])
        return "model", fields

    def _image(self) -> tuple[str, dict[str, Any]]:
        rng = self.rng
        known = ["ftg-3.0-pro", "mdl_ftg30pro", "ftg-3.0-mini", "ftg-3.0-euro", "ftg-embed", "ftg-free"]
        fields: dict[str, Any] = {"operation": rng.choice(["generate", "remove-background"] * 4 + ["upscale", "bend"])}
        if rng.random() < 0.6:
            fields["model"] = rng.choice(known)
        if rng.random() < 0.5:
            fields["count"] = rng.choice([1, 2, 5, 10**15])
        if rng.random() < 0.3:
            fields["priority"] = rng.choice(["low", "default", "high", "turbo"])
        if rng.random() < 0.05:
            fields = {"operation": "generate", "model": "ftg-3.0-pro", "count": 0}
        return "image", fields

    def _code(self) -> tuple[str, dict[str, Any]]:
        names = ("cpu_seconds", "memory_mb", "wall_seconds")
        if self.rng.random() < 0.4:
            return "code_execution", dict(zip(names, ("5.5", 512, Literal("10")), strict=True))
        return "code_execution", {name: self._quantity() for name in names}

    def _connector(self) -> tuple[str, dict[str, Any]]:
        fields: dict[str, Any] = {"connector": self.rng.choice(["github", "Ü drive"]), "tool": "search"}
        return "connector_tool", fields | ({"executions": self._count()} if self.rng.random() < 0.6 else {})

    def _terminal(self) -> tuple[str, dict[str, Any]]:
        rng = self.rng
        names = rng.sample(["cpu_seconds", "ram_gb_seconds", "storage_gb_days", "egress_bytes"], rng.randint(1, 4))
        names += ["gpu_seconds"] if rng.random() < 0.08 else []
        return "terminal", {"dimensions": {name: self._quantity() for name in names}}

    def _units(self) -> tuple[str, dict[str, Any]]:
        rng = self.rng
        endpoint = rng.choice(["fal-ai/video", "video", "video", "gpt-4o-latest", CURED_DIRECT["key"], "ftg-free"])
        names = rng.sample(["second", "image", "image/hd/1024x1024", "request"], rng.randint(1, 3))
        names = names if "video" in endpoint else ["web_search", *(["image"] if rng.random() < 0.2 else [])]
        return "units", {"endpoint": endpoint, "units": {name: self._quantity() for name in names}}

    def _response(self) -> tuple[str, dict[str, Any]]:
        return "response", usage_bodies.response(self.rng, lambda: min(self._count(), 10**14))

    # numbers and times

    def _count(self) -> int:
        rng = self.rng
        few = [0, 1, 345, 1234, 10**15]
        return rng.choices([rng.choice(few), rng.randint(0, 5000), rng.randint(0, 10**15)], [30, 60, 10])[0]

    def _quantity(self) -> Any:
        rng = self.rng
        digits = rng.choice([0, 0, 1, 2, 6, 18])
        whole = rng.choice([0, 0, 3, rng.randint(0, 5000), rng.randint(0, 10**15 - 1)])
        return self._spelled(Fraction(whole) + Fraction(rng.randrange(10**digits), 10**digits))

    def _spelled(self, quantity: Fraction) -> Any:
        text = plain(quantity)
        forms: list[Any] = [text, Literal(text)]
        fraction_digits = len(text.partition(".")[2])
        if 0 < fraction_digits <= 16:
            forms += [text + "00", Literal(text + "0")]
        if quantity:
            scaled = plain(quantity * 10**fraction_digits)
            forms += [Literal(f"{scaled}e-{fraction_digits}"), Literal(f"{scaled}E-0{fraction_digits}")]
        return self.rng.choice(forms)

    def _age_ms(self) -> int:
        rng = self.rng
        recent, late = rng.randint(0, 3_600_000), rng.randint(0, 34 * DAY_MS)
        on_the_hour = self.now_ms % 3_600_000 + 3_600_000 * rng.randint(0, 200)
        ages = [recent, rng.randint(0, DAY_MS), late, on_the_hour, -60_000]
        return rng.choices(ages, [55, 15, 20, 8, 2])[0]

    def _time(self, age_ms: int) -> str:
        """That long before now, as RFC 3339 in any offset, with up to nine digits."""
        rng = self.rng
        whole, milliseconds = divmod(self.now_ms - age_ms, 1000)
        offset_min = rng.choice([0, 0, 0, 120, -330, 840])
        local = whole + offset_min * 60
        text = _calendar(local)
        nanoseconds = f"{milliseconds:03d}" + rng.choice(["", "", "000", "456", "123456", "999999"])
        text += "." + nanoseconds if int(nanoseconds) or rng.random() < 0.3 else ""
        if offset_min:
            sign = "-" if offset_min < 0 else "+"
            return text + f"{sign}{abs(offset_min) // 60:02d}:{abs(offset_min) % 60:02d}"
        return text + rng.choice(["Z", "Z", "+00:00"])

    # repetitions

    def _respelled(self, event: dict[str, Any]) -> dict[str, Any]:
        """The same event with its keys in another order and its quantities spelled anew, or the same."""
        if self.rng.random() < 0.3:
            return event
        data = {name: self._respelled_field(name, value) for name, value in event["data"].items()}
        return self._shuffled({**event, "data": self._shuffled(data)})

    def _respelled_field(self, name: str, value: Any) -> Any:
        if name in ("seconds", "cpu_seconds", "memory_mb", "wall_seconds"):
            return self._spelled(_number(value))
        if name == "response":
            return usage_bodies.shuffled(self.rng, value)
        if name in ("dimensions", "units"):
            return self._shuffled({part: self._spelled(_number(number)) for part, number in value.items()})
        if name == "provider_cost":
            return self._shuffled({**value, "amount": self._spelled(_number(value["amount"]))})
        return self._shuffled(value) if isinstance(value, dict) else value

    def _shuffled(self, fields: dict[str, Any]) -> dict[str, Any]:
        names = list(fields)
        self.rng.shuffle(names)
        return {name: fields[name] for name in names}

    def _conflicting(self, event: dict[str, Any]) -> dict[str, Any]:
        """Another event with the identity of this one."""
        changed = self.rng.choice([{"project": "another"}, {"user": "somebody-else"}, {"api_key_id": "key_2"}])
        if "response" in event["data"]:  # the last digit of a number that nothing is priced by
            changed = {"response": {**event["data"]["response"], "cost": Literal("0.0000414000000000000030")}}
        return {**event, "data": {**event["data"], **changed}}

    def _encoded(self, event: dict[str, Any]) -> tuple[bytes, Headers]:
        rng = self.rng
        extra: list[tuple[str, bytes]] = []
        if rng.random() < 0.1:
            extra += [
                ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
                ("tracestate", b"a=b"),
            ]
        if rng.random() < 0.05:
            extra += [("stream-pricing-reason", b"forged"), ("stream-pricing-offset", b"1"), ("x", b"\xff")]
        if rng.random() < 0.02:
            extra += [(f"big{i}", b"y" * 5000) for i in range(5)]
        mode = rng.choice(["structured", "structured", "bare", "binary"])
        if mode == "binary":
            value, headers = encode_binary(event)
            return value, (*headers, *extra)
        comma, colon = rng.choice([(", ", ": "), (",", ":"), (" ,\n\t", " :\r\n ")])
        value = dumps(event, comma, colon, ascii_only=rng.random() < 0.3).encode()
        return value, ((STRUCTURED, *extra) if mode == "structured" else tuple(extra))


@lru_cache
def _hostile_rows(organization: str) -> list[Hostile]:
    return hostile_rows(usage(f"{organization} ftg-3.0-pro in=5 id=bad-id"))


def _number(value: Any) -> Fraction:
    return Fraction(value.text if isinstance(value, Literal) else value)


def _calendar(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
