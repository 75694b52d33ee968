"""What `totals`, `parked list` and `rejected list` print, with topics that are lists of records."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from streams.cli import looking, main
from streams.settings import Settings

FIXED = "organization,project,window,start,end,events,not_billable_events,events_without_cost,tokens,synapses,neurons"
DAY = {"organization": "org", "project": "p", "window": "day", "events": 1, "converted": {}}


class Record(NamedTuple):
    """As much of a consumer's record as is read."""

    key: bytes
    value: bytes


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """What every topic has: nothing yet."""
    records: list[Record] = []

    async def read(_settings: Settings, _topic: str, *, on_record: Callable[[Any], None]) -> None:
        for record in records:
            on_record(record)

    monkeypatch.setattr(looking, "read_topic", read)
    return records


def show(*args: str) -> Result:
    return CliRunner().invoke(main, args, prog_name="stream-pricing")


def total(start: str, **sums: Any) -> Record:
    """A day of org/p."""
    return Record(f"org/p/day/{start}".encode(), json.dumps({**DAY, "start": start, **sums}).encode())


def test_columns_are_in_one_order_whatever_the_rows_have(topic: list[Record]) -> None:
    """Meters and currencies by name at their group's place, also where a later row has them first."""
    topic.append(total("1", quantities={"output": "5"}, due={"USD": "2"}, as_of="t1", revision=1))
    topic.append(total("2", quantities={"input": "7"}, due={"CHF": "3"}, provider_cost={"USD": "1"}, revision=2))
    head, *rows = show("totals", "p", "--csv").stdout.splitlines()
    assert head == f"{FIXED},quantities_input,quantities_output,due_CHF,due_USD,provider_cost_USD,revision,as_of"
    assert rows == ["org,p,day,1,,1,,,,,,,5,,2,,1,t1", "org,p,day,2,,1,,,,,,7,,3,,1,2,"]


def test_a_member_that_is_new_to_us_comes_last(topic: list[Record]) -> None:
    """A newer worker may have written the topic."""
    topic.append(total("1", surprise="x"))
    assert show("totals", "p", "--csv").stdout.splitlines()[0] == f"{FIXED},revision,as_of,surprise"


@pytest.mark.parametrize(
    ("args", "printed", "said"),
    [
        (("totals", "p"), "", "there are no totals of project 'p' by the day\n"),
        (("totals", "p", "--json"), "", "there are no totals of project 'p' by the day\n"),
        (("totals", "p", "--csv"), f"{FIXED},revision,as_of\n", "there are no totals of project 'p' by the day\n"),
        (
            ("totals", "p", "--csv", "--items"),
            f"{FIXED.replace(',end,', ',end,item,')},revision,as_of\n",
            "there are no totals of project 'p' by the day\n",
        ),
        (("parked", "list"), "", "no event is parked\n"),
        (("rejected", "list"), "", "no record is rejected\n"),
    ],
)
def test_where_there_is_nothing_that_is_said(
    topic: list[Record], args: tuple[str, ...], printed: str, said: str
) -> None:
    """On stderr; a file of CSV has its heading nonetheless."""
    assert topic == []
    result = show(*args)
    assert (result.exit_code, result.stdout, result.stderr) == (0, printed, said)


def test_two_forms_at_once_are_wrong_usage() -> None:
    """Neither is taken in silence."""
    result = show("totals", "p", "--csv", "--json")
    assert (result.exit_code, "--csv and --json" in result.stderr) == (2, True)
