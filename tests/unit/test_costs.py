"""What usage costs its seller: sums, margins, lines where two sheets cut usage otherwise, and what providers billed."""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import orjson
import pytest

from pricing.book import Book, Policy
from pricing.costs import Cost, NoCost
from pricing.exchange import FxRate
from pricing.money import exact
from pricing.sheets import Sheet, parse_sheet
from streams.batch import Inputs, Step
from streams.metrics import Metrics
from streams.offline import as_text, offline
from streams.reconciling import Compared, differences, findings
from streams.settings import load_settings
from streams.step import step
from streams.topics import Topics
from tests.oracle import plain
from tests.product import START, Rec, account, book, data, lane, priced, rate, raw, sheet, state
from tests.usage import NOW_MS, encode, sample_sheet, source_sheet, usage

TOPICS = Topics()
ALL = {"*": "costs"}
PRICES = (sheet(sample_sheet()), rate(start=START))


def costs(*models: dict[str, Any], start: str = START, **fields: Any) -> Sheet:
    """A sheet of direct models in USD."""
    full = [{"category": "direct", "currency": "USD", **model} for model in models]
    head = {"id": "costs", "version": "1", "effective_from": start}
    return parse_sheet(orjson.dumps({**head, "models": full, **fields}))


def book_with(cost_sheet: Sheet, *others: Sheet | FxRate, cost_sheets: dict[str, str] = ALL) -> Book:
    """The sample sheet, a cost sheet for all providers, CHF/USD."""
    return book(*(others or PRICES), cost_sheet, policy=Policy({"*": "aitronos"}, cost_sheets=cost_sheets))


PRO = {"key": "ftg-3.0-pro", "prices": {"input": "2", "cache_read": "0.2", "output": "8"}}


# --- what an event has


def test_an_event_has_its_cost_and_what_is_left_by_currency_by_line_and_converted() -> None:
    """The example of section 4 of the contract with a cost sheet in USD; without a tier."""
    found = data("a ftg-3.0-pro in=1234 cached=512 out=345", book_with(costs(PRO)))
    assert found["cost"] == {"USD": "0.0053304"}
    assert found["margin"] == {"CHF": "0.07946928", "USD": "-0.0053304"}
    assert found["cost_sheet"] == {"id": "costs", "version": "1"}
    assert [(line["meter"], line["cost"], line["cost_currency"]) for line in found["lines"]] == [
        ("input", "0.002468", "USD"),
        ("cache_read", "0.0001024", "USD"),
        ("output", "0.00276", "USD"),
    ]
    assert found["converted"] == {
        "USD": {
            "list": "0.089275789152",
            "net": "0.089275789152",
            "due": "0.089275789152",
            "cost": "0.0053304",
            "margin": "0.083945389152",
        }
    }


def test_members_stand_behind_what_is_due() -> None:
    """In a line, among the sums, and in the conversion."""
    found = data("a ftg-3.0-pro in=1", book_with(costs(PRO)))
    names = list(found)
    assert names[names.index("due") :][:5] == ["due", "cost", "margin", "cost_sheet", "converted"]
    assert list(found["lines"][0])[-3:] == ["due", "cost", "cost_currency"]
    assert list(found["converted"]["USD"]) == ["list", "net", "due", "cost", "margin"]


def test_the_discount_is_on_the_price_alone_and_what_is_not_billed_costs_all_the_same() -> None:
    """The margin is then the whole cost, below 0."""
    at_cost = book_with(costs(PRO))
    discounted = data("a ftg-3.0-pro in=1000", at_cost, account("a", ("tier_standard", START)))
    assert discounted["cost"] == {"USD": "0.002"}
    assert discounted["margin"] == {"CHF": "0.02376", "USD": "-0.002"}
    found = data("a ftg-3.0-pro in=1000 billable=no", at_cost)
    assert (found["due"], found["cost"]) == ({"CHF": "0"}, {"USD": "0.002"})
    assert found["margin"] == {"CHF": "0", "USD": "-0.002"}
    assert found["converted"]["USD"]["margin"] == "-0.002"


def test_what_was_not_used_costs_nothing() -> None:
    """Which is known: the members are there, empty."""
    found = data("a ftg-3.0-pro in=0", book_with(costs(PRO)))
    assert (found["cost"], found["margin"], found["lines"]) == ({}, {}, [])
    assert found["converted"]["USD"]["margin"] == "0"


@pytest.mark.parametrize(
    ("line", "cost_sheets", "expected"),
    [
        ("a ftg-3.0-pro in=1000 provider=acme", {"acme": "costs"}, {"USD": "0.002"}),
        ("a ftg-3.0-pro in=1000 provider=acme", {"*": "costs"}, {"USD": "0.002"}),
        ("a ftg-3.0-pro in=1000 provider=acme", {"acme": "aitronos", "*": "costs"}, {"CHF": "0.0264"}),
        ("a ftg-3.0-pro in=1000", {"*": "costs"}, {"USD": "0.002"}),
        ("a ftg-3.0-pro in=1000", {"acme": "costs"}, None),
        ("a ftg-3.0-pro in=1000 provider=other", {"acme": "costs"}, None),
        ("a ftg-3.0-pro in=1000 provider=acme", {}, None),
    ],
)
def test_the_provider_decides_the_cost_sheet(line: str, cost_sheets: dict[str, str], expected: Any) -> None:
    """As it decides the price sheet; one without a cost sheet has no cost and is not missing one."""
    found = book_with(costs(PRO), cost_sheets=cost_sheets)
    assert data(line, found).get("cost") == expected
    assert (priced(line, found).cost is None) == (expected is None)


@pytest.mark.parametrize(
    ("line", "cost_sheet", "reason"),
    [
        ("a ftg-3.0-pro in=1", costs(PRO, start="2026-12-01T00:00:00Z"), "no_sheet_at_time"),
        ("a ftg-3.0-mini in=1", costs(PRO), "no_price_for_model"),
        ("a ftg-3.0-pro in=1 service_tier=flex", costs(PRO), "no_price_for_model"),
        ("a ftg-3.0-pro in=1 created=1", costs(PRO), "no_price_for_meter"),
        ("a connector:c/t", costs(PRO), "no_price_for_meter"),
        ("a ftg-3.0-pro in=1", costs({**PRO, "currency": "EUR"}), "no_rate_at_time"),
    ],
)
def test_a_cost_that_is_not_known_is_left_out_whole(line: str, cost_sheet: Sheet, reason: str) -> None:
    """The price is what it would be without a cost sheet, and nothing is parked."""
    found = book_with(cost_sheet)
    answer = data(line, found)
    assert answer == data(line, book(*PRICES))
    missing = priced(line, found).cost
    assert isinstance(missing, NoCost)
    assert missing.reason == reason


def test_a_cost_in_another_currency_names_the_rate_it_was_converted_at() -> None:
    """Once, also where the price has the same."""
    euro = rate("EUR/USD", "1.1", START)
    found = data("a ftg-3.0-pro in=1000", book_with(costs({**PRO, "currency": "EUR"}), sheet(), rate(), euro))
    assert [one["pair"] for one in found["fx"]] == ["CHF/USD", "EUR/USD"]
    assert found["converted"]["USD"]["cost"] == "0.0022"
    same = data("a ftg-3.0-pro in=1000", book_with(costs({**PRO, "currency": "CHF"})))
    assert [one["pair"] for one in same["fx"]] == ["CHF/USD"]
    assert same["margin"] == {"CHF": "0.0244"}


# --- lines where the two sheets cut usage otherwise


def response(*, text: int, reasoning: int, input_: int) -> dict[str, Any]:
    """A chat completion with tokens of reasoning."""
    found = usage("a ftg-3.0-pro in=1")
    found["type"] = "ai.usage.response.v1"
    details = {"reasoning_tokens": reasoning}
    counts = {"prompt_tokens": input_, "completion_tokens": text + reasoning, "completion_tokens_details": details}
    del found["data"]["tokens"]
    del found["data"]["model"]
    body = {"model": "m", "usage": {**counts, "total_tokens": input_ + text + reasoning}}
    found["data"] |= {"surface": "openai.chat_completions", "response": body}
    return found


def two(price: dict[str, Any], cost: dict[str, Any]) -> Book:
    """A book in which model `m` has these prices and these costs per 1M tokens."""
    prices = costs({"key": "m", **price}).model_copy(update={"id": "aitronos"})
    return book_with(costs({"key": "m", **cost}), prices)


FLAT = {"prices": {"input": "10", "output": "20"}}
APART = {"prices": {"input": "10", "output": "20", "output_reasoning": "30"}}


def bands(kind: str, *edges: tuple[int, str], **prices: str) -> dict[str, Any]:
    """Prices of which one kind's change beyond each of the edges."""
    return {"prices": prices, "bands": {kind: [{"above": above, "price": price} for above, price in edges]}}


@pytest.mark.parametrize(
    ("price", "cost", "expected", "total"),
    [
        (FLAT, {"prices": {"input": "1", "output": "2"}}, [("input", "100"), ("output", "600")], "700"),
        # The price folds what the cost sheet tells apart, and the other way round.
        (
            FLAT,
            {"prices": {"input": "1", "output": "2", "output_reasoning": "5"}},
            [("input", "100"), ("output", "1200")],
            "1300",
        ),
        (
            APART,
            {"prices": {"input": "1", "output": "2"}},
            [("input", "100"), ("output", "200"), ("output_reasoning", "400")],
            "700",
        ),
        # Bands on one side, on both at the same and at other edges; over a fold they fill line by line.
        (
            bands("input", (40, "5"), input="10", output="20"),
            {"prices": {"input": "1", "output": "2"}},
            [("input", "40"), ("input", "60"), ("output", "600")],
            "700",
        ),
        (
            FLAT,
            bands("input", (30, "2"), (70, "3"), input="1", output="2"),
            [("input", "200"), ("output", "600")],
            "800",
        ),
        (
            bands("input", (40, "5"), input="10", output="20"),
            bands("input", (40, "2"), input="1", output="2"),
            [("input", "40"), ("input", "120"), ("output", "600")],
            "760",
        ),
        (
            bands("input", (40, "5"), input="10", output="20"),
            bands("input", (30, "2"), (70, "3"), input="1", output="2"),
            [("input", "50"), ("input", "150"), ("output", "600")],
            "800",
        ),
        (
            APART,
            bands("output", (150, "4"), input="1", output="2"),
            [("input", "100"), ("output", "200"), ("output_reasoning", "700")],
            "1000",
        ),
        # A fee per request that only one of the sheets has: no line of its own, or a line without a cost.
        (
            FLAT,
            {"prices": {"input": "1", "output": "2"}, "units": {"request": "0.001"}},
            [("input", "100"), ("output", "600")],
            "1700",
        ),
        (
            {**FLAT, "units": {"request": "0.002"}},
            {"prices": {"input": "1", "output": "2"}},
            [("input", "100"), ("output", "600"), ("units.request", None)],
            "700",
        ),
        (
            {**APART, "units": {"request": "0.002"}},
            {"prices": {"input": "1", "output": "2"}, "units": {"request": "0.001"}},
            [("input", "100"), ("output", "200"), ("output_reasoning", "400"), ("units.request", "1000")],
            "1700",
        ),
        # A case of the cost sheet alone.
        (
            FLAT,
            {**FLAT, "cases": [{"when": {"input_over": 99}, "prices": {"input": "7", "output": "2"}}]},
            [("input", "700"), ("output", "600")],
            "1300",
        ),
    ],
)
def test_a_line_has_the_cost_of_its_own_usage(price: Any, cost: Any, expected: Any, total: str) -> None:
    """100 tokens in, 100 out and 200 of reasoning; in millionths of a USD."""
    found = data(response(input_=100, text=100, reasoning=200), two(price, cost))
    lines = [(line["meter"], line.get("cost")) for line in found["lines"]]
    assert lines == [(meter, None if amount is None else millionths(amount)) for meter, amount in expected]
    assert found["cost"] == {"USD": millionths(total)}


def millionths(amount: str) -> str:
    """As the wire has it."""
    return plain(Fraction(amount) / 10**6)


def test_free_shares_are_those_of_each_sheet() -> None:
    """A line whose quantity is within the cost sheet's free share costs 0."""
    source = json.loads(source_sheet())
    source["code_execution"]["cpu_free_seconds"] = 1000
    at_cost = sheet(json.dumps(source).encode(), id="costs")
    found = data("a code cpu=50 mb=512 wall=10", book_with(at_cost))
    by_meter = {line["meter"]: line["cost"] for line in found["lines"]}
    assert by_meter["code_execution.cpu"] == "0"
    assert by_meter["code_execution.base"] != "0"


# --- what the worker makes of it


def run(books: Book, *records: Rec, **inputs: Any) -> Step:
    """One step."""
    return step(state(), Inputs(raw=records, **inputs), books, lane(), NOW_MS + 5000)


def test_a_missing_cost_parks_nothing_and_is_counted_by_reason() -> None:
    """Events whose provider has no cost sheet are not."""
    found = book_with(costs(PRO), cost_sheets={"acme": "costs"})
    lines = ["a ftg-3.0-pro in=1 provider=acme", "a ftg-3.0-mini in=1 provider=acme", "a ftg-3.0-mini in=1"]
    result = run(found, *[raw(f"{line} id={number}", number) for number, line in enumerate(lines)])
    assert sum(result.counts.priced.values()) == 3
    assert not result.counts.parked
    assert result.counts.without_cost == {"no_price_for_model": 1}
    [total] = [
        json.loads(value)
        for key, value, *_ in result.outputs[TOPICS.totals, 0]
        if key == b"a/p1/hour/2026-11-22T10:00:00Z"
    ]
    assert (total["events"], total["events_without_cost"], total["cost"]) == (3, 1, {"USD": "0.000002"})
    assert total["margin"] == {"CHF": "0.0000264", "USD": "-0.000002"}  # of the event with a cost alone


def test_a_total_of_events_without_cost_sheets_has_no_word_of_costs() -> None:
    """It is as it was before there were any."""
    found = book_with(costs(PRO), cost_sheets={"acme": "costs"})
    values = [run(each, raw("a ftg-3.0-pro in=1")).outputs for each in (found, book(*PRICES))]
    assert values[0] == values[1]


def test_a_publication_of_a_cost_sheet_cures_nothing() -> None:
    """A parked event waits for its price alone; once that is there it gets the cost of then."""
    before = book_with(costs(PRO), sheet())
    [parked] = run(before, raw("a ftg-3.0-pro in=1000")).newly_parked
    assert parked.waits == ("fx", "sheet/aitronos")
    assert parked.reason == "no_rate_at_time"


def test_what_has_been_priced_stays_when_a_cost_sheet_comes_late() -> None:
    """The same event again is a duplicate, whatever it would cost now."""
    found = state()
    first = step(found, Inputs(raw=[raw("a ftg-3.0-mini in=1 id=x")]), book_with(costs(PRO)), lane(), NOW_MS)
    found.fold(first.changes)
    late = book_with(costs(PRO, {"key": "ftg-3.0-mini", "prices": {"input": "1"}}))
    again = step(found, Inputs(raw=[raw("a ftg-3.0-mini in=1 id=x", 1)]), late, lane(), NOW_MS)
    assert (again.counts.duplicates, again.outputs) == (1, {})


# --- what providers billed


def billed(amount: str, number: int, currency: str = "USD", provider: str = "acme") -> Rec:
    """An event of 1000 tokens, which cost 0.002 USD, for which the provider says that it billed `amount`."""
    made = usage(f"a ftg-3.0-pro in=1000 provider={provider} id=e{number}")
    made["data"]["provider_cost"] = {"amount": amount, "currency": currency}
    return raw(made, number)


def test_what_was_billed_is_held_against_the_cost_in_the_same_currency() -> None:
    """Providers without a cost sheet of their own go together."""
    found = book_with(costs(PRO), cost_sheets={"acme": "costs", "*": "costs"})
    amounts = [("0.002", "USD", "acme"), ("0.0025", "USD", "acme"), ("0.001", "USD", "*"), ("0.002", "EUR", "acme")]
    records = [billed(amount, at, currency, who) for at, (amount, currency, who) in enumerate(amounts)]
    compared = run(found, *records, raw("a ftg-3.0-pro in=1 id=none", 9)).counts.compared
    assert [(each.provider, each.event_id, str(each.billed), str(each.computed)) for each in compared] == [
        ("acme", "e0", "0.002", "0.002000"),
        ("acme", "e1", "0.0025", "0.002000"),
        ("other", "e2", "0.001", "0.002000"),
    ]
    by_label = {labels: str(amount) for labels, amount in differences(compared).items()}
    assert by_label == {("acme", "USD", "over"): "0.000500", ("other", "USD", "under"): "0.001000"}


def test_the_metrics_count_comparisons_differences_and_missing_costs() -> None:
    """A provider that has a cost sheet is there from the start."""
    metrics = Metrics("1", TOPICS, ["USD"], ["acme", "*"])
    before = metrics.exposition().decode()
    assert 'stream_pricing_provider_cost_compared_total{provider="acme"} 0.0' in before
    assert 'stream_pricing_provider_cost_compared_total{provider="other"} 0.0' in before
    assert 'stream_pricing_events_without_cost_total{reason="no_price_for_model"} 0.0' in before
    found = book_with(costs(PRO), cost_sheets={"acme": "costs"})
    records = [billed("0.0025", 0), billed("0.003", 1), billed("0.001", 2), raw("a ftg-3.0-mini in=1 provider=acme", 3)]
    metrics.committed(run(found, *records), 0.01, NOW_MS)
    after = metrics.exposition().decode()
    labels = 'provider="acme"'
    assert f"stream_pricing_provider_cost_compared_total{{{labels}}} 3.0" in after
    assert f'stream_pricing_provider_cost_difference_total{{currency="USD",direction="over",{labels}}} 0.0015' in after
    assert f'stream_pricing_provider_cost_difference_total{{currency="USD",direction="under",{labels}}} 0.001' in after
    assert 'stream_pricing_events_without_cost_total{reason="no_price_for_model"} 1.0' in after


def one(billed_: str, computed: str, *, provider: str = "acme", event: str = "e") -> Compared:
    """A comparison."""
    return Compared(provider, event, "gw", "USD", Decimal(billed_), Decimal(computed))


@pytest.mark.parametrize(
    ("billed_", "computed", "tolerance", "is_told"),
    [
        ("1.01", "1", "1", False),
        ("1.010000000000000000000000000000001", "1", "1", True),
        ("0.99", "1", "1", False),
        ("0.98", "1", "1", True),
        ("1", "1", "0", False),
        ("1.0000001", "1", "0", True),
        ("0", "0", "1", False),
        ("0.0001", "0", "100", True),
        ("0", "1", "100", False),
    ],
)
def test_a_difference_is_logged_beyond_the_tolerance(
    billed_: str, computed: str, tolerance: str, is_told: bool
) -> None:
    """In percent of the computed cost."""
    assert bool(list(findings([one(billed_, computed)], Decimal(tolerance)))) == is_told


def test_a_line_in_the_log_for_each_provider_names_the_event_that_differs_most() -> None:
    """With both amounts."""
    events = [one("1", "1"), one("2", "1", event="more"), one("1.5", "1"), one("3", "1", provider="b", event="only")]
    rest = "events differ by more than 1 % from the cost sheet; most does event"
    assert list(findings(events, Decimal("1"))) == [
        f"costs billed by acme: 2 of 3 {rest} more from gw: billed 2 USD, computed 1",
        f"costs billed by b: 1 of 1 {rest} only from gw: billed 3 USD, computed 1",
    ]


# --- settings, and by hand


def test_the_settings_have_no_costs_unless_told() -> None:
    """And a tolerance of 1 %."""
    none = load_settings(environ={})
    assert (none.cost_sheets, none.provider_cost_tolerance_percentage) == ({}, 1)
    given = {
        "STREAM_PRICING_COST_SHEETS": '{"openai": "market"}',
        "STREAM_PRICING_PROVIDER_COST_TOLERANCE_PERCENTAGE": "0.1",
    }
    some = load_settings(environ=given)
    assert (some.cost_sheets, some.provider_cost_tolerance_percentage) == ({"openai": "market"}, Decimal("0.1"))


def test_by_hand_the_cost_is_explained() -> None:
    """`price` with a cost sheet, also one with the id of the price sheet."""
    same_id = costs(PRO).model_copy(update={"id": "aitronos"})
    [known] = explained("a ftg-3.0-pro in=1000", same_id)
    assert "; costs 0.002 USD" in known
    assert "margin    0.0264 CHF, -0.002 USD" in known
    assert "margin  0.0264 CHF × 1.1234 + -0.002 USD = 0.02765776 USD" in known
    [unknown] = explained("a ftg-3.0-pro created=1", same_id)
    assert unknown.endswith("cost      not known: no_price_for_meter: cache_creation on sheet aitronos-costs 1")


def explained(line: str, cost_sheet: Sheet) -> list[str]:
    """What `price` prints."""
    found = offline(load_settings(environ={}), sheet(), [("CHF/USD", Decimal("1.1234"))], None, cost_sheet)
    return list(as_text(lane().writer, [found.outcome(encode(usage(line), ())[0])]))


def test_a_cost_sums_up_by_currency_over_dimensions() -> None:
    """A terminal's dimensions are the only lines of several currencies."""
    with exact():
        cost = priced("a terminal egress_bytes=1000000000 cpu_seconds=5", book_with(costs(PRO), cost_sheets=SELF)).cost
    assert isinstance(cost, Cost)
    assert cost.by_currency.keys() == {currency for _, currency in cost.by_line.values()}


SELF = {"*": "aitronos"}
