"""Exact counts out of a decoded provider response: absent and null are none, anything else that is no count is refused.

A path is keys joined by dots. It may end in `list[modality=IMAGE|DOCUMENT].count`, the sum over the entries of a list
that match, or `list[].count`, over all; an entry without the member counts nothing, as protocol buffers omit zeros.
"""

import re
from functools import cache
from typing import Any

from pricing.errors import InvalidUsage, Rejected
from pricing.events import QUANTITY_MAX

Body = dict[str, Any]
Paths = str | tuple[str, ...]  # several: one count under several names, which have to agree

_SELECTION = re.compile(r"\[(?:(\w+)=([^\]]+))?\]\.")


def find_value(body: Body, path: str) -> Any:
    """What stands at a path without selection; None where it is absent or null."""
    value: Any = body
    for key in path.split("."):
        if value is None:
            return None
        if not isinstance(value, dict):
            raise _no_object(value, path)
        value = value.get(key)
    return value


def find_text(body: Body, path: str) -> str | None:
    """The text at a path; None where it is absent or null. Raises `invalid_field` for anything else, and for ''."""
    value = find_value(body, path)
    if value is not None and (type(value) is not str or not value):
        raise invalid(f"{path} is {value!r:.60}, no text")
    return value


def find_count(body: Body, paths: Paths) -> int | None:
    """The count that all paths given name; None where none has it. Counts that differ do not reconcile."""
    if isinstance(paths, str):
        return _sum_at(body, paths)
    found = {path: count for path in paths if (count := _sum_at(body, path)) is not None}
    if len(set(found.values())) > 1:
        raise irreconcilable(" but ".join(f"{path} is {count}" for path, count in found.items()))
    return next(iter(found.values()), None)


def invalid(detail: str) -> InvalidUsage:
    """A response that is not of its surface's form."""
    return InvalidUsage(Rejected.INVALID_FIELD, f"response: {detail}")


def irreconcilable(detail: str) -> InvalidUsage:
    """A response whose counts contradict each other; `detail` has both."""
    return InvalidUsage(Rejected.DO_NOT_RECONCILE, f"response: {detail}")


def _sum_at(body: Body, path: str) -> int | None:
    keys, attribute, wanted, member = _parse(path)
    value: Any = body
    for key in keys:
        if not isinstance(value, dict):
            raise _no_object(value, path)
        value = value.get(key)
        if value is None:
            return None
    return _count(value, path) if member is None else _sum_of(value, attribute, wanted, member, path)


@cache
def _parse(path: str) -> tuple[list[str], str, frozenset[str], str | None]:
    """The keys that lead to the count or the list; then attribute and values that select entries, and their member."""
    if not (selection := _SELECTION.search(path)):
        return path.split("."), "", frozenset(), None
    attribute, wanted = selection.groups("")
    return path[: selection.start()].split("."), attribute, frozenset(wanted.split("|")), path[selection.end() :]


def _sum_of(entries: Any, attribute: str, wanted: frozenset[str], member: str, path: str) -> int | None:
    if not isinstance(entries, list):
        raise invalid(f"{path} leads through {entries!r:.60}, no list")
    total = 0
    for entry in entries:
        if not isinstance(entry, dict):
            raise _no_object(entry, path)
        if (not attribute or str(entry.get(attribute)) in wanted) and (value := entry.get(member)) is not None:
            total += _count(value, path)
    return total if entries else None


def _no_object(value: Any, path: str) -> InvalidUsage:
    return invalid(f"{path} leads through {value!r:.60}, no object")


def _count(value: Any, path: str) -> int:
    if type(value) is int and 0 <= value <= QUANTITY_MAX:  # bool is an int to isinstance
        return value
    raise invalid(f"{path} is {value!r:.60}, no count from 0 to {QUANTITY_MAX}")
