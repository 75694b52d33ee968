"""`sheets import` and `sheets check` without a cluster: what is printed, what is said about it, and the bar."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pricing.models import Model
from pricing.sheets import parse_sheet
from streams.cli import main

AITRONOS = str(Path(__file__).parents[1] / "data" / "aitronos.json")
NAMED = ("--id", "mine", "--version", "2", "--effective-from", "2026-11-01T00:00:00Z")
# Per token in USD, as LiteLLM has them.
LITELLM = {
    "sample_spec": {},
    "gpt-x": {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 2e-06,
    },
    "acme/zero": {
        "litellm_provider": "acme",
        "mode": "chat",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 0,
    },
    "acme/nil": {
        "litellm_provider": "acme",
        "mode": "chat",
        "input_cost_per_token": 0.1e-05,
        "output_cost_per_token": 0,
    },
    "acme/none": {"litellm_provider": "acme", "mode": "chat"},
    "acme/naught": {"litellm_provider": "acme", "mode": "chat"},
}


@pytest.fixture
def market(tmp_path: Path) -> str:
    """A small map of LiteLLM."""
    path = tmp_path / "market.json"
    path.write_text(json.dumps(LITELLM))
    return str(path)


def sheets(*args: str) -> Result:
    return CliRunner().invoke(main, ["sheets", *args], prog_name="stream-pricing")


def imported(*args: str) -> Any:
    """The sheet that `sheets import` prints."""
    result = sheets("import", *NAMED, *args)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_an_import_ends_with_what_was_skipped_and_why(market: str) -> None:
    """On stderr, alike things once; stdout is the sheet alone."""
    result = sheets("import", "--format", "litellm", *NAMED, market)
    lines = result.stderr.splitlines()
    assert lines[0] == "skipped: acme/none: has no price (and 1 more)"
    assert [line for line in lines if "models.acme/acme" in line] == [
        "warning: models.acme/acme/zero.prices.output: is 0, so it costs nothing; a price that is not known is "
        "left out (and 1 more)"
    ]
    assert lines[-1] == (
        "sheet mine@2 from 2026-11-01T00:00:00Z: 3 models of 2 providers; 2 entries skipped, 3 warnings "
        "(--verbose lists each)"
    )
    assert [model.key for model in parse_sheet(result.stdout.encode()).models] == ["gpt-x", "acme/zero", "acme/nil"]


def test_verbose_lists_everything(market: str) -> None:
    """An entry and a price a line."""
    lines = sheets("import", "--format", "litellm", *NAMED, "--verbose", market).stderr.splitlines()
    assert lines[:2] == ["skipped: acme/none: has no price", "skipped: acme/naught: has no price"]
    assert len([line for line in lines if "so it costs nothing" in line]) == 2
    assert lines[-1].endswith("2 entries skipped, 3 warnings")


def test_markup_and_snapshots_are_part_of_the_sheet(market: str) -> None:
    """Prices stay the document's."""
    sheet = imported("--format", "litellm", "--markup", "12.5", "--dated-snapshots", market)
    assert (sheet["markup_percentage"], sheet["dated_snapshots"]) == ("12.5", True)
    assert sheet["models"][0]["prices"] == {"input": "1", "output": "2"}


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("--format", "litellm", "--markup", "-1", "{market}"), 2, "-1 is negative, a markup is not"),
        (("--format", "litellm", "--markup", "ten", "{market}"), 2, "ten"),
        (
            ("--format", "aitronos", "--markup", "1", AITRONOS),
            2,
            "--markup and --dated-snapshots are for models priced",
        ),
        (("--format", "aitronos", "--dated-snapshots", AITRONOS), 2, "priced by the token or unit"),
        (("--format", "litellm", "--id", "a b", "{market}"), 2, "'--id': 'a b' is not of the form"),
        (("--format", "litellm", "--version", "", "{market}"), 2, "'--version': '' is not of the form"),
        (("--format", "fal", "{market}"), 1, "problem: "),
    ],
)
def test_what_cannot_be_meant_is_refused(market: str, args: tuple[str, ...], code: int, said: str) -> None:
    """Wrong usage, or every problem of the document."""
    result = sheets("import", *NAMED, *(arg.format(market=market) for arg in args))
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert result.stdout == ""


def test_an_import_that_fails_says_why_each_entry_was_skipped(tmp_path: Path) -> None:
    """The problem alone is that no model has a price; the reasons are in the entries."""
    path = tmp_path / "market.json"
    path.write_text('{"gpt-x": {"litellm_provider": "openai", "input_cost_per_token": -1}}')
    result = sheets("import", "--format", "litellm", *NAMED, str(path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "skipped: gpt-x: input_cost_per_token: must not be negative, found -1",
        "problem: document: no model has a price",
        f"Error: {path} has 1 problem",
    ]


def test_a_sheet_that_was_printed_can_be_imported_under_another_name(market: str, tmp_path: Path) -> None:
    """To edit it in between; what is not said again stays."""
    path = tmp_path / "sheet.json"
    first = imported("--format", "litellm", "--markup", "5", market)
    path.write_text(json.dumps(first))
    named = ("--id", "other", "--version", "3", "--effective-from", "2026-12-01T00:00:00Z")
    again = imported("--format", "sheet", *named, str(path))
    assert again == first | {"id": "other", "version": "3", "effective_from": "2026-12-01T00:00:00Z"}


def test_a_check_names_what_is_no_weekday(tmp_path: Path) -> None:
    """At its path, with what the weekdays are called."""
    path = tmp_path / "sheet.json"
    daily = {"start": "00:00", "end": "00:00", "weekdays": ["sat", "Sunday"]}
    case = {"when": {"daily": daily}, "prices": {"input": "1"}}
    model = {"category": "direct", "currency": "USD", "key": "m", "prices": {"input": "2"}, "cases": [case]}
    path.write_text(
        json.dumps({"id": "s", "version": "1", "effective_from": "2026-11-01T00:00:00Z", "models": [model]})
    )
    result = sheets("check", "--json", str(path))
    assert result.exit_code == 1
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {
            "severity": "problem",
            "text": "models[0].cases[0].when.daily.weekdays[1]: "
            "Input should be 'mon', 'tue', 'wed', 'thu', 'fri', 'sat' or 'sun', found \"Sunday\"",
        }
    ]


def test_a_check_warns_of_what_can_be_read_beside_the_problems(tmp_path: Path) -> None:
    """Not of what is missing: that may be what has the problem."""
    document = json.loads(Path(AITRONOS).read_text())
    document["code_execution"]["neurons_price_per_1m_chf"] = 9
    document["conversion"]["priority_multipliers"]["default"] = "much"
    path = tmp_path / "sheet.json"
    path.write_text(json.dumps(document))
    result = sheets("check", "--json", str(path))
    assert result.exit_code == 1
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {
            "severity": "problem",
            "text": 'conversion.priority_multipliers.default: must be a number, found "much"',
        },
        {
            "severity": "warning",
            "text": "the price of 1M neurons differs between sections: "
            "neuron_price is 8, code_execution.neuron_price is 9, connector_tools.neuron_price is 8",
        },
    ]


def test_a_check_tells_what_would_be_skipped(market: str) -> None:
    """One by one, also where they are alike."""
    text = sheets("check", market)
    assert text.exit_code == 0
    lines = text.stdout.splitlines()
    assert [line for line in lines if line.startswith("skipped")] == [
        "skipped   acme/none: has no price",
        "skipped   acme/naught: has no price",
    ]
    assert lines[-1] == f"{market}: 3 models of 2 providers; 2 entries skipped, 3 warnings"
    assert sheets("check", "--verbose", market).stdout == text.stdout
    rows = [json.loads(line) for line in sheets("check", "--json", market).stdout.splitlines()]
    assert [row["text"] for row in rows if row["severity"] == "skipped"] == [
        "acme/none: has no price",
        "acme/naught: has no price",
    ]


@pytest.mark.parametrize(
    ("fields", "is_free"),
    [
        ({}, False),
        ({"prices": {"input": "0"}}, True),
        ({"prices": {"input": "0"}, "units": {"image": "1"}}, False),
        ({"prices": {"input": "0"}, "bands": {"input": [{"above": 1, "price": "1"}]}}, False),
        ({"units": {"image": "0"}, "cases": [{"when": {"service_tier": "flex"}, "prices": {"input": "1"}}]}, False),
    ],
)
def test_free_is_what_has_prices_of_0_alone(fields: dict[str, object], is_free: bool) -> None:
    """A model without prices is not free but unpriced."""
    document = {"key": "m", "category": "direct", "currency": "USD", **fields}
    assert Model.model_validate_json(json.dumps(document)).is_free is is_free


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_shown_on_a_terminal_alone(market: str, terminal: bool) -> None:
    """And is gone at the end: the last thing on the screen is the summary."""
    controller, screen = pty.openpty()
    command = [sys.executable, "-m", "streams", "sheets", "import", "--format", "litellm", *NAMED, market]
    ran = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=screen if terminal else subprocess.PIPE,
        check=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(screen)
    shown = os.read(controller, 65_536).decode() if terminal else ran.stderr.decode()
    os.close(controller)
    assert ("reading" in shown) is terminal
    assert "\x1b" not in shown[shown.index("skipped: ") :]
    assert shown.rstrip().endswith("(--verbose lists each)")
    assert parse_sheet(ran.stdout).id == "mine"
