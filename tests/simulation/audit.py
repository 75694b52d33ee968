"""The oracle's account for thousands of runs of the same stream: what was found right before is not worked out again.

What is remembered is a fact about values alone: that this priced record, but for the times and offsets that differ
from run to run, is right for this event; that these priced events add up to these totals. Everything that depends on a
run (who is where, how often, in which order, revisions, `as_of`) is looked at in each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from unittest import mock

from tests import oracle_account
from tests.oracle import Event, Found, Totals, read_time
from tests.oracle_account import _Audit
from tests.oracle_checks import total_differences
from tests.oracle_totals import windows

_VOLATILE = re.compile(rb'"priced_at":"[0-9TZ:.-]+"|"since":"[0-9TZ:.-]+"|"offset":\d+')


class Memory:
    """What one stream's runs have in common. Valid for one list of books."""

    def __init__(self) -> None:
        self.right: set[Any] = set()
        self.sums: dict[Any, dict[str, dict[str, Any]]] = {}
        self.equal: set[Any] = set()


def account(found: Found, books: Sequence[Any], memory: Memory) -> list[str]:
    """`tests.oracle.account`, with a memory."""

    def audit(*given: Any) -> _Audit:
        return _Remembering(memory, *given)

    with (
        mock.patch.object(oracle_account, "_Audit", audit),
        mock.patch.object(oracle_account, "total_differences", _with_memory(memory)),
    ):
        return oracle_account.account(found, books)


class _Remembering(_Audit):
    def __init__(self, memory: Memory, *given: Any) -> None:
        self._memory = memory
        super().__init__(*given)

    def _check_priced(self, record: Any, event: Event) -> Iterable[str]:
        data = (self.values[record.origin] or {}).get("data", {})
        times = read_time(str(data.get("priced_at"))), read_time(str((data.get("parked") or data).get("since", "1970")))
        same = _VOLATILE.sub(b"", record.value or b"")
        key = same, record.key, record.partition, tuple(record.headers), event.identity, event.content, times[0] is None
        key = (*key, times[1] is None, event.origin in self.parked)
        if key in self._memory.right:
            return []
        problems = list(super()._check_priced(record, event))
        if not problems:
            self._memory.right.add(key)
        return problems

    def _expected_totals(self) -> dict[str, dict[str, Any]]:
        """The sums of the priced events; `as_of` is of this run, all else only depends on what was priced."""
        events = []
        for origin, record in self.priced.items():
            event = self.verdicts[origin]
            if isinstance(event, Event):
                events.append((event, self.values[record.origin]["data"]))
        key = frozenset((event.identity, event.at_ns, _amounts(data)) for event, data in events)
        if len(key) != len(events):
            return super()._expected_totals()
        if key not in self._memory.sums:
            totals = Totals(self.books[-1].settings)
            for event, data in events:
                totals.add(data, event.at_ns)
            self._memory.sums[key] = totals.values()
        as_of: dict[str, str] = {}
        for event, data in events:
            for window, start, _ in _windows(event.at_ns):
                name = f"{data['organization']}/{data['project']}/{window}/{start}"
                for each in (name, f"{name}/{data['item']}"):
                    as_of[each] = max(as_of.get(each, ""), data["priced_at"], key=_instant)
        return {name: {**value, "as_of": as_of[name]} for name, value in self._memory.sums[key].items()}


@lru_cache(maxsize=10_000)
def _windows(at_ns: int) -> list[tuple[str, str, str]]:
    return list(windows(at_ns))


@lru_cache(maxsize=100_000)
def _instant(text: str) -> int:
    return read_time(text) or 0


def _amounts(data: Mapping[str, Any]) -> str:
    """All of a priced event that totals are made of, as text."""
    names = ("organization", "project", "item", "lines", "synapses", "neurons", "list", "net", "due", "converted")
    return json.dumps([data.get(name) for name in (*names, "provider_cost", "billable")], sort_keys=True)


def _with_memory(memory: Memory) -> Any:
    def compared(want: Mapping[str, Any], have: Mapping[str, Any]) -> Iterable[str]:
        if want.get("as_of") == have.get("as_of"):
            key = json.dumps([{**want, "as_of": 0}, {**have, "as_of": 0, "revision": 0}], sort_keys=True)
            if key in memory.equal:
                return []
        else:
            key = None
        problems = list(total_differences(want, have))
        if not problems and key:
            memory.equal.add(key)
        return problems

    return compared
