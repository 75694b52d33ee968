"""`stream-pricing price`: the contract's worked examples through the command line, to the last digit, and explained."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from streams.cli import main
from tests.usage import dumps, usage

SHEET = Path(__file__).parents[1] / "data" / "aitronos.json"
HOW = ("--fx", "CHF/USD=1.1234", "--tier", "tier_standard")

# Section 2 of the contract, as it stands there.
EVENT = """
{"specversion": "1.0", "id": "01JD…", "source": "gateway/eu-1", "type": "ai.usage.model.v1",
 "time": "2026-11-22T10:00:00.123Z", "subject": "proj_7",
 "data": {"organization": "org_1", "project": "proj_7", "provider": "aitronos", "model": "ftg-3.0-pro",
          "priority": "default", "tokens": {"input": 1234, "cache_read": 512, "cache_creation": 0, "output": 345}}}
"""
# Section 4, without origin and priced_at; the sheet's version and the start of the rate are those of the command.
DATA = """
{"event": {"source": "gateway/eu-1", "id": "01JD…", "type": "ai.usage.model.v1"},
 "organization": "org_1", "project": "proj_7", "provider": "aitronos", "model": "ftg-3.0-pro", "priority": "default",
 "item": "ftg-3.0-pro", "sheet": {"id": "aitronos", "version": "offline"},
 "tier": {"id": "tier_standard", "discount_percentage": "10"},
 "lines": [
  {"meter": "input", "quantity": "1234", "unit": "token", "consumed": "2468", "consumed_unit": "synapse",
   "price": "13.2", "per": "1000000", "currency": "CHF",
   "list": "0.0325776", "net": "0.02931984", "due": "0.02931984"},
  {"meter": "cache_read", "quantity": "512", "unit": "token", "consumed": "1024", "consumed_unit": "synapse",
   "price": "1.32", "per": "1000000", "currency": "CHF",
   "list": "0.00135168", "net": "0.001216512", "due": "0.001216512"},
  {"meter": "output", "quantity": "345", "unit": "token", "consumed": "690", "consumed_unit": "synapse",
   "price": "66", "per": "1000000", "currency": "CHF", "list": "0.04554", "net": "0.040986", "due": "0.040986"}],
 "adjustments": [], "synapses": "4182", "neurons": "0",
 "list": {"CHF": "0.07946928"}, "net": {"CHF": "0.071522352"}, "due": {"CHF": "0.071522352"},
 "converted": {"USD": {"list": "0.089275789152", "net": "0.0803482102368", "due": "0.0803482102368"}},
 "fx": [{"pair": "CHF/USD", "rate": "1.1234", "from": "1970-01-01T00:00:00Z"}],
 "billable": true, "revision": 0}
"""


def price(text: str, *options: str, how: tuple[str, ...] = HOW) -> Result:
    """The command with events on stdin."""
    return CliRunner().invoke(main, ["price", "--sheet", str(SHEET), *how, *options, "-"], input=text.encode())


def rows(text: str, *options: str, how: tuple[str, ...] = HOW) -> list[Any]:
    """What --json prints."""
    result = price(text, "--json", *options, how=how)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def row(line: str, *options: str, how: tuple[str, ...] = HOW) -> Any:
    """The only line of --json for the event of a usage line."""
    (found,) = rows(dumps(usage(line)), *options, how=how)
    return found


def test_the_contract_s_event_is_the_contract_s_priced_event() -> None:
    """Given as it is printed there, over several lines."""
    assert rows(EVENT) == [json.loads(DATA)]


def test_an_event_may_be_read_from_a_file(tmp_path: Path) -> None:
    """With the same outcome as from stdin."""
    path = tmp_path / "event.json"
    path.write_text(EVENT, "utf-8")
    result = CliRunner().invoke(main, ["price", "--sheet", str(SHEET), *HOW, "--json", str(path)])
    assert json.loads(result.stdout) == json.loads(DATA)


TOKENS = "org_1 ftg-3.0-pro in=1000 cached=200 created=100 out=500"


@pytest.mark.parametrize(
    ("line", "field", "expected"),
    [
        (TOKENS, "synapses", "3600"),
        (TOKENS, "list", {"CHF": "0.096228"}),  # 0.0264 + 0.000528 + 0.0033 + 0.066
        (TOKENS, "net", {"CHF": "0.0866052"}),
        (TOKENS, "converted.USD.net", "0.09729228168"),
        (TOKENS + " priority=high", "synapses", "7200"),
        (TOKENS + " priority=high", "list", {"CHF": "0.192456"}),
        (TOKENS + " priority=low", "synapses", "2880"),
        (TOKENS + " priority=low", "list", {"CHF": "0.0769824"}),
        ("org_1 code cpu=5.5 mb=512 wall=10", "neurons", "32.1"),  # 3 + 3.5 + 25.6
        ("org_1 code cpu=5.5 mb=512 wall=10", "list", {"CHF": "0.0002568"}),
        ("org_1 terminal egress_bytes=1", "list", {"USD": "0.00000000012"}),
        ("org_1 terminal egress_bytes=1", "net", {"USD": "0.000000000108"}),
        ("org_1 terminal egress_bytes=1 billable=no", "due", {"USD": "0"}),
    ],
)
def test_the_issue_s_examples_hold(line: str, field: str, expected: object) -> None:
    """To the last digit."""
    found = row(line)
    for name in field.split("."):
        found = found[name]
    assert found == expected


def test_the_lists_of_the_four_token_kinds() -> None:
    """Each as in the issue."""
    lists = {line["meter"]: line["list"] for line in row(TOKENS)["lines"]}
    assert lists == {"input": "0.0264", "cache_read": "0.000528", "cache_creation": "0.0033", "output": "0.066"}


@pytest.mark.parametrize(
    ("line", "options", "how", "reason"),
    [
        ("org_1 ghost in=1", (), HOW, "no_price_for_model"),
        ("org_1 ftg-3.0-pro reasoning=1", (), HOW, "no_price_for_meter"),
        ("org_1 ftg-3.0-pro in=1 priority=turbo", (), HOW, "no_multiplier_for_priority"),
        ("org_1 image:generate", (), HOW, "no_price_for_operation"),
        ("org_1 image:bend", ("--image-price", "13.2"), HOW, "no_price_for_operation"),
        ("org_1 ftg-3.0-pro in=1", (), (), "no_rate_at_time"),
        ("org_1 ftg-3.0-pro in=1", (), (*HOW[:2], "--tier", "tier_nobody"), "unknown_tier"),
        ("org_1 ftg-3.0-pro in=1", ("--require-account",), HOW[:2], "account_required"),
    ],
)
def test_what_has_no_price_is_parked(line: str, options: tuple[str, ...], how: tuple[str, ...], reason: str) -> None:
    """With the worker's reason."""
    assert row(line, *options, how=how)["parked"] == reason


def test_lines_are_priced_one_by_one() -> None:
    """A blank line is none, and a broken one is rejected without harm to the next."""
    text = "\n".join([dumps(usage(TOKENS)), "", "{", '{"specversion": "1.0"}', dumps(usage(TOKENS))])
    outcomes = [each.get("rejected", "priced") for each in rows(text)]
    assert outcomes == ["priced", "not_json", "not_a_cloudevent", "priced"]


def test_usage_of_any_age_and_provider_is_priced() -> None:
    """The sheet is in force at all times."""
    assert row("org_1 ftg-3.0-pro in=1 at=1970-01-01T00:00:00Z provider=acme")["sheet"]["id"] == "aitronos"


def test_an_image_price_can_be_given() -> None:
    """100,000 synapses × 2 images at 13.2 per million."""
    assert row("org_1 image:generate count=2", "--image-price", "13.2")["list"] == {"CHF": "2.64"}


def test_a_sheet_of_our_own_serves_too(tmp_path: Path) -> None:
    """With its own id and version, and from 1970 on, whatever it says."""
    options = ["--format", "aitronos", "--id", "mine", "--version", "v7", "--effective-from", "2030-01-01T00:00:00Z"]
    imported = CliRunner().invoke(main, ["sheets", "import", *options, str(SHEET)])
    path = tmp_path / "sheet.json"
    path.write_text(imported.stdout)
    result = CliRunner().invoke(
        main, ["price", "--sheet", str(path), *HOW, "--json", "-"], input=dumps(usage(TOKENS)).encode()
    )
    found = json.loads(result.stdout)
    assert (found["sheet"], found["synapses"]) == ({"id": "mine", "version": "v7"}, "3600")


def test_reporting_currencies_can_be_chosen() -> None:
    """CHF needs no rate for CHF."""
    found = row(TOKENS, "--report-currencies", "CHF", how=HOW[2:])
    assert found["converted"] == {"CHF": {"list": "0.096228", "net": "0.0866052", "due": "0.0866052"}}


def test_each_line_is_explained() -> None:
    """Quantity × multipliers = consumed; × price / per = list; − discount = net; sums; conversion."""
    text = price(EVENT).stdout
    assert (
        "input       1234 tokens × 2 (base) × 1 (priority default) = 2468 synapses; "
        "× 13.2 CHF / 1,000,000 = 0.0325776 CHF; − 10 % = 0.02931984 CHF\n"
    ) in text
    assert "net   0.071522352 CHF × 1.1234 = 0.0803482102368 USD\n" in text


def test_free_shares_and_adjustments_are_explained() -> None:
    """What is free comes off the quantity; what is not billed comes off net."""
    text = price(dumps(usage("org_1 code cpu=5.5 mb=512 wall=10 billable=no"))).stdout
    assert "5.5 s − 2 s free = 3.5 s\n" in text
    assert "(512 MB − 256 MB free) × 10 s = 2560 MB-seconds\n" in text
    assert "not_billable: -0.00018432 CHF\n" in text


@pytest.mark.parametrize(
    "line",
    [
        TOKENS + " priority=high seconds=1.5",
        "org_1 image:generate count=2 priority=low",
        "org_1 connector:github/search executions=3",
        "org_1 code cpu=5.5 mb=512 wall=10",
        "org_1 terminal egress_bytes=1 cpu_seconds=2.5",
    ],
)
def test_the_factors_shown_give_what_was_consumed(line: str) -> None:
    """For each line of each type: what stands between quantity and `=` multiplies to it."""
    from fractions import Fraction

    text = price(dumps(usage(line)), "--image-price", "13.2").stdout
    shown = [each for each in text.splitlines() if " CHF / 1,000,000 = " in each]
    found = row(line, "--image-price", "13.2")
    assert len(shown) == sum("consumed" in each for each in found["lines"])
    for each in shown:
        product, _, consumed = each.partition(";")[0].partition(" = ")
        quantity, *factors = product.split(" × ")
        value = Fraction(quantity.split()[1])
        for factor in factors:
            value *= Fraction(factor.split()[0])
        assert value == Fraction(consumed.split()[0])


def test_what_cannot_be_priced_is_explained() -> None:
    """With its number in the file, its reason and the detail; control characters do not reach the terminal."""
    text = price("nonsense\n" + dumps(usage("org_1 ghost in=1"))).stdout
    assert "event number 1 is rejected: not_json: " in text
    assert "event number 2 is parked: no_price_for_model: model ghost on sheet aitronos offline\n" in text


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--fx", "CHF=1"), 2, "'CHF' is not a pair of currencies"),
        (("--fx", "CHF/USD"), 2, "'CHF/USD' is not a pair and its rate, such as CHF/USD=1.1234"),
        (("--fx", "CHF/USD=one"), 2, "'one' is not a plain decimal"),
        (("--image-price", "cheap"), 2, "'cheap' is neither a decimal nor model-input nor model-output"),
        (("--image-price", "-1"), 2, "must not be negative"),
        (("--fx", "CHF/USD=2.0"), 2, "CHF/USD is given twice, as 1.1234 and as 2\n"),
        (("--surface", "nope"), 2, "'nope' is not one of 'openai.chat_completions', "),
        (("--sheet", "/nowhere.json"), 1, "/nowhere.json cannot be read"),
        (("--sheet", __file__), 1, "problem: "),
        (("--tier", ""), 1, "cannot be the id of a tier"),
    ],
)
def test_wrong_arguments_are_one_line(options: tuple[str, ...], code: int, said: str) -> None:
    """Usage ends with 2, the rest with 1, never with a traceback."""
    result = price(EVENT, *options)
    assert (result.exit_code, said in result.output) == (code, True), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    ("options", "said"),
    [((), "event"), (("--json",), "event"), (("--surface", "openai.chat_completions"), "response")],
)
@pytest.mark.parametrize("text", ["", " \n\n"])
def test_a_file_without_an_event_is_said_to_have_none(
    text: str, options: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    """Nothing printed and exit code 0 would be a price of nothing."""
    file = tmp_path / "events.jsonl"
    file.write_text(text)
    result = CliRunner().invoke(main, ["price", "--sheet", str(SHEET), *options, str(file)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: there is no {said} in {file}\n"
