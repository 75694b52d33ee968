"""The step: what becomes of each record, section 6 of the contract, without a broker."""

import copy
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from pricing.accounts import Account, account_bytes
from pricing.book import Book, Policy
from pricing.times import format_time
from streams import headers
from streams import step as step_module
from streams.batch import Inputs, Step, StepFailed
from streams.partitions import partition_of
from streams.state import State
from streams.step import TURN_EVENTS, step
from streams.topics import Topics
from tests.product import DAY_MS, START, Rec, account, book, event, lane, rate, raw, sheet, state
from tests.usage import NOW_MS, encode, encode_binary, sample_sheet, usage

TOPICS = Topics()
BOOK = book(sheet(sample_sheet(), image="13.2"), rate(start=START))
WIDE = book(sheet(start="1970-01-01T00:00:00Z"), rate(start="1970-01-01T00:00:00Z"))
NOT_YET = book(sheet(sample_sheet(), image="13.2"))
LINE = "a ftg-3.0-pro in=1000"
AT = b"2026-11-22T10:00:05Z"


def run(found: State, *records: Rec, books: Book = BOOK, now_ms: int = NOW_MS + 5000, **named: Any) -> Step:
    """One step over raw records; nothing is committed."""
    named.setdefault("lane", lane())
    poison = named.pop("poison", frozenset())
    used = named.pop("lane")
    return step(found, Inputs(raw=records, **named), books, used, now_ms, poison=poison)


def commit(found: State, result: Step, first_parked_offset: int = 0) -> Step:
    """What the shell does once the transaction is committed."""
    result.complete(range(first_parked_offset, first_parked_offset + len(result.newly_parked)))
    found.fold(result.changes)
    return result


def out(result: Step, topic: str, partition: int = 0) -> list[Any]:
    """The records that go to a partition."""
    return result.outputs.get((topic, partition), [])


def priced_ids(result: Step) -> list[str]:
    """The ids of the usage events that were priced, in order."""
    return [json.loads(value)["data"]["event"]["id"] for _, value, *_ in out(result, TOPICS.priced)]


def reasons(result: Step) -> list[str]:
    """Why records were rejected, in order."""
    return [dict(record[2])[headers.REASON].decode() for record in out(result, TOPICS.rejected)]


def as_parked(result: Step, offset: int = 0, number: int = 0) -> Rec:
    """A parked record as it is read back."""
    key, value, kept, timestamp = out(result, TOPICS.parked)[number]
    return Rec(TOPICS.parked, 0, offset, timestamp, key, value, tuple(kept))


def account_record(found: Account, offset: int = 0, partition: int = 0) -> Rec:
    """A record of the accounts topic."""
    return Rec(TOPICS.accounts, partition, offset, NOW_MS, found.organization.encode(), account_bytes(found))


def at(ms: int) -> str:
    """RFC 3339 of a time in milliseconds."""
    return format_time(ms * 1_000_000)


# --- priced


def test_an_event_is_priced_once_and_counted() -> None:
    """One priced record, six totals, one id, one position."""
    found = state()
    result = run(found, raw(LINE, 7))
    [(key, value, kept, _)] = out(result, TOPICS.priced)
    assert (key, kept) == (b"a", [("content-type", b"application/cloudevents+json")])
    data = json.loads(value)["data"]
    assert data["origin"] == {"topic": "usage.raw.v1", "partition": 0, "offset": 7}
    assert data["priced_at"] == "2026-11-22T10:00:05Z"
    assert json.loads(value)["id"] == event(LINE).fingerprint().hex() + "-0"
    assert len(out(result, TOPICS.totals)) == 6
    commit(found, result)
    assert (found.position.raw, found.position.sequence, found.position.stream_time_ms) == (8, 1, NOW_MS)
    assert found.seen.find([event(LINE).fingerprint()]) == [event(LINE).content]


def test_the_order_of_the_raw_records_is_kept() -> None:
    """Of whatever organizations; rekeyed ones come first."""
    lines = [f"{name} connector:c/t id={number}" for number, name in enumerate("abacab")]
    assert priced_ids(run(state(), *[raw(line, number) for number, line in enumerate(lines)])) == list("012345")


def test_a_second_batch_adds_to_the_totals_of_the_first() -> None:
    """Absolute values, one revision more."""
    found = state()
    commit(found, run(found, raw(LINE + " id=1", 0)))
    second = run(found, raw(LINE + " id=2", 1), raw(LINE + " id=3", 2), now_ms=NOW_MS + 9000)
    day = {key: json.loads(value) for key, value, *_ in out(second, TOPICS.totals)}[b"a/p1/day/2026-11-22T00:00:00Z"]
    assert (day["events"], day["tokens"], day["revision"], day["as_of"]) == (3, "3000", 2, "2026-11-22T10:00:09Z")
    assert day["list"] == {"CHF": "0.0792"}


def test_nothing_is_changed_until_it_is_folded() -> None:
    """The state before and after a step is the same; the same step gives the same again."""
    found = state()
    commit(
        found,
        run(found, raw(LINE, 0), raw("b ghost in=1", 1), accounts=[account_record(account("a", ("tier_zero", START)))]),
    )
    parked = found.parked[0]
    before = copy.deepcopy((found.position, found.accounts, found.parked, dict(found.totals), len(found.seen)))
    records = [
        raw(LINE, 2),
        raw(LINE + " id=2", 3),
        raw("c ghost in=1", 4),
        raw("d ftg-3.0-pro in=x".replace("in=x", "x=1"), 5),
    ]
    cure = (parked, as_parked(run(found, raw("b ghost in=1 id=9", 9))))
    results = [
        run(found, *records, accounts=[account_record(account("a", version=3), 1)], cures=[cure]) for _ in range(2)
    ]
    assert (
        found.position,
        found.accounts,
        found.parked,
        dict(found.totals),
        len(found.seen),
    ) == before
    assert results[0] == results[1]


def test_an_empty_batch_does_nothing() -> None:
    """But count."""
    result = run(state())
    assert result.outputs == {}
    assert result.changes.position.sequence == 1


# --- duplicates


@pytest.mark.parametrize("committed", [True, False], ids=["across batches", "within a batch"])
def test_a_duplicate_is_dropped(committed: bool) -> None:
    """Whatever the mode, offset, key order and headers."""
    value, extra = encode_binary(usage(LINE))
    turned = dict(reversed(usage(LINE).items()))
    again = [raw(LINE, 1), Rec(TOPICS.raw, 0, 2, NOW_MS + 1, None, value, (*extra, ("x", b"y"))), raw(turned, 3)]
    found = state()
    if committed:
        commit(found, run(found, raw(LINE, 0)))
        result = run(found, *again)
        assert set(result.outputs) == set()
    else:
        result = run(found, raw(LINE, 0), *again)
        assert len(out(result, TOPICS.priced)) == 1
    assert result.counts.duplicates == 3
    assert result.changes.position.raw == 4


def test_a_batch_of_many_turns_is_one_batch() -> None:
    """Ids that are looked up in different turns of it: each is priced once, in the order of the raw records."""
    ids = [f"e{number}" for number in range(3 * TURN_EVENTS + 1)]
    result = run(state(), *(raw(f"{LINE} id={name}", offset) for offset, name in enumerate([*ids, *ids])))
    assert (priced_ids(result), result.counts.duplicates) == (ids, len(ids))
    assert result.changes.position.raw == 2 * len(ids)


@pytest.mark.parametrize("committed", [True, False], ids=["across batches", "within a batch"])
def test_an_id_with_other_content_is_rejected(committed: bool) -> None:
    """And the first content goes on being the one that counts."""
    other = raw(LINE.replace("1000", "1001") + " id=x", 1)
    found, first = state(), raw(LINE + " id=x", 0)
    if committed:
        commit(found, run(found, first))
    result = run(found, *([] if committed else [first]), other, raw(LINE + " id=x", 2))
    assert reasons(result) == ["id_reused_with_other_content"]
    assert result.counts.duplicates == 1


def test_an_identity_is_organization_source_and_id() -> None:
    """Two of them alike are two events."""
    lines = [LINE + " id=1", LINE + " id=2", LINE + " id=1 source=s", LINE.replace("a ", "b ") + " id=1"]
    assert run(state(), *[raw(line, number) for number, line in enumerate(lines)]).counts.priced == {
        "ai.usage.model.v1": 4
    }


def test_a_rejected_event_leaves_its_id_free() -> None:
    """A mended event can be sent again; a parked one claims its identity."""
    found = state()
    broken = usage(LINE + " id=x")
    broken["data"]["colour"] = "red"
    result = commit(found, run(found, raw(broken, 0), raw("a ghost in=1 id=y", 1)))
    assert (reasons(result), result.counts.parked) == (["invalid_field"], {"no_price_for_model": 1})
    after = run(found, raw(LINE + " id=x", 2), raw("a ghost in=1 id=y", 3), raw("a ghost in=2 id=y", 4))
    assert (priced_ids(after), after.counts.duplicates, reasons(after)) == (["x"], 1, ["id_reused_with_other_content"])


# --- time

FIVE_MIN_MS = 5 * 60 * 1000
MAX_AGE_MS = 35 * DAY_MS


@pytest.mark.parametrize(
    ("age_ms", "nanoseconds", "outcome"),
    [
        (-FIVE_MIN_MS, "", []),
        (-FIVE_MIN_MS, "000001", ["from_the_future"]),
        (-FIVE_MIN_MS - 1, "", ["from_the_future"]),
        (MAX_AGE_MS, "", []),
        (MAX_AGE_MS, "000001", []),
        (MAX_AGE_MS + 1, "999999", ["too_late"]),
        (MAX_AGE_MS + 1, "", ["too_late"]),
    ],
)
def test_the_append_time_bounds_the_usage_time(age_ms: int, nanoseconds: str, outcome: list[str]) -> None:
    """Five minutes after, 35 days before, to the nanosecond; the worker's clock has no say."""
    append_ms = NOW_MS + 1
    time = format_time((append_ms - age_ms) * 1_000_000 + int(nanoseconds or 0))
    for now_ms in (0, append_ms, 4 * NOW_MS):
        assert reasons(run(state(), raw(f"{LINE} at={time}", at_ms=append_ms), books=WIDE, now_ms=now_ms)) == outcome


def test_stream_time_is_the_greatest_append_time_and_never_goes_back() -> None:
    """Also where a record was appended earlier by another clock: its own append time says whether it is too late."""
    found = state()
    late = f"{LINE} at={at(NOW_MS - MAX_AGE_MS)}"
    commit(found, run(found, raw(LINE, 0, at_ms=NOW_MS + 5), raw(LINE + " id=2", 1, at_ms=NOW_MS - 5), books=WIDE))
    assert found.position.stream_time_ms == NOW_MS + 5
    result = commit(found, run(found, raw(late + " id=3", 2, at_ms=NOW_MS), raw(late, 3, at_ms=NOW_MS + 1), books=WIDE))
    assert reasons(result) == ["too_late"]
    assert found.position.stream_time_ms == NOW_MS + 5


def test_a_record_that_has_waited_until_its_id_may_be_forgotten_is_too_late() -> None:
    """A forwarded record has moved stream time; nothing is rejected for that as long as all of its ids are kept."""
    dated = NOW_MS - MAX_AGE_MS
    kept_to = (dated // DAY_MS + 38) * DAY_MS - 1 if dated % DAY_MS >= FIVE_MIN_MS else 0
    late = raw(f"{LINE} at={at(dated)}", at_ms=NOW_MS)
    assert reasons(run(state(stream_time_ms=kept_to), late, books=WIDE)) == []
    assert reasons(run(state(stream_time_ms=kept_to + 1), late, books=WIDE)) == ["too_late"]


def test_a_record_that_is_rejected_moves_stream_time_too() -> None:
    """It was appended, whatever it says."""
    found = state()
    commit(found, run(found, Rec(TOPICS.raw, 0, 0, NOW_MS, None, b"x")))
    assert found.position.stream_time_ms == NOW_MS


# --- rejected


def test_a_dead_letter_says_what_it_is() -> None:
    """Original bytes, key, headers and timestamp; and why, where and when."""
    given = (("x", b"\xff"), ("stream-pricing-reason", b"forged"), ("traceparent", b"00-ab"))
    result = run(state(), Rec(TOPICS.raw, 0, 41, NOW_MS, b"key", b"{", given))
    [(key, value, kept, timestamp)] = out(result, TOPICS.rejected)
    assert (key, value, timestamp) == (b"key", b"{", NOW_MS)
    assert kept[:2] == [("x", b"\xff"), ("traceparent", b"00-ab")]
    assert {name: text for name, text in kept[2:] if name != headers.DETAIL} == {
        "stream-pricing-reason": b"not_json",
        "stream-pricing-topic": b"usage.raw.v1",
        "stream-pricing-partition": b"0",
        "stream-pricing-offset": b"41",
        "stream-pricing-at": AT,
    }
    assert dict(kept)[headers.DETAIL]


@pytest.mark.parametrize(("size", "is_cut"), [(65_536, False), (65_537, True), (900_000, True)])
def test_a_value_over_64_kib_is_cut_and_described(size: int, is_cut: bool) -> None:
    """By its length and the hash of the whole."""
    whole = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    [(_, value, kept, _)] = out(run(state(), Rec(TOPICS.raw, 0, 0, NOW_MS, b"k", whole)), TOPICS.rejected)
    assert value == whole[:65_536]
    described = {name: text for name, text in kept if name in (headers.LENGTH, headers.SHA256)}
    digest = hashlib.sha256(whole).hexdigest().encode()
    assert described == ({headers.LENGTH: b"%d" % size, headers.SHA256: digest} if is_cut else {})


def test_a_null_value_and_a_null_key_stay_null() -> None:
    """Nothing is made up."""
    [(key, value, kept, _)] = out(run(state(), Rec(TOPICS.raw, 0, 0, NOW_MS, None, None)), TOPICS.rejected)
    assert (key, value, dict(kept)[headers.REASON]) == (None, None, b"not_json")


def test_headers_of_over_16_kib_are_left_out_and_counted() -> None:
    """What an event cannot be read without stays, and the trace."""
    big = tuple((f"big{number}", b"y" * 5_000) for number in range(4))
    value, binary = encode_binary(usage("a ghost in=1"))
    trace = (("traceparent", b"00-ab"),)
    result = run(state(), Rec(TOPICS.raw, 0, 0, NOW_MS, b"k", value, (*binary, *big, *trace)))
    [(_, _, kept, _)] = out(result, TOPICS.parked)
    theirs = [name for name, _ in kept if not name.startswith(headers.OWN)]
    assert theirs == [name for name, _ in (*binary, *trace) if name != "ce_subject"]
    assert dict(kept)[headers.LEFT_OUT] == b"5"


@pytest.mark.parametrize(("line", "topic"), [("a ghost in=1", TOPICS.parked), ("a ftg-3.0-pro in=-1", TOPICS.rejected)])
@pytest.mark.parametrize("size", [16 * 1024, 16 * 1024 + 1])
def test_a_key_that_is_left_out_is_told_of(line: str, topic: str, size: int) -> None:
    """A parked record has another one, and the raw record's in a header; a rejected one has the raw record's."""
    [(key, _, kept, _)] = out(run(state(), raw(line, key=b"k" * size)), topic)
    found = dict(kept)
    has_it = b"k" * size in (key, found.get(headers.KEY))
    is_told_of = found[headers.DETAIL].startswith(b"the key of 16385 bytes is left out; ")
    assert (has_it, is_told_of) == (size == 16 * 1024, size > 16 * 1024)


@pytest.mark.parametrize(
    "header", [("", b""), ("ce_id", b"y"), ("content-type", b"y" * 1024), ("traceparent", b"y" * 900)]
)
def test_headers_without_end_do_not_make_a_dead_letter_too_large(header: tuple[str, bytes]) -> None:
    """Each by itself is one that stays; a record that fits no topic would stop the partition for good."""
    record = Rec(TOPICS.raw, 0, 0, NOW_MS, b"k", b"x" * 64 * 1024, (header,) * 20_000)
    [(_, _, kept, _)] = out(run(state(), record), TOPICS.rejected)
    assert sum(len(name) + len(value) for name, value in kept) < 70_000
    assert int(dict(kept)[headers.LEFT_OUT]) >= 20_000 - 64


def test_headers_of_16_kib_stay() -> None:
    """The bound is on names and values together."""
    given = (("h", b"y" * (16 * 1024 - 1)),)
    for extra, left_out in ((b"", None), (b"y", b"1")):
        [(_, _, kept, _)] = out(
            run(state(), Rec(TOPICS.raw, 0, 0, NOW_MS, b"k", b"{", ((given[0][0], given[0][1] + extra),))),
            TOPICS.rejected,
        )
        assert dict(kept).get(headers.LEFT_OUT) == left_out


def test_a_trace_goes_on_to_every_output() -> None:
    """Priced, parked and rejected, and the release of what was parked."""
    trace = (("traceparent", b"00-ab"), ("tracestate", b"x=y"))
    events = [raw(LINE, 0), raw("a ghost in=1", 1), replace(raw(LINE, 2), value=b"{")]
    found = state()
    result = run(found, *[replace(one, headers=(*one.headers, *trace)) for one in events])
    for topic in (TOPICS.priced, TOPICS.parked, TOPICS.rejected):
        [(_, _, kept, _)] = out(result, topic)
        assert [header for header in kept if header[0].startswith("trace")] == list(trace)
    commit(found, result)
    cured = book(sheet(sample_sheet().replace(b'"ftg-free"', b'"ghost"')), rate(start=START))
    released = run(found, cures=[(found.parked[0], as_parked(result))], books=cured)
    for topic in (TOPICS.priced, TOPICS.parked):
        [(_, _, kept, _)] = out(released, topic)
        assert [header for header in kept if header[0].startswith("trace")] == list(trace)


# --- misrouted


def misrouted(organization: str = "org_1", partitions: int = 4) -> tuple[int, int]:
    """The organization's partition, and another one."""
    home = partition_of(organization.encode(), partitions)
    return home, (home + 1) % partitions


def forwarded_record(result: Step, home: int, offset: int = 0) -> Rec:
    """The record on the rekeyed topic as it is read there."""
    [(key, value, kept, timestamp)] = out(result, TOPICS.rekeyed, home)
    return Rec(TOPICS.rekeyed, home, offset, timestamp, key, value, tuple(kept))


def test_a_misrouted_event_is_forwarded_and_priced_where_it_belongs() -> None:
    """Under the raw record's origin and append time; the wrong partition remembers nothing of it."""
    home, away = misrouted()
    given = replace(
        raw("org_1 connector:c/t", 41, partition=away, key=b"wrong", at_ms=NOW_MS - 7),
        headers=(("traceparent", b"00-ab"), ("stream-pricing-topic", b"forged")),
    )
    sent = run(state(4), given, lane=lane(away, 4))
    assert set(sent.outputs) == {(TOPICS.rekeyed, home)}
    assert (sent.counts.rekeyed, sent.changes.seen) == (1, {})
    moved = forwarded_record(sent, home)
    assert (moved.key, moved.value) == (b"org_1", given.value)
    result = run(state(4), rekeyed=[moved], lane=lane(home, 4))
    [(key, value, kept, _)] = out(result, TOPICS.priced, home)
    assert json.loads(value)["data"]["origin"] == {"topic": "usage.raw.v1", "partition": away, "offset": 41}
    assert (key, ("traceparent", b"00-ab") in kept) == (b"org_1", True)
    assert result.changes.position.rekeyed == 1
    assert result.changes.position.raw == -1
    assert result.changes.position.stream_time_ms == NOW_MS - 7


def test_a_forwarded_duplicate_is_a_duplicate() -> None:
    """Whichever way it came the first time."""
    home, away = misrouted()
    moved = forwarded_record(run(state(4), raw("org_1 connector:c/t", partition=away), lane=lane(away, 4)), home)
    result = run(state(4), raw("org_1 connector:c/t", partition=home), rekeyed=[moved], lane=lane(home, 4))
    assert (result.counts.duplicates, len(out(result, TOPICS.priced, home))) == (1, 1)


def test_what_becomes_of_a_forwarded_record_names_the_raw_one() -> None:
    """Rejected goes to the partition that it came from, with its key; parked keeps the key in a header."""
    home, away = misrouted()
    lines = ["org_1 ghost in=1 id=1", "org_1 connector:c/t id=2"]
    sent = [
        run(state(4), raw(line, number, partition=away, key=b"wrong"), lane=lane(away, 4))
        for number, line in enumerate(lines)
    ]
    moved = [forwarded_record(result, home, number) for number, result in enumerate(sent)]
    conflicting = raw("org_1 connector:c/t2 id=2", partition=home)
    found = state(4)
    commit(found, run(found, conflicting, lane=lane(home, 4)))
    result = run(found, rekeyed=moved, lane=lane(home, 4))
    [(key, _, kept, _)] = out(result, TOPICS.rejected, away)
    assert (key, dict(kept)[headers.PARTITION], dict(kept)[headers.OFFSET]) == (b"wrong", b"%d" % away, b"1")
    [(key, _, kept, _)] = out(result, TOPICS.parked, home)
    assert (key, dict(kept)[headers.KEY], dict(kept)[headers.TOPIC]) == (b"org_1", b"wrong", b"usage.raw.v1")
    assert dict(kept)[headers.OFFSET] == b"0"


def test_a_forwarded_record_keeps_the_count_of_headers_left_out() -> None:
    """Its dead letter says so too."""
    home, away = misrouted()
    event_ = raw("org_1 ghost in=1", partition=away)
    big = replace(event_, headers=(*event_.headers, *[(f"b{number}", b"y" * 9_000) for number in range(2)]))
    moved = forwarded_record(run(state(4), big, lane=lane(away, 4)), home)
    [(_, _, kept, _)] = out(run(state(4), rekeyed=[moved], lane=lane(home, 4)), TOPICS.parked, home)
    assert [text for name, text in kept if name == headers.LEFT_OUT] == [b"2"]


def test_of_headers_that_are_all_essential_none_is_counted_as_left_out() -> None:
    """The note would be one header too many: 64 of them are read, over 16 KiB or not."""
    home, away = misrouted()
    full = [("content-type", b"application/cloudevents; " + b"x" * 231)] * 64
    moved = forwarded_record(
        run(state(4), replace(raw("org_1 connector:c/t", partition=away), headers=tuple(full)), lane=lane(away, 4)),
        home,
    )
    assert out(run(state(4), rekeyed=[moved], lane=lane(home, 4)), TOPICS.priced, home)


def test_a_forwarded_record_may_have_as_many_headers_as_a_raw_one() -> None:
    """64 of the producer's; ours do not count."""
    home, away = misrouted()
    full = replace(
        raw("org_1 connector:c/t", partition=away), headers=tuple((f"h{number}", b"") for number in range(64))
    )
    moved = forwarded_record(run(state(4), full, lane=lane(away, 4)), home)
    assert run(state(4), rekeyed=[moved], lane=lane(home, 4)).counts.priced == {"ai.usage.connector_tool.v1": 1}


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"9" * 5_000])
@pytest.mark.parametrize("name", [headers.TOPIC, headers.PARTITION, headers.OFFSET, headers.APPEND_TIME])
def test_a_forwarded_record_with_headers_that_no_worker_writes_is_its_own_origin(name: str, value: bytes) -> None:
    """Null among them, which Kafka's headers may be."""
    home, away = misrouted()
    moved = forwarded_record(run(state(4), raw("org_1 connector:c/t", 41, partition=away), lane=lane(away, 4)), home)
    forged = replace(moved, headers=tuple((key, value if key == name else kept) for key, kept in moved.headers))
    [(_, priced, *_)] = out(run(state(4), rekeyed=[forged], lane=lane(home, 4)), TOPICS.priced, home)
    assert json.loads(priced)["data"]["origin"]["topic"] == TOPICS.rekeyed


# --- accounts


def test_an_account_counts_before_the_events_of_its_batch() -> None:
    """It was acknowledged before they were read."""
    result = run(state(), raw("a connector:c/t"), accounts=[account_record(account("a", ("tier_standard", START)))])
    [(_, value, *_)] = out(result, TOPICS.priced)
    assert json.loads(value)["data"]["tier"]["id"] == "tier_standard"
    assert result.changes.position.accounts == 1


@pytest.mark.parametrize(
    ("versions", "counting", "ignored"),
    [([1, 2], 2, 0), ([2, 1], 2, 1), ([2, 2], 2, 0), ([0, 7, 3, 8], 8, 1)],
)
def test_the_greatest_version_of_an_account_counts(versions: list[int], counting: int, ignored: int) -> None:
    """A lower one is ignored and counted; the same again is no problem."""
    records = [account_record(account("a", version=version), number) for number, version in enumerate(versions)]
    for cut in range(len(records)):
        found = state()
        parts = [commit(found, run(found, accounts=part)) for part in (records[:cut], records[cut:])]
        assert found.accounts["a"].version == counting
        assert sum(len(part.counts.accounts_ignored) for part in parts) == ignored


@pytest.mark.parametrize("value", [None, b"", b"{", b'{"organization": "a", "version": 9, "colour": 1}', b"\xff"])
def test_a_bad_account_is_ignored_and_counted(value: bytes | None) -> None:
    """Also a tombstone: the last good one stays."""
    found = state()
    commit(found, run(found, accounts=[account_record(account("a", ("tier_standard", START)))]))
    result = commit(found, run(found, accounts=[Rec(TOPICS.accounts, 0, 1, NOW_MS, b"a", value)]))
    assert len(result.counts.accounts_ignored) == 1
    assert found.accounts["a"].version == 1
    assert found.position.accounts == 2


def test_the_same_version_with_other_content_is_ignored() -> None:
    """What was published never changes."""
    records = [
        account_record(account("a", ("tier_standard", START))),
        account_record(account("a", ("tier_full", START)), 1),
    ]
    result = run(state(), accounts=records)
    assert result.changes.accounts["a"].tiers[0].tier == "tier_standard"
    assert len(result.counts.accounts_ignored) == 1
    assert not out(result, TOPICS.accounts)  # two installations that disagree would answer each other for ever


def test_a_lower_version_has_not_the_last_word() -> None:
    """Compaction keeps the last record of a key, so the greatest version is appended once more, and that is all."""
    found, greatest = state(), account("a", version=2)
    records = [account_record(greatest), account_record(account("a", version=1), 1)]
    [(key, value, *_)] = out(commit(found, run(found, accounts=records)), TOPICS.accounts)
    assert (key, value) == (b"a", account_bytes(greatest))
    again = run(found, accounts=[account_record(greatest, 2)])
    assert (again.outputs.get((TOPICS.accounts, 0)), again.counts.accounts_ignored) == (None, [])


@pytest.mark.parametrize("value", [None, b"", b"{", b"junk", b"[1]", b"\xff"])
def test_what_is_no_account_at_all_has_not_the_last_word(value: bytes | None) -> None:
    """What is known is appended once more, where something is."""
    found, known = state(), account("a")
    bad = Rec(TOPICS.accounts, 0, 1, NOW_MS, b"a", value)
    [(key, written, *_)] = out(run(found, accounts=[account_record(known), bad]), TOPICS.accounts)
    assert (key, written) == (b"a", account_bytes(known))
    assert not run(found, accounts=[bad]).outputs.get((TOPICS.accounts, 0))


def test_an_account_of_another_version_of_the_worker_is_not_answered() -> None:
    """It may be good there, and the two would answer each other for ever."""
    newer = Rec(TOPICS.accounts, 0, 1, NOW_MS, b"a", b'{"organization": "a", "version": 9, "colour": 1}')
    result = run(state(), accounts=[account_record(account("a")), newer])
    assert not result.outputs.get((TOPICS.accounts, 0))
    assert len(result.counts.accounts_ignored) == 1


def test_a_tombstone_of_an_account_is_called_so() -> None:
    result = run(state(), accounts=[Rec(TOPICS.accounts, 0, 0, NOW_MS, b"a", None)])
    assert result.counts.accounts_ignored == ["account: document: is a tombstone, and what was known stays"]


def test_a_misrouted_account_is_forwarded() -> None:
    """To the partition of its organization, on the same topic, and does not count here."""
    home, away = misrouted()
    record = account_record(account("org_1"), partition=away)
    result = run(state(4), accounts=[record], lane=lane(away, 4))
    [(key, value, *_)] = out(result, TOPICS.accounts, home)
    assert (key, value, result.changes.accounts) == (b"org_1", record.value, {})
    assert result.counts.rekeyed == 0  # of usage


# --- parked and cured


def test_a_parked_event_waits_whole() -> None:
    """Original bytes, headers and timestamp; the organization as key, the original one in a header."""
    given = replace(raw("a ghost in=1 id=x", 41, at_ms=NOW_MS - 3, key=b"wrong"), headers=(("x", b"y"),))
    found = state()
    result = run(found, given)
    [(key, value, kept, timestamp)] = out(result, TOPICS.parked)
    assert (key, value, timestamp) == (b"a", given.value, NOW_MS - 3)
    assert [(name, text) for name, text in kept if name != headers.DETAIL] == [
        ("x", b"y"),
        ("stream-pricing-reason", b"no_price_for_model"),
        ("stream-pricing-topic", b"usage.raw.v1"),
        ("stream-pricing-partition", b"0"),
        ("stream-pricing-offset", b"41"),
        ("stream-pricing-at", AT),
        ("stream-pricing-key", b"wrong"),
    ]
    commit(found, result, first_parked_offset=17)
    waiting = found.parked[17]
    assert (waiting.offset, waiting.reason, waiting.id, waiting.since) == (
        17,
        "no_price_for_model",
        "x",
        "2026-11-22T10:00:05Z",
    )
    assert len(out(result, TOPICS.totals)) == 0


REQUIRED = book(sheet(), rate(start=START), policy=Policy({"*": "aitronos"}, require_account=True))
OTHERS = book(sheet(), rate(start=START), policy=Policy({"*": "aitronos", "acme": "other"}))


@pytest.mark.parametrize(
    ("line", "books", "known", "waits"),
    [
        ("a ghost in=1", BOOK, None, ("sheet/aitronos",)),
        ("a ghost in=1 at=2026-10-31T00:00:00Z", BOOK, None, ("sheet/aitronos",)),
        ("a connector:c/t provider=acme", OTHERS, None, ("sheet/other",)),
        ("a image:bend", BOOK, None, ("sheet/aitronos",)),
        ("a ftg-3.0-pro in=1 priority=turbo", BOOK, None, ("sheet/aitronos",)),
        ("a ftg-3.0-pro in=1", NOT_YET, None, ("fx", "sheet/aitronos")),
        ("a connector:c/t", BOOK, account("a", ("gold", START)), ("sheet/aitronos", "account/a")),
        ("a connector:c/t", REQUIRED, None, ("account/a",)),
    ],
)
def test_a_parked_event_waits_for_what_may_cure_it(
    line: str, books: Book, known: Account | None, waits: tuple[str, ...]
) -> None:
    """A version of a sheet, a rate, its account."""
    accounts = [account_record(known)] if known else []
    [parked] = run(state(), raw(line), accounts=accounts, books=books).newly_parked
    assert parked.waits == waits


def test_a_cure_prices_the_event_and_releases_it() -> None:
    """Under its raw origin, with the reason and since when it was parked; its duplicate stays one."""
    found = state()
    result = commit(found, run(found, raw(LINE + " id=x", 41), books=NOT_YET), 17)
    cured = run(found, cures=[(found.parked[17], as_parked(result, 17))], now_ms=NOW_MS + 9000)
    [(_, value, *_)] = out(cured, TOPICS.priced)
    data = json.loads(value)["data"]
    assert data["origin"] == {"topic": "usage.raw.v1", "partition": 0, "offset": 41}
    assert data["parked"] == {"reason": "no_rate_at_time", "since": "2026-11-22T10:00:05Z"}
    assert data["priced_at"] == "2026-11-22T10:00:09Z"
    assert json.loads(value)["id"] == event(LINE + " id=x").fingerprint().hex() + "-0"
    [(key, value, kept, _)] = out(cured, TOPICS.parked)
    assert (key, value, dict(kept)[headers.RELEASED]) == (b"a", b"{}", b"17")
    assert len(out(cured, TOPICS.totals)) == 6
    commit(found, cured)
    assert found.parked == {}
    assert run(found, raw(LINE + " id=x", 42)).counts.duplicates == 1


@pytest.mark.parametrize(
    "encoded", [encode, encode_binary, lambda event: encode(event, ())], ids=["structured", "binary", "bare"]
)
def test_a_parked_event_is_readable_in_every_mode(encoded: Any) -> None:
    """Also where most of its headers were left out, and when it had been forwarded."""
    home, away = misrouted()
    value, given = encoded(usage("org_1 connector:c/t"))
    big = tuple((f"big{number}", b"y" * 9_000) for number in range(2))
    record = Rec(TOPICS.raw, away, 3, NOW_MS, None, value, (*given, *big))
    moved = forwarded_record(run(state(4), record, lane=lane(away, 4)), home)
    found = state(4)
    result = commit(found, run(found, rekeyed=[moved], lane=lane(home, 4), books=NOT_YET))
    assert len(found.parked) == 1
    key, kept_value, kept, timestamp = out(result, TOPICS.parked, home)[0]
    read_back = Rec(TOPICS.parked, home, 0, timestamp, key, kept_value, tuple(kept))
    cured = run(found, cures=[(found.parked[0], read_back)], lane=lane(home, 4))
    [(_, value, *_)] = out(cured, TOPICS.priced, home)
    assert json.loads(value)["data"]["origin"] == {"topic": "usage.raw.v1", "partition": away, "offset": 3}


def test_a_cure_is_not_too_late_at_any_age() -> None:
    """Only raw records are."""
    found = state()
    result = commit(found, run(found, raw(LINE, 0), books=NOT_YET))
    found.position = type(found.position)(app="stream-pricing", partitions=1, stream_time_ms=NOW_MS + 900 * DAY_MS)
    assert run(found, cures=[(found.parked[0], as_parked(result))], now_ms=NOW_MS + 900 * DAY_MS).counts.released == 1


def test_what_an_older_version_has_parked_and_this_one_rejects_stays_parked() -> None:
    """Failing on it again and again would hold up the partition at every start."""
    found = state()
    parked = as_parked(commit(found, run(found, raw(LINE, 0), books=NOT_YET)))
    assert parked.value is not None
    loose = replace(parked, value=parked.value.replace(b'"specversion"', b'"subject":"","specversion"', 1))
    cured = run(found, cures=[(found.parked[0], loose)])
    assert (cured.counts.released, cured.outputs, cured.changes.parked) == (0, {}, {})


def test_a_half_cure_changes_the_reason_without_a_second_record() -> None:
    """And what it waits for."""
    found = state()
    result = commit(found, run(found, raw("a ghost in=1", 0), books=NOT_YET))
    key = book(sheet(sample_sheet().replace(b"ftg-3.0-pro", b"ghost"), image="1"))
    half = commit(found, run(found, cures=[(found.parked[0], as_parked(result))], books=key))
    assert half.outputs == {}
    assert (found.parked[0].reason, found.parked[0].waits) == ("no_rate_at_time", ("fx", "sheet/aitronos"))
    assert found.parked[0].since == "2026-11-22T10:00:05Z"
    again = run(found, cures=[(found.parked[0], as_parked(result))], books=key)
    assert again.changes.parked == {}


def test_a_cure_and_its_account_may_come_in_one_batch() -> None:
    """Accounts are taken first."""
    found = state()
    result = commit(found, run(found, raw("a connector:c/t"), books=REQUIRED))
    given = account_record(account("a", ("tier_standard", START)))
    assert (
        run(found, accounts=[given], cures=[(found.parked[0], as_parked(result))], books=REQUIRED).counts.released == 1
    )


def test_newly_parked_records_come_before_releases() -> None:
    """`complete` takes the offsets of the first records of the parked topic."""
    found = state()
    result = commit(found, run(found, raw(LINE, 0), books=NOT_YET))
    both = run(found, raw("a ghost in=1", 1), cures=[(found.parked[0], as_parked(result))])
    released = [headers.RELEASED in dict(record[2]) for record in out(both, TOPICS.parked)]
    assert released == [False, True]
    commit(found, both, 1)
    assert list(found.parked) == [1]


# --- poison


def test_a_record_on_which_the_worker_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every input. There is no known way to make the worker fail, so a part of it is broken for this."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    home, away = misrouted()
    moved = forwarded_record(run(state(4), raw("org_1 connector:c/t", partition=away), lane=lane(away, 4)), home, 5)
    found = state()
    parked = commit(found, run(found, raw("a ghost in=1", 0)))
    monkeypatch.setattr(step_module, "price", broken)
    with pytest.raises(StepFailed) as failed:
        run(state(), Rec(TOPICS.raw, 0, 6, NOW_MS, None, b"{"), raw(LINE, 7))
    assert failed.value.origin == (TOPICS.raw, 0, 7)
    with pytest.raises(StepFailed) as failed:
        run(state(4), rekeyed=[moved], lane=lane(home, 4))
    assert failed.value.origin == (TOPICS.rekeyed, home, 5)
    with pytest.raises(StepFailed) as failed:
        run(found, cures=[(found.parked[0], as_parked(parked, 3))])
    assert failed.value.origin == (TOPICS.parked, 0, 3)
    monkeypatch.setattr(step_module, "judge", broken)
    with pytest.raises(StepFailed) as failed:
        run(state(), accounts=[account_record(account("a"), 9)])
    assert failed.value.origin == (TOPICS.accounts, 0, 9)


def test_a_failure_that_is_of_no_record_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up of all identities at once: an innocent event would be rejected for it."""
    found = state()
    monkeypatch.setattr(found.seen, "find", None)
    with pytest.raises(TypeError):
        run(found, raw(LINE, 7))


def test_a_poisoned_record_is_rejected_as_an_internal_error() -> None:
    """It alone; it claims no identity."""
    records = [raw(LINE + f" id={number}", number) for number in range(3)]
    result = run(state(), *records, poison=frozenset({(TOPICS.raw, 0, 1)}))
    assert (priced_ids(result), reasons(result)) == (["0", "2"], ["internal_error"])
    [(_, value, kept, _)] = out(result, TOPICS.rejected)
    assert (value, dict(kept)[headers.OFFSET]) == (records[1].value, b"1")
    assert sum(len(rows) for rows in result.changes.seen.values()) == 2
    assert result.changes.position.raw == 3


def test_a_poisoned_cure_stays_parked() -> None:
    """Nothing is lost; other cures go on."""
    found = state()
    result = commit(found, run(found, raw(LINE + " id=1", 0), raw(LINE + " id=2", 1), books=NOT_YET))
    cures = [(found.parked[number], as_parked(result, number, number)) for number in range(2)]
    cured = run(found, cures=cures, poison=frozenset({(TOPICS.parked, 0, 0)}))
    assert (cured.changes.released, priced_ids(cured)) == ([1], ["2"])


# --- expiry


def moved_to(found: State, append_ms: int, offset: int = 99, **named: Any) -> Step:
    """A step on one rejected record that moves stream time."""
    return run(found, Rec(TOPICS.raw, 0, offset, append_ms, None, b"x"), **named)


def test_ids_are_kept_as_long_as_they_can_come_again() -> None:
    """35 days, and two days of slack, by the day of the append time; then the day goes as a whole."""
    found = state()
    commit(found, run(found, raw(LINE, 0)))
    day = NOW_MS // DAY_MS
    last = (day + 38) * DAY_MS - 1
    assert commit(found, moved_to(found, last)).changes.expired_days == []
    assert len(found.seen) == 1
    gone = commit(found, moved_to(found, last + 1))
    assert gone.changes.expired_days == [day]
    assert len(found.seen) == 0


def test_a_duplicate_that_is_just_not_too_late_is_still_known() -> None:
    """Dated five minutes after its append time, it comes again 35 days after that date."""
    found = state()
    ahead = f"{LINE} at={at(NOW_MS + FIVE_MIN_MS)}"
    commit(found, run(found, raw(ahead, 0), books=WIDE))
    again = run(found, raw(ahead, 1, at_ms=NOW_MS + FIVE_MIN_MS + MAX_AGE_MS), books=WIDE)
    assert again.counts.duplicates == 1


def test_a_longer_age_does_not_bring_back_ids_that_a_shorter_one_forgot() -> None:
    """Whatever may have been among them stays too late; what is dated after the last of them is accepted."""
    found, later = state(), NOW_MS + 14 * DAY_MS
    shorter = replace(lane(), max_age_ns=10 * DAY_MS * 1_000_000)
    commit(found, run(found, raw(LINE, 0), lane=shorter))
    assert commit(found, moved_to(found, later, lane=shorter)).changes.expired_days == [NOW_MS // DAY_MS]
    next_day = at((NOW_MS // DAY_MS + 1) * DAY_MS + FIVE_MIN_MS)
    again = run(found, raw(LINE, 100, at_ms=later), raw(f"{LINE} id=2 at={next_day}", 101, at_ms=later))
    assert (reasons(again), priced_ids(again)) == (["too_late"], ["2"])


def test_a_batch_may_reach_over_what_it_makes_forgettable() -> None:
    """Its first records' ids expire with their day: the changelog keeps none of a day that is dropped."""
    found = state()
    commit(found, run(found, raw(LINE, 0)))
    result = run(found, raw(LINE + " id=2", 1), Rec(TOPICS.raw, 0, 2, NOW_MS + 60 * DAY_MS, None, b"x"))
    day = NOW_MS // DAY_MS
    written = dict(found.records(result.changes))
    assert [key for key, value in written.items() if key.startswith(b"seen/%d/" % day) and value is not None] == []
    commit(found, result)
    assert (len(found.seen), found.days()) == (0, [])


def test_totals_expire_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long pause they are too many for a transaction: each takes some, in the same hour too."""
    monkeypatch.setattr(step_module, "EXPIRED_MAX", 2)
    found = state()
    commit(found, run(found, *[raw(f"{LINE} id={number} project=p{number}", number) for number in range(3)]))
    late = NOW_MS + 70 * DAY_MS
    left = [
        sum("/hour/" in key for key in commit(found, moved_to(found, late + number)) and found.totals)
        for number in range(4)
    ]
    assert left == [4, 2, 0, 0]


@pytest.mark.parametrize(("window", "days"), [("hour", 62), ("day", 400)])
def test_totals_get_a_tombstone_when_their_window_is_long_past(window: str, days: int) -> None:
    """So long after its end; months never, and items with their project."""
    end = {"hour": NOW_MS + DAY_MS // 24, "day": (NOW_MS // DAY_MS + 1) * DAY_MS}[window]
    found = state()
    commit(found, run(found, raw(LINE, 0)))
    early = [
        record[0].decode() for record in out(commit(found, moved_to(found, end + days * DAY_MS - 1)), TOPICS.totals)
    ]
    assert [key for key in early if f"/{window}/" in key] == []
    result = commit(found, moved_to(found, end + days * DAY_MS))
    gone = {key.decode(): value for key, value, *_ in out(result, TOPICS.totals) if f"/{window}/" in key.decode()}
    start = {"hour": "2026-11-22T10:00:00Z", "day": "2026-11-22T00:00:00Z"}[window]
    assert gone == {f"a/p1/{window}/{start}": None, f"a/p1/{window}/{start}/ftg-3.0-pro": None}
    assert not set(gone) & set(found.totals)


def test_months_stay_for_ever() -> None:
    """Whatever stream time says."""
    found = state()
    commit(found, run(found, raw(LINE, 0)))
    commit(found, moved_to(found, NOW_MS + 4000 * DAY_MS))
    assert {key.split("/")[2] for key in found.totals} == {"month"}


def test_a_total_stays_while_an_event_of_its_window_is_parked() -> None:
    """Its project's and its items'; another project's goes. Once it is cured the next hour takes it."""
    found = state()
    lines = [LINE + " id=1", LINE + " id=2 project=p2", "a ghost in=1 project=p1"]
    result = commit(found, run(found, *[raw(line, number) for number, line in enumerate(lines)]))
    late = NOW_MS + 70 * DAY_MS
    commit(found, moved_to(found, late))
    hours = {key.split("/")[1] for key in found.totals if "/hour/" in key}
    assert hours == {"p1"}
    cured = book(sheet(sample_sheet().replace(b'"ftg-free"', b'"ghost"')), rate(start=START))
    commit(found, run(found, cures=[(found.parked[0], as_parked(result))], books=cured, now_ms=late))
    assert [
        json.loads(value)["events"] for key, value in found.totals.items() if key.count("/") == 3 and "/hour/" in key
    ] == [2]
    commit(found, moved_to(found, late + DAY_MS // 24))
    assert [key for key in found.totals if "/hour/" in key] == []


def test_nothing_expires_within_an_hour_of_stream_time() -> None:
    """Looking is not free, so it is done once an hour."""
    found = state(stream_time_ms=NOW_MS + 1000)
    old = NOW_MS - 39 * DAY_MS
    found.seen.add(old // DAY_MS, bytes(32))
    found._file(old // DAY_MS, [(b"seen/%d/0" % (old // DAY_MS), bytes(32))])
    assert moved_to(found, NOW_MS + 3_599_999).changes.expired_days == []
    assert moved_to(found, NOW_MS + 3_600_000).changes.expired_days == [old // DAY_MS]
