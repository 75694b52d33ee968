"""The wire form of totals: section 5 of the contract, and back for a worker that takes them over.

The numbers of a total are flat paths inside and nested members outside. Which members there are rarely changes, so
their text is prepared once for each set of paths.
"""

from decimal import Decimal
from functools import lru_cache

import orjson

from pricing.documents import json_text
from pricing.money import number, plain
from pricing.times import format_time, parse_time
from pricing.totals import INSIDE, Sums, Total, TotalKey, window_end

_COUNTS = ("events", "not_billable_events")
_STRINGS = ("tokens", "synapses", "neurons")
_OBJECTS = ("quantities", "list", "net", "due", "converted", "provider_cost")


@lru_cache(maxsize=16_384)
def total_key(key: TotalKey) -> str:
    """`organization/project/window/start[/item]`; only an item may contain a slash."""
    text = f"{key.organization}/{key.project}/{key.window}/{format_time(key.start)}"
    return text if key.item is None else f"{text}/{key.item}"


def write_total(key: TotalKey, total: Total) -> bytes:
    """The record of a total."""
    order, template = _layout(tuple(total.sums))
    numbers = template % tuple([plain(total.sums[path]) for path in order])
    return f'{_head(key)}{numbers},"revision":{total.revision},"as_of":"{format_time(total.as_of)}"}}'.encode()


def read_total(value: bytes) -> tuple[TotalKey, Total]:
    """What `write_total` has written."""
    found = orjson.loads(value)
    item = found.get("item")
    key = TotalKey(found["organization"], found["project"], found["window"], parse_time(found["start"]), item)
    sums: Sums = {name: found[name] for name in _COUNTS}
    for name in _STRINGS:
        sums[name] = _decimal(found[name])
    for name in _OBJECTS:
        for inner, value_or_amounts in found[name].items():
            path = f"{name}{INSIDE}{inner}"
            if isinstance(value_or_amounts, str):
                sums[path] = _decimal(value_or_amounts)
            else:
                sums |= {f"{path}{INSIDE}{last}": _decimal(text) for last, text in value_or_amounts.items()}
    return key, Total(sums, found["revision"], parse_time(found["as_of"]))


@lru_cache(maxsize=16_384)
def _head(key: TotalKey) -> str:
    item = "" if key.item is None else f'"item":{json_text(key.item)},'
    return (
        f'{{"organization":"{key.organization}","project":"{key.project}","window":"{key.window}",'
        f'"start":"{format_time(key.start)}","end":"{format_time(window_end(key.window, key.start))}",{item}'
    )


@lru_cache(maxsize=4_096)
def _layout(paths: tuple[str, ...]) -> tuple[list[str], str]:
    """In which order the numbers are written, and the text around them."""
    order = [*_COUNTS, *_STRINGS]
    members = [f'"{name}":%s' for name in _COUNTS] + [f'"{name}":"%s"' for name in _STRINGS]
    for name in _OBJECTS:
        inside = sorted(path for path in paths if path.partition(INSIDE)[0] == name)
        order += inside
        members.append(f'"{name}":{_object([path.split(INSIDE)[1:] for path in inside])}')
    return order, ",".join(members)


def _object(paths: list[list[str]]) -> str:
    """A JSON object with a place for each of the paths, which are in order."""
    members = {path[0]: [inner[1:] for inner in paths if inner[0] == path[0]] for path in paths}
    texts = [
        f"{json_text(name).replace('%', '%%')}:" + (_object(inner) if inner[0] else '"%s"')
        for name, inner in members.items()
    ]
    return f"{{{','.join(texts)}}}"


def _decimal(text: str) -> Decimal:
    return number(text, before=400, after=400)
