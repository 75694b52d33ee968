"""Prices: section 3 of the contract as tables, its worked examples to the last digit, and every reason to park."""

import json
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest

from pricing.accounts import Account
from pricing.book import Book, Policy
from pricing.errors import Unpriced
from pricing.rating import Missing
from pricing.sheets import Sheet
from tests.product import START, account, book, data, event, priced, rate, sheet
from tests.usage import sample_sheet, source_sheet, usage
from tests.usage_samples import Literal, dumps

STANDARD = account("org_1", ("tier_standard", START))
TWO_CURRENCIES = Policy({"*": "aitronos"}, ("USD", "EUR"))


def changed(path: str, value: Any, document: bytes | None = None) -> bytes:
    """The source's document with one value replaced; `None` is null, and `...` takes it away."""
    found = json.loads(document or source_sheet(), parse_float=Literal, parse_int=Literal)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    node = found
    for part in parents:
        node = node[part]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return dumps(found).encode()


def wide(image: str | None = "13.2", start: str = START, **named: Any) -> Sheet:
    """The sheet of the samples: five models more, zero and missing prices, a EUR model."""
    return sheet(sample_sheet(**named), image=image, start=start)


def reason(line: str, found: Book, known: Account | None = None) -> str:
    """Why the event of this line is parked."""
    with pytest.raises(Missing) as missing:
        priced(line, found, known)
    assert missing.value.detail
    return str(missing.value.reason)


def lists(line: str, found: Book | None = None, known: Account | None = None) -> dict[str, str]:
    """The list amounts by meter."""
    return {part["meter"]: part["list"] for part in data(line, found, known)["lines"]}


# --- the worked examples


def test_the_example_of_the_contract_comes_out_whole() -> None:
    """Sections 2 and 4: every member of `data` that does not depend on the run."""
    made = usage("org_1 ftg-3.0-pro project=proj_7 provider=aitronos priority=default in=1 id=01JD")
    made["data"]["tokens"] = {"input": 1234, "cache_read": 512, "cache_creation": 0, "output": 345}
    made["time"] = "2026-11-22T10:00:00.123Z"
    common = {"unit": "token", "consumed_unit": "synapse", "per": "1000000", "currency": "CHF"}
    assert data(made, book(), STANDARD) == {
        "event": {"source": "gateway/eu-1", "id": "01JD", "type": "ai.usage.model.v1"},
        "organization": "org_1",
        "project": "proj_7",
        "provider": "aitronos",
        "model": "ftg-3.0-pro",
        "priority": "default",
        "item": "ftg-3.0-pro",
        "sheet": {"id": "aitronos", "version": "2026-11-01"},
        "tier": {"id": "tier_standard", "discount_percentage": "10"},
        "lines": [
            {"meter": "input", "quantity": "1234", "consumed": "2468", "price": "13.2"}
            | {"list": "0.0325776", "net": "0.02931984", "due": "0.02931984"}
            | common,
            {"meter": "cache_read", "quantity": "512", "consumed": "1024", "price": "1.32"}
            | {"list": "0.00135168", "net": "0.001216512", "due": "0.001216512"}
            | common,
            {"meter": "output", "quantity": "345", "consumed": "690", "price": "66"}
            | {"list": "0.04554", "net": "0.040986", "due": "0.040986"}
            | common,
        ],
        "adjustments": [],
        "synapses": "4182",
        "neurons": "0",
        "list": {"CHF": "0.07946928"},
        "net": {"CHF": "0.071522352"},
        "due": {"CHF": "0.071522352"},
        "converted": {"USD": {"list": "0.089275789152", "net": "0.0803482102368", "due": "0.0803482102368"}},
        "fx": [{"pair": "CHF/USD", "rate": "1.1234", "from": "2026-11-22T00:00:00Z"}],
        "billable": True,
        "revision": 0,
    }


@pytest.mark.parametrize(
    ("priority", "synapses", "listed", "net", "usd"),
    [
        ("default", "3600", "0.096228", "0.0866052", "0.09729228168"),
        ("high", "7200", "0.192456", "0.1732104", "0.19458456336"),
        ("low", "2880", "0.0769824", "0.06928416", "0.077833825344"),
    ],
)
def test_the_example_of_four_token_kinds(priority: str, synapses: str, listed: str, net: str, usd: str) -> None:
    """Input 1000, cache read 200, cache creation 100, output 500; a discount of 10 %; 1.1234."""
    line = f"org_1 ftg-3.0-pro in=1000 cached=200 created=100 out=500 priority={priority}"
    found = data(line, book(), STANDARD)
    assert (found["synapses"], found["list"], found["net"]) == (synapses, {"CHF": listed}, {"CHF": net})
    assert found["converted"]["USD"]["due"] == usd


def test_the_lines_of_that_example() -> None:
    """0.0264 + 0.000528 + 0.0033 + 0.066."""
    assert lists("org_1 ftg-3.0-pro in=1000 cached=200 created=100 out=500") == {
        "input": "0.0264",
        "cache_read": "0.000528",
        "cache_creation": "0.0033",
        "output": "0.066",
    }


def test_the_example_of_code_execution() -> None:
    """3 + 1 × (5.5 − 2) + 0.01 × (512 − 256) × 10 = 32.1 neurons, at CHF 8 per million."""
    found = data("org_1 code cpu=5.5 mb=512 wall=10")
    common = {"consumed_unit": "neuron", "price": "8", "per": "1000000", "currency": "CHF"}
    assert (found["item"], found["neurons"], found["list"]) == ("code_execution", "32.1", {"CHF": "0.0002568"})
    assert found["lines"] == [
        {"meter": "code_execution.base", "quantity": "1", "unit": "execution", "consumed": "3"}
        | dict.fromkeys(("list", "net", "due"), "0.000024")
        | common,
        {"meter": "code_execution.cpu", "quantity": "3.5", "unit": "second", "consumed": "3.5"}
        | dict.fromkeys(("list", "net", "due"), "0.000028")
        | common,
        {"meter": "code_execution.memory", "quantity": "2560", "unit": "mb_second", "consumed": "25.6"}
        | dict.fromkeys(("list", "net", "due"), "0.0002048")
        | common,
    ]


def test_the_example_of_one_byte_of_egress() -> None:
    """1.2e-10 USD, and 10 % less; what is in USD needs no rate to USD."""
    found = data("org_1 terminal egress_bytes=1", book(sheet()), STANDARD)
    assert found["lines"] == [
        {"meter": "terminal.egress_bytes", "quantity": "1", "unit": "egress byte", "price": "0.00000000012"}
        | {"per": "1", "currency": "USD", "list": "0.00000000012", "net": "0.000000000108", "due": "0.000000000108"}
    ]
    assert (found["list"], found["net"]) == ({"USD": "0.00000000012"}, {"USD": "0.000000000108"})
    assert found["converted"] == {"USD": {"list": "0.00000000012", "net": "0.000000000108", "due": "0.000000000108"}}
    assert (found["fx"], found["synapses"], found["neurons"], found["item"]) == ([], "0", "0", "terminal")


# --- formulas


@pytest.mark.parametrize(
    ("line", "listed"),
    [
        # seconds × 1 synapse × priority, at the input price
        ("a ftg-3.0-pro seconds=1.5", {"seconds": Fraction("1.5") * 1 * Fraction("13.2") / 10**6}),
        (
            "a ftg-3.0-pro seconds=1.5 priority=low",
            {"seconds": Fraction("1.5") * Fraction("0.8") * Fraction("13.2") / 10**6},
        ),
        (
            "a ftg-3.0-euro seconds=2 in=1",
            {"input": 2 * Fraction("7.25") / 10**6, "seconds": 2 * Fraction("3.75") * Fraction("7.25") / 10**6},
        ),
        # neurons per token × 8; no priority
        ("a ftg-embed in=1000 out=3", {"input": Fraction(1000, 8) * 8 / 10**6, "output": Fraction(3, 8) * 8 / 10**6}),
        ("a ftg-embed in=1000 priority=high", {"input": Fraction(1000, 8) * 8 / 10**6}),
        ("a ftg-embed in=1000 priority=never-heard-of", {"input": Fraction(1000, 8) * 8 / 10**6}),
        ("a ftg-embed in=0 cached=8 reasoning=0", {"cache_read": Fraction(8, 8) * 8 / 10**6}),
        # weight × count × priority
        ("a image:generate", {"image.generate": 100_000 * Fraction("13.2") / 10**6}),
        ("a image:generate count=3 priority=high", {"image.generate": 100_000 * 3 * 2 * Fraction("13.2") / 10**6}),
        ("a image:remove-background count=2", {"image.remove-background": 50_000 * 2 * Fraction("13.2") / 10**6}),
        # multiplier × executions, 1 where the event does not say
        ("a connector:github/search", {"connector": Fraction(8 * 8, 10**6)}),
        ("a connector:github/search executions=3", {"connector": Fraction(8 * 3 * 8, 10**6)}),
        (
            "a terminal cpu_seconds=5.5 storage_gb_days=2",
            {
                "terminal.cpu_seconds": Fraction("5.5") * Fraction("0.00005"),
                "terminal.storage_gb_days": Fraction("0.2"),
            },
        ),
        ("a terminal ram_gb_seconds=1", {"terminal.ram_gb_seconds": Fraction("0.000007")}),
        # free is not unpriced: a line, of amount 0
        ("a ftg-free in=5", {"input": Fraction(0)}),
    ],
)
def test_list_amounts_are_the_formula_s(line: str, listed: dict[str, Fraction]) -> None:
    """Each written as its arithmetic."""
    assert {
        meter: Fraction(amount)
        for meter, amount in lists(line, book(wide(), rate(), rate("EUR/USD", "1.0871"))).items()
    } == listed


@pytest.mark.parametrize(
    ("line", "quantities"),
    [
        ("a code cpu=2 mb=256 wall=10", {"base": "1"}),
        ("a code cpu=0 mb=0 wall=0", {"base": "1"}),
        ("a code cpu=2.000000000000000001 mb=256 wall=9", {"base": "1", "cpu": "0.000000000000000001"}),
        ("a code cpu=1 mb=256.5 wall=3", {"base": "1", "memory": "1.5"}),
        ("a code cpu=1 mb=300 wall=0", {"base": "1"}),
        ("a code cpu=3 mb=255 wall=100", {"base": "1", "cpu": "1"}),
    ],
)
def test_the_free_share_is_taken_off_each_execution(line: str, quantities: dict[str, str]) -> None:
    """Two seconds and 256 MB; memory below the share does not pay for CPU beyond it."""
    found = {part["meter"].removeprefix("code_execution."): part["quantity"] for part in data(line)["lines"]}
    assert found == quantities


def test_a_free_share_is_per_event() -> None:
    """Two executions of 2 seconds are free, one of 4 is not."""
    assert "code_execution.cpu" in lists("a code cpu=4 mb=1 wall=1")
    assert "code_execution.cpu" not in lists("a code cpu=2 mb=1 wall=1")


def test_lines_of_quantity_0_are_left_out() -> None:
    """An event with none of them has no line, and amounts of no currency."""
    found = data("a ftg-3.0-pro in=0 out=0", book(sheet()))
    assert (found["lines"], found["list"], found["due"], found["fx"]) == ([], {}, {}, [])
    assert found["converted"] == {"USD": {"list": "0", "net": "0", "due": "0"}}
    assert lists("a connector:github/search executions=0") == {}
    assert lists("a terminal egress_bytes=0 gpu_seconds=0") == {}


@pytest.mark.parametrize(
    ("image", "line", "price", "currency"),
    [
        ("13.2", "a image:generate", "13.2", "CHF"),
        ("13.2", "a image:generate model=ftg-3.0-euro", "13.2", "CHF"),
        ("13.2", "a image:generate model=ghost", "13.2", "CHF"),
        ("0", "a image:generate", "0", "CHF"),
        ("model-input", "a image:generate model=ftg-3.0-pro", "13.2", "CHF"),
        ("model-output", "a image:generate model=ftg-3.0-pro", "66", "CHF"),
        ("model-output", "a image:generate model=mdl_ftg30pro", "66", "CHF"),
        ("model-input", "a image:generate model=ftg-3.0-euro", "7.25", "EUR"),
        ("model-input", "a image:generate model=ftg-free", "0", "CHF"),
    ],
)
def test_the_price_of_an_image_is_the_operator_s(image: str, line: str, price: str, currency: str) -> None:
    """A number, or the event's model's."""
    [found] = data(line, book(wide(image), rate(), rate("EUR/USD", "1.0871")))["lines"]
    assert (found["price"], found["currency"], found["consumed"]) == (price, currency, "100000")


# --- the sheet in force


def versions(*dated: tuple[str, str]) -> Book:
    """Sheets of these (version, from), published in this order."""
    return book(*[sheet(version=version, start=start) for version, start in dated], rate(start=START))


@pytest.mark.parametrize(
    ("at", "version"),
    [
        ("2026-11-09T23:59:59.999999999Z", "old"),
        ("2026-11-10T00:00:00Z", "new"),
        ("2026-11-10T00:00:00.000000001Z", "new"),
        ("2026-11-10T01:59:59+02:00", "old"),
        ("2026-11-10T02:00:00+02:00", "new"),
        ("2026-11-30T00:00:00Z", "new"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_event_s_time_decides_the_sheet(at: str, version: str, turned: bool) -> None:
    """To the nanosecond, whatever the order of publication."""
    dated = [("old", START), ("new", "2026-11-10T00:00:00Z")]
    found = versions(*(reversed(dated) if turned else dated))
    assert priced(f"a connector:c/t at={at}", found).terms.sheet.version == version


def test_of_equal_dates_the_later_published_counts() -> None:
    """A correction takes the place of what it corrects."""
    dated = [("first", START), ("second", START)]
    assert priced("a connector:c/t", versions(*dated)).terms.sheet.version == "second"
    assert priced("a connector:c/t", versions(*dated[::-1])).terms.sheet.version == "first"


def test_an_earlier_start_does_not_count_however_late_it_is_published() -> None:
    """The greatest `effective_from` wins before the order of publication does."""
    dated = [("new", "2026-11-10T00:00:00Z"), ("old", START)]
    assert priced("a connector:c/t", versions(*dated)).terms.sheet.version == "new"


def test_a_provider_may_have_a_sheet_of_its_own() -> None:
    """`*` is for the others and for events without one; the tiers are always the default sheet's."""
    policy = Policy({"*": "aitronos", "acme": "other"})
    cheap = sheet(changed("pricing_tiers", []), id="other")
    found = book(sheet(), cheap, rate(), policy=policy)
    names = [data(f"org_1 connector:c/t {words}", found, STANDARD) for words in ("provider=acme", "provider=x", "")]
    assert [one["sheet"]["id"] for one in names] == ["other", "aitronos", "aitronos"]
    assert {one["tier"]["id"] for one in names} == {"tier_standard"}


def test_the_rate_in_force_is_the_one_of_the_event_s_time() -> None:
    """From its first nanosecond on; of equals the later published."""
    rates = [
        rate(amount="1", start=START),
        rate(amount="2", start="2026-11-10T00:00:00Z"),
        rate(amount="3", start="2026-11-10T00:00:00Z"),
    ]
    found = book(sheet(), *rates)
    used = {
        at: data(f"a connector:c/t at={at}", found)["fx"][0]["rate"]
        for at in ("2026-11-09T23:59:59.999999999Z", "2026-11-10T00:00:00Z")
    }
    assert list(used.values()) == ["1", "3"]


# --- models


def aliased() -> Book:
    """A book whose sheet gives a model two aliases."""
    found = sheet()
    model = found.models[0].model_copy(update={"aliases": ("pro", "Pro-Latest")})
    return book(found.model_copy(update={"models": (model,)}), rate())


@pytest.mark.parametrize(
    ("name", "given"),
    [("ftg-3.0-pro", None), ("mdl_ftg30pro", "mdl_ftg30pro"), ("pro", "pro"), ("Pro-Latest", "Pro-Latest")],
)
def test_a_model_goes_by_key_id_or_alias(name: str, given: str | None) -> None:
    """`model` is the sheet's key; `model_given` is there where the event said otherwise."""
    found = data(f"a {name} in=1000", aliased())
    assert (found["model"], found.get("model_given"), found["item"]) == ("ftg-3.0-pro", given, "ftg-3.0-pro")
    assert found["list"] == {"CHF": "0.0264"}


@pytest.mark.parametrize("name", ["FTG-3.0-PRO", "ftg-3.0", "ftg-3.0-pro-2", "PRO", "FTG"])
def test_a_model_is_never_guessed(name: str) -> None:
    """Not by case, prefix or name."""
    assert reason(f"a {name} in=1", aliased()) == "no_price_for_model"


# --- unpriced

NEURON_PRICE = "conversion.neurons_price_per_1m_chf"
PRO = "models.0.pricing"
PARKED = [
    ("no_sheet_at_time", "a ftg-3.0-pro in=1 at=2026-10-31T23:59:59.999999999Z", book()),
    ("no_sheet_at_time", "a ftg-3.0-pro in=1", book(sheet(id="other"))),
    ("no_price_for_model", "a ghost in=1", book()),
    ("no_price_for_model", "a image:generate", book(sheet(image="model-input"))),
    ("no_price_for_model", "a image:generate model=ghost", book(sheet(image="model-output"))),
    ("no_price_for_operation", "a image:bend", book(sheet(image="1"))),
    ("no_price_for_operation", "a image:generate", book()),
    ("no_price_for_operation", "a image:generate model=ftg-3.0-pro", book()),
    ("no_price_for_meter", "a image:generate model=ftg-embed", book(wide("model-input"))),
    ("no_price_for_meter", "a ftg-3.0-pro in=1 reasoning=1", book()),
    ("no_price_for_meter", "a ftg-3.0-mini cached=1", book(wide())),
    ("no_price_for_meter", "a ftg-3.0-mini seconds=1", book(wide())),
    ("no_price_for_meter", "a ftg-embed seconds=1 in=1", book(wide())),
    ("no_price_for_meter", "a ftg-embed-preview in=1", book(wide())),
    ("no_price_for_meter", "a ftg-embed in=1", book(sheet(changed(NEURON_PRICE, None, sample_sheet())))),
    ("no_price_for_meter", "a ftg-3.0-pro in=1", book(sheet(changed("conversion.base_multiplier", None)))),
    ("no_price_for_meter", "a ftg-3.0-pro in=1", book(sheet(changed(f"{PRO}.input_price_per_1m_synapses", ...)))),
    ("no_price_for_meter", "a ftg-3.0-pro seconds=1", book(sheet(changed(f"{PRO}.input_price_per_1m_synapses", None)))),
    ("no_price_for_meter", "a code cpu=1 mb=1 wall=1", book(sheet(changed("code_execution.base_neuron_cost", None)))),
    ("no_price_for_meter", "a code cpu=3 mb=1 wall=1", book(sheet(changed("code_execution.cpu_free_seconds", None)))),
    (
        "no_price_for_meter",
        "a code cpu=1 mb=1 wall=1",
        book(sheet(changed("code_execution.neurons_price_per_1m_chf", None))),
    ),
    ("no_price_for_meter", "a connector:c/t", book(sheet(changed("connector_tools.neuron_multiplier", None)))),
    ("no_price_for_meter", "a connector:c/t", book(sheet(changed("connector_tools.neurons_price_per_1m_chf", None)))),
    ("no_price_for_meter", "a terminal gpu_seconds=1 cpu_seconds=1", book()),
    ("no_price_for_meter", "a terminal cpu_seconds=1", book(sheet(changed("terminal.0.unit_rate_usd", None)))),
    ("no_multiplier_for_priority", "a ftg-3.0-pro in=1 priority=turbo", book()),
    ("no_multiplier_for_priority", "a ftg-3.0-pro in=1 priority=HIGH", book()),
    ("no_multiplier_for_priority", "a image:generate priority=turbo", book(sheet(image="1"))),
    (
        "no_multiplier_for_priority",
        "a ftg-3.0-pro in=1",
        book(sheet(changed("conversion.priority_multipliers.default", ...))),
    ),
    ("no_rate_at_time", "a ftg-3.0-pro in=1", book(sheet())),
    ("no_rate_at_time", "a ftg-3.0-pro in=1 at=2026-11-21T23:59:59.999999999Z", book()),
    ("no_rate_at_time", "a ftg-3.0-pro in=1", book(sheet(), rate("USD/CHF"))),
    ("no_rate_at_time", "a ftg-3.0-euro in=1", book(wide(), rate())),
    ("no_rate_at_time", "a ftg-3.0-pro in=1", book(sheet(), rate(), policy=TWO_CURRENCIES)),
    ("no_rate_at_time", "a ftg-3.0-pro in=1 billable=no", book(sheet())),
]


@pytest.mark.parametrize(("why", "line", "found"), PARKED, ids=[f"{row[0]}: {row[1]}" for row in PARKED])
def test_what_is_missing_parks_the_event(why: str, line: str, found: Book) -> None:
    """A missing price is never zero."""
    assert reason(line, found) == why


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a ftg-3.0-mini in=1 cached=0 created=0", book(wide(), rate())),
        ("a ftg-3.0-mini in=1 seconds=0", book(wide(), rate())),
        ("a ftg-embed in=1 seconds=0", book(wide(), rate())),
        ("a ftg-3.0-pro in=1 reasoning=0", book()),
        ("a code cpu=1 mb=1 wall=1", book(sheet(changed("code_execution.memory_neuron_per_mb_sec", None)), rate())),
        ("a connector:c/t executions=0", book(sheet(changed("connector_tools.neuron_multiplier", None)), rate())),
        ("a terminal gpu_seconds=0 cpu_seconds=1", book()),
    ],
)
def test_a_missing_price_of_nothing_parks_nothing(line: str, found: Book) -> None:
    """Only a quantity of more than 0 needs a price."""
    assert priced(line, found)


def test_an_amount_of_0_needs_no_rate() -> None:
    """Free usage is priced where no rate is in force; it has a line in its currency."""
    found = data("a ftg-free in=5", book(wide()))
    assert (found["list"], found["fx"], found["converted"]["USD"]["due"]) == ({"CHF": "0"}, [], "0")


def test_reasons_have_a_precedence() -> None:
    """An event that lacks everything is parked for the first reason, and for the next one once that is cured."""
    policy = Policy({"*": "aitronos", "acme": "other"}, require_account=True)
    unknown_tier = account("a", ("gold", START))
    line, operation = "a ghost reasoning=1 priority=turbo provider=acme", "a image:bend priority=turbo provider=acme"
    other = sheet(sample_sheet(), id="other")
    dearer = sheet(changed("models.0.key", "ghost"), id="other")
    with_kind = sheet(
        changed("models.0.pricing.reasoning_price_per_1m_synapses", Literal("1"), changed("models.0.key", "ghost")),
        id="other",
    )
    with_priority = json.loads(
        changed("conversion.priority_multipliers.turbo", Literal("3"), changed("models.0.key", "ghost")),
        parse_float=Literal,
        parse_int=Literal,
    )
    with_priority["models"][0]["pricing"]["reasoning_price_per_1m_synapses"] = Literal("1")
    whole = sheet(dumps(with_priority).encode(), id="other")
    assert reason(line, book(sheet(), policy=policy), unknown_tier) == Unpriced.NO_SHEET
    assert reason(line, book(sheet(), other, policy=policy), unknown_tier) == Unpriced.NO_MODEL
    assert reason(operation, book(sheet(), other, policy=policy), unknown_tier) == Unpriced.NO_OPERATION
    assert reason(line, book(sheet(), dearer, policy=policy), unknown_tier) == Unpriced.NO_METER
    assert reason(line, book(sheet(), with_kind, policy=policy), unknown_tier) == Unpriced.NO_MULTIPLIER
    assert reason(line, book(sheet(), whole, policy=policy), unknown_tier) == Unpriced.NO_RATE
    assert reason(line, book(sheet(), whole, rate(), policy=policy), unknown_tier) == Unpriced.UNKNOWN_TIER
    assert reason(line, book(sheet(), whole, rate(), policy=policy)) == Unpriced.ACCOUNT_REQUIRED
    assert priced(line, book(sheet(), whole, rate(), policy=policy), STANDARD)


# --- discounts and accounts


@pytest.mark.parametrize(
    ("tier", "net"),
    [
        ("tier_standard", Fraction("0.0264") * Fraction(90, 100)),
        ("tier_third", Fraction("0.0264") * (1 - Fraction("33.333") / 100)),
        ("tier_zero", Fraction("0.0264")),
        ("tier_full", Fraction(0)),
    ],
)
def test_a_tier_is_a_discount_on_every_line(tier: str, net: Fraction) -> None:
    """List × (1 − percentage ÷ 100), never rounded."""
    found = data("a ftg-3.0-pro in=1000", book(wide(), rate()), account("a", (tier, START)))
    assert Fraction(found["net"]["CHF"]) == net
    assert Fraction(found["converted"]["USD"]["net"]) == net * Fraction("1.1234")
    assert [Fraction(line["net"]) for line in found["lines"]] == [net]


@pytest.mark.parametrize(
    ("at", "tier"),
    [
        ("2026-11-22T09:59:59.999999999Z", "tier_standard"),
        ("2026-11-22T10:00:00Z", "tier_third"),
        ("2026-11-22T11:00:00Z", None),
        ("2026-11-22T00:00:00Z", "tier_standard"),
        ("2026-11-05T00:00:00Z", None),
    ],
)
def test_the_tier_is_the_one_of_the_event_s_time(at: str, tier: str | None) -> None:
    """Before its first tier an organization pays list prices, and where the tier is null."""
    known = account(
        "a",
        ("tier_standard", "2026-11-10T00:00:00Z"),
        ("tier_third", "2026-11-22T10:00:00Z"),
        (None, "2026-11-22T11:00:00Z"),
    )
    found = data(f"a connector:c/t at={at}", book(wide(), rate(start=START)), known)
    assert (found["tier"] and found["tier"]["id"]) == tier


def test_a_tier_that_the_default_sheet_does_not_have_parks() -> None:
    """At the event's time: it may be on another version."""
    assert reason("a connector:c/t", book(), account("a", ("gold", START))) == "unknown_tier"
    assert (
        reason(
            "a connector:c/t",
            book(sheet(), wide(start="2026-11-23T00:00:00Z"), rate()),
            account("a", ("tier_third", START)),
        )
        == "unknown_tier"
    )


@pytest.mark.parametrize(
    "known",
    [
        None,
        account("a"),
        account("a", ("tier_standard", "2026-11-22T10:00:00.000000001Z")),
        account("a", (None, START)),
    ],
)
def test_without_a_tier_list_prices_count_unless_an_account_is_required(known: Account | None) -> None:
    """No account, none in force yet, and a tier of null are alike."""
    required = Policy({"*": "aitronos"}, require_account=True)
    assert data("a connector:c/t", book(), known)["tier"] is None
    assert reason("a connector:c/t", book(sheet(), rate(), policy=required), known) == "account_required"


# --- due


def test_what_is_not_billable_is_adjusted_to_0() -> None:
    """Each line by itself; list and net stay."""
    found = data("org_1 ftg-3.0-pro in=1000 out=1 billable=no not_billable_because=failover_retry", book(), STANDARD)
    assert (found["billable"], found["not_billable_because"]) == (False, "failover_retry")
    assert (found["list"], found["net"], found["due"]) == ({"CHF": "0.026532"}, {"CHF": "0.0238788"}, {"CHF": "0"})
    assert found["adjustments"] == [
        {"kind": "not_billable", "meter": "input", "currency": "CHF", "amount": "-0.02376"},
        {"kind": "not_billable", "meter": "output", "currency": "CHF", "amount": "-0.0001188"},
    ]
    assert [line["due"] for line in found["lines"]] == ["0", "0"]
    assert found["converted"]["USD"] == {"list": "0.0298060488", "net": "0.02682544392", "due": "0"}


def test_nothing_is_adjusted_where_nothing_was_charged() -> None:
    """An amount of 0 needs no adjustment."""
    free = data("a ftg-free in=5 billable=no", book(wide()))
    given_away = data("a connector:c/t billable=no", book(wide(), rate()), account("a", ("tier_full", START)))
    assert (free["adjustments"], given_away["adjustments"]) == ([], [])


def test_a_reason_alone_does_not_make_it_free() -> None:
    """Only `billable: false` does."""
    found = data("a connector:c/t not_billable_because=own_word")
    assert (found["billable"], found["due"]) == (True, found["net"])


def test_what_the_provider_billed_is_passed_on() -> None:
    """As a plain decimal; it changes no amount."""
    made = usage("a connector:c/t")
    made["data"]["provider_cost"] = {"amount": Literal("1.20e-3"), "currency": "USD"}
    found = data(made)
    assert found["provider_cost"] == {"amount": "0.0012", "currency": "USD"}
    assert found["due"] == {"CHF": "0.000064"}


# --- conversion


@pytest.mark.parametrize(
    ("currencies", "rates", "converted", "pairs"),
    [
        ((), [], {}, []),
        (("USD",), [rate()], {"USD": "1.1234"}, ["CHF/USD"]),
        (("CHF",), [], {"CHF": "1"}, []),
        (("CHF", "USD"), [rate()], {"CHF": "1", "USD": "1.1234"}, ["CHF/USD"]),
        (("USD", "EUR"), [rate(), rate("CHF/EUR", "1.07")], {"USD": "1.1234", "EUR": "1.07"}, ["CHF/USD", "CHF/EUR"]),
    ],
)
def test_amounts_are_converted_into_every_reporting_currency(
    currencies: tuple[str, ...], rates: list[Any], converted: dict[str, str], pairs: list[str]
) -> None:
    """At its own published rate; the same currency needs none."""
    found = data("a ftg-3.0-pro in=1000", book(sheet(), *rates, policy=Policy({"*": "aitronos"}, currencies)))
    assert {name: Fraction(amounts["due"]) for name, amounts in found["converted"].items()} == {
        name: Fraction("0.0264") * Fraction(factor) for name, factor in converted.items()
    }
    assert [one["pair"] for one in found["fx"]] == pairs


def test_no_rate_is_inverted() -> None:
    """USD/CHF says nothing about CHF/USD, whatever the arithmetic says."""
    assert reason("a connector:c/t", book(sheet(), rate("USD/CHF", "0.5"))) == "no_rate_at_time"


# --- whatever the caller's arithmetic


def test_a_price_is_exact_in_its_own_context() -> None:
    """The caller's context, of 28 digits, rounds nothing: amounts have as many digits as they need."""
    made = usage("a ftg-3.0-pro seconds=123456789012345.123456789012345678")
    long = sheet(changed(f"{PRO}.input_price_per_1m_synapses", Literal("123456789012.123456789012345678901234")))
    with localcontext() as context:
        context.prec = 28
        found = data(made, book(long, rate(amount="1.123456789012345678901234")))
    seconds, price = Fraction("123456789012345.123456789012345678"), Fraction("123456789012.123456789012345678901234")
    assert Fraction(found["list"]["CHF"]) == seconds * price / 10**6
    assert Fraction(found["converted"]["USD"]["list"]) == seconds * price / 10**6 * Fraction(
        "1.123456789012345678901234"
    )
    assert Decimal(found["list"]["CHF"]) > 0


def test_hostile_names_do_not_fill_the_memory() -> None:
    """What is compiled is kept per sheet, tier and priority, not for every name that an event makes up."""
    found = book(wide("13.2"), rate())
    for number in range(50):
        for line in (
            f"a image:generate model=ghost-{number}",
            f"a connector:c{number}/t",
            f"a terminal egress_bytes=1 user=u{number}",
        ):
            priced(line, found)
        for line in (
            f"a ghost-{number} in=1",
            f"a ftg-3.0-pro in=1 priority=p{number}",
            f"a image:o{number}",
            f"a terminal d{number}=1",
        ):
            reason(line, found)
    assert len(found.segment_at(event("a connector:c/t").at).terms) <= 4


def test_priorities_without_a_multiplier_share_what_is_compiled() -> None:
    """Where nothing was used the event is priced, and whoever writes it remembers its terms."""
    found = book()
    default = priced("a ftg-3.0-pro in=0", found).terms
    others = {priced(f"a ftg-3.0-pro in=0 priority=p{number}", found).terms for number in range(20)}
    assert len(others - {default}) == len(others) == 1
    assert reason("a ftg-3.0-pro in=1 priority=p1", found) == "no_multiplier_for_priority"
    assert data("a ftg-3.0-pro in=1", found)["due"] == data("a ftg-3.0-pro in=1")["due"]
