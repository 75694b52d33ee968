"""Wire forms: what the worker writes parses, and has exactly the strings and numbers that it should."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.accounts import account_bytes, parse_account
from pricing.documents import read_json
from pricing.money import exact, plain
from pricing.times import format_time, parse_time
from pricing.totals import WINDOWS, TotalKey, window_end, window_start
from streams.codec import PricedWriter
from streams.letters import RawRecord
from streams.total_codec import heading, read_total, write_total
from tests.product import START, account, book, priced, rate, sheet
from tests.usage import sample_sheet, usage

BOOK = book(sheet(sample_sheet(), image="13.2"), rate(start=START))
FINGERPRINT = bytes(range(16))
HOSTILE = [
    '"',
    "\\",
    '\\"',
    "%s%d%%",
    "{0}{x}",
    "a:b,c",
    "</script>",
    "\u2028\u2029",
    "é" * 128,
    "\U0001f600",
    "\ufeff",
    "' OR 1=1",
    "\\u0041",
    "null",
]
STRINGS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), min_size=1, max_size=20)


def written(made: dict[str, Any] | str, parked: str = "") -> dict[str, Any]:
    """The record of a priced event, as a consumer reads it; strictly, so that no key is there twice."""
    writer = PricedWriter("stream-pricing")
    origin = RawRecord("usage.raw.v1", 3, 991)
    value = writer.event(priced(made, BOOK), FINGERPRINT, origin, "2026-11-22T10:00:00.41Z", parked)
    read_json(value, name="priced event")
    return json.loads(value)


def test_a_priced_event_is_a_cloud_event_of_the_contract() -> None:
    """Its envelope whole, and what its data has beside the price."""
    found = written("org_1 connector:c/t project=proj_7 at=2026-11-22T11:00:00.123+01:00")
    data = found.pop("data")
    assert found == {
        "specversion": "1.0",
        "id": "000102030405060708090a0b0c0d0e0f-0",
        "source": "/stream-pricing/stream-pricing",
        "type": "ai.usage.priced.v1",
        "time": "2026-11-22T10:00:00.123Z",
        "subject": "proj_7",
        "datacontenttype": "application/json",
    }
    assert data["origin"] == {"topic": "usage.raw.v1", "partition": 3, "offset": 991}
    assert (data["priced_at"], data["revision"]) == ("2026-11-22T10:00:00.41Z", 0)
    assert "parked" not in data


def test_an_event_that_was_parked_says_so() -> None:
    """With the reason and since when."""
    parked = {"reason": "no_rate_at_time", "since": "2026-11-22T10:00:00Z"}
    assert written("a connector:c/t", f'"parked":{json.dumps(parked)},')["data"]["parked"] == parked


EVERY_FIELD: list[tuple[str, tuple[str, ...]]] = [
    ("a ftg-3.0-pro in=1", ("provider", "region", "user", "api_key_id", "service_tier", "not_billable_because")),
    ("a ftg-embed in=1", ("priority",)),
    ("a image:generate", ("model",)),
    ("a connector:c/t", ("connector", "tool")),
]
CASES = [(line, field, text) for line, fields in EVERY_FIELD for field in fields for text in HOSTILE]


@pytest.mark.parametrize(("line", "field", "text"), CASES)
def test_a_hostile_string_comes_out_as_it_went_in(line: str, field: str, text: str) -> None:
    """In every field that is echoed, and nowhere else does it do harm."""
    made = usage(line)
    expected = written(made)["data"]
    made["data"][field] = text
    found = written(made)["data"]
    if field == "connector":
        expected["item"] = f"connector.{text}"
    assert found == expected | {field: text}


@given(STRINGS, STRINGS, st.dictionaries(STRINGS, STRINGS, max_size=3))
def test_any_identity_and_labels_come_out_as_they_went_in(id: str, source: str, labels: dict[str, str]) -> None:
    """Strings as they are, escaped or not."""
    made = usage("a connector:c/t") | {"id": id, "source": source}
    made["data"]["labels"] = labels
    found = written(made)["data"]
    assert (found["event"]["id"], found["event"]["source"], found["labels"]) == (id, source, labels)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_token_kind_or_dimension_is_a_meter_like_any_other(text: str) -> None:
    """The names of lines come from sheets too; a `%` is no place for a number."""
    found = sheet(sample_sheet())
    model = next(each for each in found.models if each.key == "ftg-3.0-pro")
    model = model.model_copy(update={"prices": {text: Decimal(1)}})
    made = usage("a ftg-3.0-pro in=1")
    made["data"]["tokens"] = {text: 8}
    found = found.model_copy(update={"models": (model,)})
    [line] = json.loads(PricedWriter("w").data(priced(made, book(found, rate(start=START)))))["lines"]
    assert (line["meter"], line["quantity"], line["consumed"], line["list"]) == (text, "8", "16", "0.000016")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_sheet_writes_what_it_says(text: str) -> None:
    """Models, units, operations and tiers are the sheet's strings."""
    found = sheet(sample_sheet(), image="1")
    model = found.models[0].model_copy(update={"key": text})
    unit = found.terminal["egress_bytes"].model_copy(update={"unit": text})
    tier = found.tiers["tier_standard"].model_copy(update={"id": text})
    changed = found.model_copy(
        update={
            "models": (model,),
            "terminal": {text: unit},
            "tiers": {text: tier},
            "image_operations": {text: Decimal(1)},
        }
    )
    known = parse_account(account_bytes(account("a", ("MARK", START))).replace(b'"MARK"', json.dumps(text).encode()))
    made = [usage("a mdl_ftg30pro in=1"), usage("a terminal egress_bytes=1"), usage("a image:generate")]
    made[1]["data"]["dimensions"] = {text: 2}
    made[2]["data"]["operation"] = text
    writer = PricedWriter('app"\\%s')
    one, two, three = (
        json.loads(
            writer.event(priced(each, book(changed, rate(start=START)), known), FINGERPRINT, RawRecord("t", 0, 0), "x")
        )
        for each in made
    )
    assert one["source"] == '/stream-pricing/app"\\%s'
    assert (one["data"]["model"], one["data"]["item"], one["data"]["tier"]["id"]) == (text, text, text)
    assert (two["data"]["lines"][0]["meter"], two["data"]["lines"][0]["unit"]) == (f"terminal.{text}", text)
    assert (three["data"]["lines"][0]["meter"], three["data"]["item"]) == (f"image.{text}", f"image.{text}")


def test_the_same_writer_writes_the_same_bytes_again() -> None:
    """What it keeps of one event says nothing about the next."""
    lines = [
        "a ftg-3.0-pro in=1",
        "a ftg-3.0-pro in=2 user=x",
        "a terminal egress_bytes=1",
        "a ftg-3.0-pro in=1 priority=high",
    ]
    kept = PricedWriter("app")
    for line in [*lines, *reversed(lines), *lines]:
        assert kept.data(priced(line, BOOK)) == PricedWriter("app").data(priced(line, BOOK))


# --- totals

DECIMALS = st.decimals(min_value=0, max_value=10**15, places=6, allow_nan=False).map(plain)
AMOUNTS = st.dictionaries(st.sampled_from(["CHF", "USD", "EUR"]), DECIMALS)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@~-]{0,9}", fullmatch=True)
CONVERTED = st.fixed_dictionaries({"list": DECIMALS, "net": DECIMALS, "due": DECIMALS})


@st.composite
def totals(draw: st.DrawFn) -> dict[str, Any]:
    """Any total, as section 5 of the contract writes it."""
    window = draw(st.sampled_from(WINDOWS))
    start = window_start(window, draw(st.integers(0, 4 * 10**18)))
    item = draw(st.none() | STRINGS)
    return {
        "organization": draw(NAMES),
        "project": draw(NAMES),
        "window": window,
        "start": format_time(start),
        "end": format_time(window_end(window, start)),
        **({} if item is None else {"item": item}),
        "events": draw(st.integers(1, 2**53)),
        "not_billable_events": draw(st.integers(0, 2**53)),
        "tokens": str(draw(st.integers(0, 10**30))),
        "synapses": draw(DECIMALS),
        "neurons": draw(DECIMALS),
        "quantities": draw(st.dictionaries(STRINGS | st.sampled_from(HOSTILE), DECIMALS, max_size=3)),
        "list": draw(AMOUNTS),
        "net": draw(AMOUNTS),
        "due": draw(AMOUNTS),
        "converted": draw(st.dictionaries(st.sampled_from(["USD", "EUR"]), CONVERTED)),
        "provider_cost": draw(AMOUNTS),
        "revision": draw(st.integers(1, 2**53)),
        "as_of": format_time(draw(st.integers(0, 4 * 10**18))),
    }


@given(totals())
def test_a_total_is_written_as_it_was_read(found: dict[str, Any]) -> None:
    """Every field, exactly: it is its own changelog. Nothing is in it that the contract does not say."""
    with exact():
        key, total = read_total(json.dumps(found).encode())
        value = write_total(heading(key), total)
        assert read_total(value) == (key, total)
    read_json(value, name="total")
    assert json.loads(value) == found
    assert (key.organization, key.project, key.window, key.item) == (
        found["organization"],
        found["project"],
        found["window"],
        found.get("item"),
    )
    assert (format_time(key.start), total.revision) == (found["start"], found["revision"])


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (None, "org_1/p:1/hour/2026-11-22T10:00:00Z"),
        ("ftg-3.0-pro", "org_1/p:1/hour/2026-11-22T10:00:00Z/ftg-3.0-pro"),
        ("connector.a/b/c", "org_1/p:1/hour/2026-11-22T10:00:00Z/connector.a/b/c"),
        ("connector.é %", "org_1/p:1/hour/2026-11-22T10:00:00Z/connector.é %"),
    ],
)
def test_the_key_of_a_total_has_four_parts_or_five(item: str | None, text: str) -> None:
    """Only the item may contain a slash."""
    assert heading(TotalKey("org_1", "p:1", "hour", parse_time("2026-11-22T10:00:00Z"), item)).name == text
