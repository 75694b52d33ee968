"""The demo's producer: usage of every type from the sample organizations, with what goes wrong in practice among it."""

import json
import random
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from pricing.times import format_time
from streams.partitions import partition_of

PROJECTS = ("chat", "search", "agents")
MODELS = ("ftg-3.0-pro", "ftg-3.0", "ftg-3.0-mini", "ftg-3.0-code", "ftg-3.0-reason", "ftg-3.0-voice")
NEW_MODEL = "ftg-4.0-mini"  # only the sheet that is published halfway has it
EMBEDDING = "ftg-embed-3"
OPERATIONS = ("generate", "edit", "upscale", "remove-background")
CONNECTORS = (("github", "search"), ("slack", "post"), ("drive", "read"))

_STRUCTURED = ("content-type", b"application/cloudevents+json")
_SECOND_NS = 1_000_000_000
_DAY_NS = 86_400 * _SECOND_NS
_REPEATABLE = 500

Event = dict[str, Any]


class Sent(NamedTuple):
    """A raw record; where it belongs unless it is misrouted."""

    partition: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


class Producer:
    """Makes records one after the other, the same for the same seed and clock."""

    def __init__(self, organizations: Sequence[str], partitions: int, seed: int) -> None:
        self._rng = random.Random(seed)
        self._organizations = organizations
        self._partitions = partitions
        self._count = 0
        self._sent: deque[Event] = deque(maxlen=_REPEATABLE)

    def next(self, now: int) -> Sent:
        """The next record, at `now` (nanoseconds since 1970)."""
        self._count += 1
        dice = self._rng.random()
        if dice < 0.02:
            event = self._event(now)
            return self._routed(event, self._broken(event, now))
        if dice < 0.05 and self._sent:  # a client that was not sure
            return self._routed(repeated := self._rng.choice(self._sent), _json(repeated))
        event = self._event(now)
        if dice < 0.08:  # a gateway that was cut off for a while
            event["time"] = format_time(now - self._rng.randint(1, 20) * _DAY_NS)
        elif dice < 0.11:
            event |= {"type": "ai.usage.model.v1", "data": {**_common(event), **self._model(NEW_MODEL)}}
        self._sent.append(event)
        sent = self._routed(event, _json(event))
        if 0.11 <= dice < 0.14:  # a producer without a key, or with another partitioner
            return sent._replace(partition=self._rng.randrange(self._partitions), key=None)
        return sent

    def _routed(self, event: Event, value: bytes) -> Sent:
        key = event["data"]["organization"].encode()
        return Sent(partition_of(key, self._partitions), key, value, [_STRUCTURED])

    def _event(self, now: int) -> Event:
        rng = self._rng
        organization, project = rng.choice(self._organizations), rng.choice(PROJECTS)
        kinds = (self._some_model, self._embedding, self._image, self._code, self._connector, self._terminal)
        kind, fields = rng.choices(kinds, (62, 6, 6, 8, 10, 8))[0]()
        data: Event = {"organization": organization, "project": f"{organization[4:]}-{project}", "provider": "aitronos"}
        if rng.random() < 0.03:
            data |= {"billable": False, "not_billable_because": "failover_retry"}
        return {
            "specversion": "1.0",
            "id": f"demo-{self._count:08d}",
            "source": "gateway/eu-1",
            "type": f"ai.usage.{kind}.v1",
            "time": format_time((now - rng.randrange(2 * _SECOND_NS)) // 1_000_000 * 1_000_000),
            "subject": data["project"],
            "data": data | fields,
        }

    def _some_model(self) -> tuple[str, Event]:
        fields = self._model(self._rng.choice(MODELS))
        if fields["model"] == "ftg-3.0-voice":
            fields["seconds"] = f"{self._rng.randint(1, 600)}.5"
        return "model", fields

    def _model(self, model: str) -> Event:
        rng = self._rng
        tokens = {"input": rng.randint(50, 9_000), "output": rng.randint(10, 2_000)}
        if rng.random() < 0.5:
            tokens |= {"cache_read": rng.randint(0, 20_000), "cache_creation": rng.randint(0, 2_000)}
        return {"model": model, "priority": rng.choice(["default", "default", "low", "high"]), "tokens": tokens}

    def _embedding(self) -> tuple[str, Event]:
        return "model", {"model": EMBEDDING, "tokens": {"input": self._rng.randint(100, 50_000)}}

    def _image(self) -> tuple[str, Event]:
        rng = self._rng
        fields = {"operation": rng.choice(OPERATIONS), "count": rng.randint(1, 4), "model": rng.choice(MODELS[:3])}
        return "image", fields

    def _code(self) -> tuple[str, Event]:
        rng = self._rng
        cpu, wall = f"{rng.randint(0, 30)}.{rng.randint(0, 99):02d}", f"{rng.randint(1, 60)}.5"
        return "code_execution", {"cpu_seconds": cpu, "memory_mb": rng.randint(64, 2_048), "wall_seconds": wall}

    def _connector(self) -> tuple[str, Event]:
        connector, tool = self._rng.choice(CONNECTORS)
        return "connector_tool", {"connector": connector, "tool": tool, "executions": self._rng.randint(1, 20)}

    def _terminal(self) -> tuple[str, Event]:
        rng = self._rng
        dimensions = {
            "cpu_seconds": f"{rng.randint(1, 3_600)}.25",
            "ram_gb_seconds": rng.randint(10, 7_200),
            "storage_gb_days": f"0.{rng.randint(1, 999):03d}",
            "egress_bytes": rng.randint(1, 10**9),
        }
        return "terminal", {"dimensions": dimensions}

    def _broken(self, event: Event, now: int) -> bytes:
        """An event that no publication can cure; its identity stays free."""
        kind = self._rng.randrange(6)
        if kind == 0:
            return _json(event)[:-20]
        if kind == 1:
            return _json({**event, "type": "ai.usage.telepathy.v1"})
        if kind == 2:
            return _json({**event, "data": {**event["data"], "colour": "blue"}})
        if kind == 3:
            return _json({**event, "time": format_time(now + 3_600 * _SECOND_NS)})
        if kind == 4:
            return _json({**event, "time": format_time(now - 60 * _DAY_NS)})
        return _json({**event, "specversion": "0.3"})


def _common(event: Event) -> Event:
    return {name: event["data"][name] for name in ("organization", "project", "provider")}


def _json(event: Event) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()
