"""The wire form of totals: section 5 of the contract, and back for a worker that takes them over.

The numbers of a total are flat paths inside and nested members outside. Which members there are rarely changes, so
their text is prepared once for each set of paths.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from pricing.documents import json_text
from pricing.money import number, plain
from pricing.times import format_time, parse_time
from pricing.totals import INSIDE, MEMBERS, OBJECTS, OF_COSTS, Number, Total, TotalKey, sums_of, window_end

_COUNTS = ("events", "not_billable_events", "events_without_cost")  # JSON numbers; all others are decimal strings
_PLACE = "\x00"  # where a number goes: JSON has it escaped
_NOT_SUMS = ("organization", "project", "window", "start", "end", "item", "revision", "as_of")


class Heading(NamedTuple):
    """What the key of a total says, as text: its name in the state, the key of its record, and the first members."""

    name: str
    record_key: bytes
    members: str


@lru_cache(maxsize=16_384)
def heading(key: TotalKey) -> Heading:
    """The name is `organization/project/window/start[/item]`; only an item may contain a slash."""
    name, item = f"{key.organization}/{key.project}/{key.window}/{format_time(key.start)}", ""
    if key.item is not None:
        name, item = f"{name}/{key.item}", f'"item":{json_text(key.item)},'
    members = (
        f'{{"organization":"{key.organization}","project":"{key.project}","window":"{key.window}",'
        f'"start":"{format_time(key.start)}","end":"{format_time(window_end(key.window, key.start))}",{item}'
    )
    return Heading(name, name.encode(), members)


def write_total(head: Heading, total: Total) -> bytes:
    """The record of a total."""
    parts = list(_layout(total.sums.paths))
    parts[1::2] = [str(number) if type(number) is int else plain(number) for number in total.sums.numbers]
    return f'{head.members}{"".join(parts)},"revision":{total.revision},"as_of":"{_time(total.as_of)}"}}'.encode()


_time = lru_cache(64)(format_time)


def read_total(value: bytes) -> tuple[TotalKey, Total]:
    """What `write_total` has written."""
    found = orjson.loads(value)
    item = found.get("item")
    key = TotalKey(found["organization"], found["project"], found["window"], parse_time(found["start"]), item)
    numbers = {name: member for name, member in found.items() if name not in _NOT_SUMS}
    return key, Total(sums_of(dict(_leaves(numbers, ""))), found["revision"], parse_time(found["as_of"]))


def _leaves(members: Mapping[str, Any], inside: str) -> Iterator[tuple[str, Number]]:
    for name, member in members.items():
        if isinstance(member, dict):
            yield from _leaves(member, f"{inside}{name}{INSIDE}")
        else:
            yield inside + name, member if isinstance(member, int) else sum_of(member)


@lru_cache(maxsize=512)
def _layout(paths: tuple[str, ...]) -> tuple[str, ...]:
    """The text around the numbers at these paths, with an empty place for each number."""
    absent = () if OF_COSTS[0] in paths else OF_COSTS
    numbers = [name for name in MEMBERS if name not in absent]
    members = [f'"{name}":{_PLACE}' if name in _COUNTS else f'"{name}":"{_PLACE}"' for name in numbers]
    for name in [name for name in OBJECTS if name not in absent]:
        inside = [path.split(INSIDE)[1:] for path in paths if path.partition(INSIDE)[0] == name]
        members.append(f'"{name}":{_object(inside)}')
    texts = ",".join(members).split(_PLACE)
    return tuple(part for text in texts for part in (text, ""))[:-1]


def _object(paths: list[list[str]]) -> str:
    """A JSON object with a place for each of the paths, which are in order."""
    members: dict[str, list[list[str]]] = {}
    for name, *inner in paths:
        members.setdefault(name, []).append(inner)
    texts = [f"{json_text(name)}:" + (_object(inner) if inner[0] else f'"{_PLACE}"') for name, inner in members.items()]
    return f"{{{','.join(texts)}}}"


def sum_of(text: str) -> Decimal:
    """A sum as it is written in a total: longer than any number that comes from outside."""
    return number(text, before=400, after=400)
