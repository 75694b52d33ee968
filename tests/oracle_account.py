"""Holds what outside readers found on the output topics against the oracle: nothing lost, doubled, mispriced.

`account` takes every record that read_committed consumers saw, and the states of the book that were in force
during the run, the last one last. It knows no order between topics and partitions, so it serves on a
simulated broker and on a real one alike. It answers with problems in words, none where all is well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.oracle_checks import (
    HEADER,
    at_of,
    differences,
    envelope_problems,
    header_origin,
    letter_problems,
    read_value,
    total_differences,
    trace_problems,
)
from tests.oracle_pricing import Parked
from tests.oracle_reading import DAY_NS, Event, Origin, Record, Rejected, read_time
from tests.oracle_totals import KEEP_DAYS, Totals, partition_of


@dataclass(frozen=True)
class Found:
    """All records of the topics by read_committed consumers; `parked` with its release records."""

    raw: Sequence[Record]
    priced: Sequence[Record]
    parked: Sequence[Record]
    rejected: Sequence[Record]
    totals: Sequence[Record]
    partitions: int = 4
    app: str = "stream-pricing"


def account(found: Found, books: Sequence[Any]) -> list[str]:
    """What is wrong with `found`, given the oracles of the books in force during the run, in their order."""
    audit = _Audit(found, books)
    checks = (
        audit.check_each_raw_record,
        audit.check_identities,
        audit.check_priced,
        audit.check_parked,
        audit.check_rejected,
        audit.check_order,
        audit.check_totals,
    )
    problems = [problem for check in checks for problem in check()]
    return audit.problems + problems


class _Audit:
    """What was found, by the raw record that it names."""

    def __init__(self, found: Found, books: Sequence[Any]) -> None:
        self.found, self.books, self.problems = found, books, []
        self.raw = {record.origin: record for record in found.raw}
        self.verdicts = {origin: books[-1].judge(record) for origin, record in self.raw.items()}
        self.values = {record.origin: read_value(record) for record in found.priced}
        self.priced = self._by_origin("priced", found.priced, self._priced_origin)
        self.releases = [record for record in found.parked if record.header(HEADER + "released") is not None]
        entries = [record for record in found.parked if record.header(HEADER + "released") is None]
        self.parked = self._by_origin("parked", entries, header_origin)
        self.rejected = self._by_origin("rejected", found.rejected, header_origin)
        self.released = self._released()

    def _by_origin(self, name: str, records: Iterable[Record], origin_of: Any) -> dict[Origin, Record]:
        known: dict[Origin, Record] = {}
        for record in records:
            origin = origin_of(record)
            if origin not in self.raw:
                self.problems.append(f"{name} {at_of(record)} names {origin}, which is no raw record")
            elif origin in known:
                self.problems.append(f"raw {origin} is twice on {name}: {at_of(known[origin])}, {at_of(record)}")
            else:
                known[origin] = record
        return known

    def _priced_origin(self, record: Record) -> Any:
        try:
            origin = self.values[record.origin]["data"]["origin"]
            return (origin["topic"], origin["partition"], origin["offset"])
        except (TypeError, KeyError):
            return "no origin"

    def _released(self) -> set[Origin]:
        """The raw records whose parked record has its release."""
        parked = {(record.partition, record.offset): origin for origin, record in self.parked.items()}
        released: set[Origin] = set()
        for record in self.releases:
            named = record.header(HEADER + "released") or b""
            origin = parked.get((record.partition, int(named) if named.isdigit() else -1))
            if origin is None or origin in released:
                self.problems.append(f"release {at_of(record)} names parked {named!r}: unknown, or released twice")
            else:
                released.add(origin)
            if read_value(record) != {}:
                self.problems.append(f"release {at_of(record)} has the value {record.value!r}")
        return released

    # --- every raw record once

    def check_each_raw_record(self) -> Iterable[str]:
        for origin, verdict in self.verdicts.items():
            places = {name for name in ("priced", "parked", "rejected") if origin in getattr(self, name)}
            if isinstance(verdict, Rejected) and places != {"rejected"}:
                yield f"raw {origin} should be rejected: {sorted(verdict.reasons)}, is in {sorted(places)}"
            elif "rejected" in places and len(places) > 1:
                yield f"raw {origin} is rejected, and also in {sorted(places)}"
            elif places == {"priced", "parked"} and origin not in self.released:
                yield f"raw {origin} was parked and is priced, and has no release"
            elif origin in self.released and "priced" not in places:
                yield f"raw {origin} is released and not priced"

    def check_identities(self) -> Iterable[str]:
        groups: dict[Any, list[Event]] = defaultdict(list)
        for verdict in self.verdicts.values():
            if isinstance(verdict, Event):
                groups[verdict.identity].append(verdict)
        for identity, events in groups.items():
            yield from self._check_identity(identity, events)

    def _check_identity(self, identity: Any, events: list[Event]) -> Iterable[str]:
        claims = [event for event in events if event.origin in self.priced or event.origin in self.parked]
        if len(claims) != 1:
            where = [event.origin for event in events]
            yield f"{identity}, raw {where}: priced or parked {len(claims)} times instead of once"
            return
        claim = claims[0]
        for event in events:
            same, is_rejected = event.content == claim.content, event.origin in self.rejected
            if event.origin[1] == claim.origin[1] and event.origin[2] < claim.origin[2]:
                yield f"{identity}: raw {claim.origin} counts, though {event.origin} came before it"
            if event is not claim and same and is_rejected:
                yield f"raw {event.origin} is a duplicate of {claim.origin}, and is rejected"
            if not same and not is_rejected:
                yield f"raw {event.origin} reuses the id of {claim.origin} for other content, unrejected"

    # --- priced

    def check_priced(self) -> Iterable[str]:
        for origin, record in self.priced.items():
            event = self.verdicts[origin]
            if isinstance(event, Event):
                for problem in self._check_priced(record, event):
                    yield f"priced {at_of(record)} of raw {origin}: {problem}"

    def _check_priced(self, record: Record, event: Event) -> Iterable[str]:
        yield from envelope_problems(record, self.values[record.origin], event, self.found.app)
        yield from self._place_problems(record, event)
        yield from trace_problems(record, self.raw[event.origin])
        data = self.values[record.origin]["data"]
        expected = [answer for answer in self._answers(event) if not isinstance(answer, Parked)]
        mismatches = [differences(answer, data) for answer in expected]
        if not expected:
            yield f"is parked by every book: {self._answers(event)}"
        elif all(mismatches):
            yield from min(mismatches, key=len)
        if read_time(str(data.get("priced_at"))) is None or not str(data.get("priced_at")).endswith("Z"):
            yield f"priced_at {data.get('priced_at')!r}"
        was_parked = data.get("parked")
        if (was_parked is not None) != (event.origin in self.parked):
            yield f"parked is {was_parked!r}, on the parked topic: {event.origin in self.parked}"
        if was_parked is not None:
            yield from self._parked_note_problems(was_parked, event)

    def _parked_note_problems(self, note: Any, event: Event) -> Iterable[str]:
        if note.get("reason") not in self._reasons(event) or read_time(str(note.get("since"))) is None:
            yield f"parked {note}, expected a reason of {sorted(self._reasons(event))} and a time"

    def _place_problems(self, record: Record, event: Event) -> Iterable[str]:
        if record.key != event.organization.encode():
            yield f"key {record.key!r}, expected {event.organization!r}"
        partition = partition_of(event.organization, self.found.partitions)
        if record.partition != partition:
            yield f"on partition {record.partition}, {event.organization!r} belongs to {partition}"

    def _answers(self, event: Event) -> list[Any]:
        return [book.price(event) for book in self.books]

    def _reasons(self, event: Event) -> set[str]:
        return {answer.reason for answer in self._answers(event) if isinstance(answer, Parked)}

    # --- parked and rejected

    def check_parked(self) -> Iterable[str]:
        for origin, record in self.parked.items():
            event = self.verdicts[origin]
            if not isinstance(event, Event):
                continue
            problems = [*self._place_problems(record, event), *letter_problems(record, self.raw[origin])]
            reason = (record.header(HEADER + "reason") or b"").decode()
            if reason not in self._reasons(event):
                problems.append(f"reason {reason!r}, expected one of {sorted(self._reasons(event))}")
            if origin not in self.priced and not isinstance(self.books[-1].price(event), Parked):
                problems.append("could be priced since the last publication, and is still parked")
            key = self.raw[origin].key
            if (record.header(HEADER + "key") or b"") != (key or b""):
                problems.append(f"the original key {key!r} is kept as {record.header(HEADER + 'key')!r}")
            yield from (f"parked {at_of(record)} of raw {origin}: {problem}" for problem in problems)
        keys = {(record.partition, record.offset): record.key for record in self.parked.values()}
        for release in self.releases:
            named = int(release.header(HEADER + "released") or -1)
            if keys.get((release.partition, named), release.key) != release.key:
                yield f"release {at_of(release)} has the key {release.key!r}, its parked record another"

    def check_rejected(self) -> Iterable[str]:
        for origin, record in self.rejected.items():
            verdict, raw = self.verdicts[origin], self.raw[origin]
            allowed, partitions = {"id_reused_with_other_content"}, {raw.partition}
            if isinstance(verdict, Rejected):
                allowed = set(verdict.reasons)
            else:
                partitions.add(partition_of(verdict.organization, self.found.partitions))
            problems = list(letter_problems(record, raw))
            reason = (record.header(HEADER + "reason") or b"").decode()
            if reason not in allowed:
                problems.append(f"reason {reason!r}, expected one of {sorted(allowed)}")
            if record.key != raw.key:
                problems.append(f"key {record.key!r}, the raw record has {raw.key!r}")
            if isinstance(verdict, Event) and record.partition not in partitions:
                problems.append(f"on partition {record.partition}, expected one of {sorted(partitions)}")
            if isinstance(verdict, Rejected) and not self._may_be_rejected_on(record, raw):
                problems.append(f"on partition {record.partition}, it came from {raw.partition}")
            yield from (f"rejected {at_of(record)} of raw {origin}: {problem}" for problem in problems)

    def _may_be_rejected_on(self, record: Record, raw: Record) -> bool:
        """A misrouted event that is too old or too new may have been forwarded before that was seen."""
        is_about_time = (record.header(HEADER + "reason") or b"") in (b"too_late", b"from_the_future")
        return record.partition == raw.partition or is_about_time

    def check_order(self) -> Iterable[str]:
        last: dict[str, int] = {}
        for record in sorted(self.priced.values(), key=lambda record: (record.partition, record.offset)):
            origin = self._priced_origin(record)
            event = self.verdicts[origin]
            if not isinstance(event, Event) or origin in self.parked or origin[1] != record.partition:
                continue
            if origin[2] < last.get(event.organization, -1):
                yield f"priced {at_of(record)}: raw offset {origin[2]} after {last[event.organization]}"
            last[event.organization] = origin[2]

    # --- totals

    def check_totals(self) -> Iterable[str]:
        expected = self._expected_totals()
        histories: dict[str, list[Record]] = defaultdict(list)
        for record in sorted(self.found.totals, key=lambda record: (record.partition, record.offset)):
            histories[(record.key or b"").decode()].append(record)
        for key in sorted(expected.keys() - histories.keys()):
            yield f"total {key} is missing"
        for key, records in histories.items():
            yield from (f"total {key}: {problem}" for problem in self._history_problems(key, records))
            if key not in expected:
                yield f"total {key} belongs to no priced event"
            elif records[-1].value is not None:
                yield from (f"total {key}: {p}" for p in total_differences(expected[key], read_value(records[-1])))

    def _expected_totals(self) -> dict[str, dict[str, Any]]:
        totals = Totals(self.books[-1].settings)
        for origin, record in self.priced.items():
            event, data = self.verdicts[origin], self.values[record.origin]["data"]
            if isinstance(event, Event):
                try:
                    totals.add(data, event.at_ns, data["priced_at"])
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    self.problems.append(f"priced {at_of(record)} cannot be summed: {error!r}")
        return totals.values()

    def _history_problems(self, key: str, records: Sequence[Record]) -> Iterable[str]:
        partition = partition_of(key.split("/")[0], self.found.partitions)
        revision = 0
        for record in records:
            if record.partition != partition:
                yield f"{at_of(record)} belongs on partition {partition}"
            if record.value is None:
                revision = None
                yield from self._tombstone_problems(record, key)
                continue
            written = read_value(record).get("revision")
            if written != 1 and (revision is None or written != revision + 1):
                yield f"{at_of(record)} has revision {written!r} after {revision}"
            if written == 1 and revision:
                yield f"{at_of(record)} has revision 1 after {revision}"
            revision = written

    def _tombstone_problems(self, record: Record, key: str) -> Iterable[str]:
        window, start = key.split("/")[2:4]
        clock_ns = max(raw.timestamp_ms for raw in self.found.raw) * 10**6
        length_days = {"hour": 0, "day": 1}.get(window, 0)
        if window not in KEEP_DAYS:
            yield f"{at_of(record)} is a tombstone of a {window}"
        elif (read_time(start) or 0) + (KEEP_DAYS[window] + length_days) * DAY_NS > clock_ns:
            yield f"{at_of(record)} is a tombstone too early"
