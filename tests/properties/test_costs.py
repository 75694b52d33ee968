"""Costs and margins against the oracle: random events by random books, and whole streams, with cost sheets set."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.book import Book, Policy
from pricing.money import exact
from pricing.rating import Missing
from pricing.totals import Tally, Total, TotalKey, first_total
from streams.total_codec import heading, read_total, write_total
from tests import oracle
from tests.oracle import Oracle, Parked, Record, Settings, account
from tests.oracle_checks import differences, total_differences
from tests.oracle_totals import Totals
from tests.product import book_of, data, event, priced
from tests.properties.test_against_oracle import (
    FACTORS,
    LATER,
    LINES,
    START,
    TOPICS,
    World,
    books,
    directs,
    documents,
    policy_of,
    product_answer,
)
from tests.usage import NOW_MS, as_records, encode, stream, usage
from tests.usage_samples import days_before, sample_accounts, sample_direct, sample_rates, sample_sheet, sample_sheets

COST_SHEETS = {"acme": "costs", "openai": "aitronos", "gone": "unpublished"}
PROVIDERS = ["", " provider=acme", " provider=openai", " provider=gone", " provider=other"]
BILLED = st.one_of(st.none(), FACTORS.filter(lambda text: "." not in text or len(text.partition(".")[2]) <= 18))
USAGE = st.tuples(st.sampled_from(LINES), st.sampled_from(PROVIDERS), BILLED)


def made(line: str, provider: str, billed: str | None, number: int = 0) -> dict[str, Any]:
    """A usage event, of that provider, with what it billed."""
    found = usage(f"{line}{provider} id={number}")
    if billed is not None:
        found["data"]["provider_cost"] = {"amount": billed, "currency": "USD"}
    return found


@settings(max_examples=100)
@given(
    books(), st.tuples(documents(), directs()), st.sampled_from([START, LATER]), st.lists(USAGE, min_size=1, max_size=4)
)
def test_every_cost_is_what_the_usage_lists_at_on_the_cost_sheet(
    found: Any, costs: tuple[bytes, bytes], start: str, used: list[Any]
) -> None:
    """Or there is none, and the price is the same as without cost sheets."""
    sheets, rates, accounts, chosen = found
    sheets = [*sheets, oracle.Sheet("costs", "c", start, costs[0], "0.25", costs[1])]
    asked = Settings(chosen.sheets, chosen.report_currencies, chosen.require_account, cost_sheets=COST_SHEETS)
    judge = Oracle(sheets, rates, accounts, asked)
    at_cost = Oracle(sheets, rates, {}, Settings(COST_SHEETS, chosen.report_currencies))
    plain_book, book = (book_of(sheets, rates, policy) for policy in (policy_of(chosen), with_costs(asked)))
    for line, provider, billed in used:
        value, _ = encode(made(line, provider, billed), ())
        verdict = judge.judge(Record(TOPICS.raw, 0, 0, NOW_MS, None, value))
        assert isinstance(verdict, oracle.Event), line
        expected, answer = judge.price(verdict), product_answer(value, book, accounts)
        without = product_answer(value, plain_book, accounts)
        if isinstance(answer, Parked) or isinstance(expected, Parked) or isinstance(without, Parked):
            assert answer == expected == without, line
            continue
        assert differences(expected, answer) == [], line
        assert differences(without, stripped(answer)) == [], line
        assert_margins(answer)
        if "cost" in answer:
            assert_lines(answer, at_cost.price(verdict))


def with_costs(found: Settings) -> Policy:
    """The oracle's settings as the product has them."""
    return policy_of(found)._replace(cost_sheets=found.cost_sheets)


def stripped(answer: dict[str, Any]) -> dict[str, Any]:
    """A priced event without what cost sheets add to it."""
    added = {"cost", "margin", "cost_sheet", "cost_currency"}
    found = {name: value for name, value in answer.items() if name not in added}
    found["lines"] = [{name: text for name, text in line.items() if name not in added} for line in answer["lines"]]
    found["converted"] = {
        report: {name: text for name, text in amounts.items() if name not in added}
        for report, amounts in answer["converted"].items()
    }
    if "cost" in answer:  # the rates of the cost may be more
        priced_in = {line["currency"] for line in answer["lines"] if line["list"] != "0"}
        found["fx"] = [one for one in answer["fx"] if one["pair"][:3] in priced_in]
    return found


def assert_margins(answer: dict[str, Any]) -> None:
    """Margins are what is due less the cost, in every currency; either all of it is there or nothing."""
    if "cost" not in answer:
        assert "margin" not in answer
        assert not any("cost" in part for part in (*answer["lines"], *answer["converted"].values()))
        return
    for currency in answer["due"].keys() | answer["cost"].keys():
        left = Fraction(answer["due"].get(currency, 0)) - Fraction(answer["cost"].get(currency, 0))
        assert Fraction(answer["margin"][currency]) == left
    for amounts in answer["converted"].values():
        assert Fraction(amounts["margin"]) == Fraction(amounts["due"]) - Fraction(amounts["cost"])


def assert_lines(answer: dict[str, Any], cost: Any) -> None:
    """All tokens are in lines, so what they cost is too; of the rest, what has a line on both sheets."""
    meters = {line["meter"] for line in answer["lines"]}
    wanted: dict[str, Fraction] = {}
    for line in cost["lines"]:
        if line.get("unit") == "token" or line["meter"] in meters:
            wanted[line["currency"]] = wanted.get(line["currency"], Fraction(0)) + Fraction(line["list"])
    found: dict[str, Fraction] = {}
    for line in answer["lines"]:
        if "cost" in line:
            found[line["cost_currency"]] = found.get(line["cost_currency"], Fraction(0)) + Fraction(line["cost"])
    assert {c: amount for c, amount in found.items() if amount} == {c: amount for c, amount in wanted.items() if amount}


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.lists(st.lists(USAGE, min_size=1, max_size=8), min_size=1, max_size=3))
def test_totals_have_the_costs_of_their_events(seed: int, batches: list[list[Any]]) -> None:
    """Over several batches, by the oracle's sums of what the product wrote; and they read back as they were."""
    chosen = random.Random(seed)
    found = Settings(cost_sheets=COST_SHEETS)
    book, expected = costed_book(found), Totals(found)
    totals: dict[TotalKey, Total] = {}
    with exact():
        for number, batch in enumerate(batches):
            tally = Tally(("USD",))
            for place, (line, provider, billed) in enumerate(batch):
                one = made(line, provider, billed, 100 * number + place)
                one["time"] = f"2026-11-{chosen.randint(13, 22):02d}T10:00:00Z"
                try:
                    tally.add(priced(one, book))
                except Missing:
                    continue
                expected.add(data(one, book), event(one).at)
            for key, sums in tally.sums().items():
                totals[key] = totals[key].plus(sums, 0) if key in totals else first_total(sums, 0)
        records = {heading(key).name: write_total(heading(key), total) for key, total in totals.items()}
    assert dict(map(read_total, records.values())) == totals
    written = {name: json.loads(value) for name, value in records.items()}
    wanted = expected.values()
    assert written.keys() == wanted.keys()
    assert [problem for key in wanted for problem in total_differences(wanted[key], written[key])] == []


def costed_sheets(cured: bool = False) -> list[oracle.Sheet]:
    """The sample sheets, and one with costs: in force later than prices are, without a price of images."""
    direct = sample_direct(NOW_MS)
    costs = oracle.Sheet("costs", "c1", days_before(NOW_MS, 8), sample_sheet(raised=True), direct=direct)
    return [*sample_sheets(NOW_MS, cured), costs]


def costed_book(found: Settings, cured: bool = False) -> Book:
    """The book of these."""
    return book_of(costed_sheets(cured), sample_rates(NOW_MS, cured), with_costs(found))


@pytest.mark.parametrize("seed", range(300, 306))
def test_a_stream_with_cost_sheets_is_accounted_for(seed: int) -> None:
    """As one without; what is parked waits for the price alone, and a cured event gets its cost."""
    found = Settings(cost_sheets=COST_SHEETS)
    accounts = sample_accounts(NOW_MS)
    judges = [Oracle(costed_sheets(cured), sample_rates(NOW_MS, cured), accounts, found) for cured in (False, True)]
    raw = stream(seed, 120)
    made_world = World(costed_book(found), random.Random(seed), batch_max=random.Random(seed).choice([1, 7, 40]))
    for record in as_records(raw):
        made_world.append(record.topic, record.partition, record.key, record.value, record.headers, record.timestamp_ms)
    made_world.run()
    assert account(made_world.found(), judges[:1]) == []
    made_world.publish(costed_book(found, cured=True))
    assert account(made_world.found(), judges) == []
    written = [json.loads(one.value) for one in made_world.records(TOPICS.priced)]
    assert any("cost" in one["data"] for one in written)
