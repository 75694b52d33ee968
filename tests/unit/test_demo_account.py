"""The demo's account: it accepts what the worker writes, and nothing that differs from it by a digit or a record."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from streams.batch import Inputs
from streams.demo_account import Account, Found, account_of
from streams.demo_usage import Producer
from streams.step import step
from streams.topics import Topics
from tests.product import Rec, account, book, lane, raw, state
from tests.usage import NOW_MS

LINES = (
    "org_1 ftg-3.0-pro in=1000 cached=200 out=50",
    "org_1 terminal egress_bytes=5 cpu_seconds=2.5",
    "org_1 code cpu=5.5 mb=512 wall=10 billable=no",
    "org_1 ftg-3.0-pro in=1000 cached=200 out=50",  # a duplicate of the first
    "org_1 ghost in=1",
    "org_1 ftg-3.0-pro in=-1",
)


def worked() -> Found:
    """What the worker's step makes of these events: three priced, a duplicate, a parked and a rejected one."""
    sources = [raw(line, offset) for offset, line in enumerate(LINES)]
    first = step(state(), Inputs(accounts=[_account()]), book(), lane(), NOW_MS)
    known = state()
    known.fold(first.changes)
    outputs = step(known, Inputs(raw=sources), book(), lane(), NOW_MS).outputs
    topics = Topics()

    def written(topic: str) -> list[Rec]:
        found = outputs.get((topic, 0), [])
        return [Rec(topic, 0, n, NOW_MS, *rest, tuple(own)) for n, (*rest, own, _) in enumerate(found)]

    names = (topics.priced, topics.parked, topics.rejected, topics.totals)
    return Found(sources, *[written(name) for name in names])  # type: ignore[arg-type]


def _account() -> Rec:
    known = account("org_1", ("tier_standard", "2026-11-01T00:00:00Z"))
    return Rec(Topics().accounts, 0, 0, NOW_MS, b"org_1", known.model_dump_json(by_alias=True).encode())


def edited(record: Rec, change: Callable[[Any], None]) -> Rec:
    """The record with another value."""
    value = json.loads(record.value or b"")
    change(value)
    return Rec(**{**record.__dict__, "value": json.dumps(value).encode()})


def test_what_the_worker_writes_adds_up() -> None:
    """Each raw record once."""
    found: Account = account_of(worked())
    assert found.problems == []
    assert (found.open, [line.split()[:2] for line in found.lines[:5]]) == (
        1,
        [["6", "raw"], ["3", "priced,"], ["1", "duplicates"], ["1", "parked,"], ["1", "rejected:"]],
    )


AMOUNTS: dict[str, Callable[[Any], None]] = {
    "a line's list": lambda event: event["data"]["lines"][0].update(list="0.0264000001"),
    "a line's net": lambda event: event["data"]["lines"][0].update(net="0.02376000000000000001"),
    "a line's due": lambda event: event["data"]["lines"][0].update(due="0"),
    "a line's quantity": lambda event: event["data"]["lines"][0].update(consumed="2001"),
    "the sum": lambda event: event["data"]["list"].update(CHF="1"),
    "synapses": lambda event: event["data"].update(synapses="1"),
    "the conversion": lambda event: event["data"]["converted"]["USD"].update(net="1"),
    "the rate": lambda event: event["data"]["fx"][0].update(rate="1.12340001"),
    "the discount": lambda event: event["data"]["tier"].update(discount_percentage="10.5"),
}


@pytest.mark.parametrize("change", AMOUNTS.values(), ids=AMOUNTS)
def test_a_wrong_amount_is_a_problem(change: Callable[[Any], None]) -> None:
    """However small."""
    found = worked()
    found.priced[0] = edited(found.priced[0], change)
    assert any(problem.startswith("priced event") for problem in account_of(found).problems)


TOTALS: dict[str, Callable[[Any], None]] = {
    "events": lambda total: total.update(events=total["events"] + 1),
    "not billable events": lambda total: total.update(not_billable_events=7),
    "tokens": lambda total: total.update(tokens="7"),
    "neurons": lambda total: total.update(neurons="7"),
    "quantities": lambda total: total["quantities"].update(input="7"),
    "due": lambda total: total["due"].update(CHF="7"),
    "converted": lambda total: total["converted"]["USD"].update(due="7"),
}


@pytest.mark.parametrize("change", TOTALS.values(), ids=TOTALS)
def test_a_wrong_total_is_a_problem(change: Callable[[Any], None]) -> None:
    """Field by field."""
    found = worked()
    found.totals[-1] = edited(found.totals[-1], change)
    assert [problem.startswith("total ") for problem in account_of(found).problems] == [True]


def test_a_missing_and_a_surplus_total_are_problems() -> None:
    """Each by its key."""
    found = worked()
    lost = found.totals.pop()
    found.totals.append(Rec(**{**lost.__dict__, "key": b"org_9/p/hour/2026-11-22T10:00:00Z"}))
    assert len(account_of(found).problems) == 2


@pytest.mark.parametrize("topic", ["priced", "parked", "rejected"])
def test_a_lost_record_is_a_problem(topic: str) -> None:
    """A raw record that no topic knows is a duplicate only where another one with its identity was priced or parked."""
    found = worked()
    getattr(found, topic).pop()
    assert any("has no outcome" in problem for problem in account_of(found).problems)


@pytest.mark.parametrize("topic", ["priced", "parked", "rejected"])
def test_a_record_that_is_there_twice_is_a_problem(topic: str) -> None:
    """Two outcomes of one raw record."""
    found = worked()
    records = getattr(found, topic)
    records.append(Rec(**{**records[-1].__dict__, "offset": len(records)}))
    assert account_of(found).problems != []


def test_the_producer_makes_the_same_stream_for_the_same_seed() -> None:
    """With every type, and with what goes wrong in practice."""
    streams = [Producer(["org_a", "org_b"], 4, seed=1) for _ in range(2)]
    first, second = [[each.next(NOW_MS * 1_000_000) for _ in range(2000)] for each in streams]
    assert first == second
    types = {kind for each in first for kind in [each.value.partition(b'"type":"ai.usage.')[2].partition(b".")[0]]}
    assert types >= {b"model", b"image", b"code_execution", b"connector_tool", b"terminal", b"telepathy"}
    assert len({each.value for each in first}) < len(first)
    assert any(each.key is None for each in first)
