"""`sheets diff` and what it compares by: versions by label, sources by names, both model by model."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pricing.sheet_diff import called_as, compare, diff_sheets, of_provider
from pricing.sheets import Sheet, parse_sheet
from streams.cli import main

SAMPLE = Path(__file__).parents[2] / "deploy" / "samples" / "sheet-2026-11-01.json"


def model(key: str, price: str | None = None, **fields: Any) -> dict[str, Any]:
    prices = {} if price is None else {"prices": {"input": price}}
    return {"key": key, "category": "direct", "currency": "USD", **prices, **fields}


def sheet(*models: dict[str, Any], **fields: Any) -> Sheet:
    named = {"id": "s", "version": "1", "effective_from": "2026-01-01T00:00:00Z"}
    return parse_sheet(json.dumps({**named, "models": models, **fields}).encode())


OLD = [
    model("same", "1", units={"image": "1"}),
    model("dearer", "2"),
    model("cheaper", "5", name="C"),
    model("gone", "1"),
]
NEW = [model("same", "1"), model("dearer", "3"), model("cheaper", "1", name="D"), model("new", "1")]


def portkey(**cents: float) -> dict[str, Any]:
    """A provider's file: cents per token."""
    return {
        name: {"pricing_config": {"pay_as_you_go": {"request_token": {"price": price}}}}
        for name, price in {"default": 0, **cents}.items()
    }


def litellm(**prices: tuple[str, float]) -> dict[str, Any]:
    """A map: the provider and USD per token."""
    return {"sample_spec": {}} | {
        name: {"litellm_provider": provider, "mode": "chat", "input_cost_per_token": price}
        for name, (provider, price) in prices.items()
    }


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Two versions of a sheet, and two sources."""
    sources = {
        "old": {"id": "s", "version": "1", "effective_from": "2026-01-01T00:00:00Z", "models": OLD},
        "new": {"id": "s", "version": "2", "effective_from": "2026-02-01T00:00:00Z", "models": NEW},
        "portkey": portkey(**{"gpt-x": 0.0002, "gpt-y": 0.0001}),
        "litellm": litellm(**{"acme/gpt-x": ("acme", 3e-06), "gpt-y": ("other", 1e-06)}),
    }
    for name, document in sources.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    return {name: str(tmp_path / f"{name}.json") for name in sources}


def diff(*args: str) -> Result:
    return CliRunner().invoke(main, ["sheets", "diff", *args], prog_name="stream-pricing")


def test_two_versions_are_told_model_by_model(files: dict[str, str]) -> None:
    """What differs and by how much; what only one has by name; then all in a line."""
    assert diff(files["old"], files["new"]).stdout.splitlines() == [
        "sheet",
        "  effective_from  2026-01-01T00:00:00Z → 2026-02-01T00:00:00Z",
        "  version         1 → 2",
        "models.same",
        "  units.image  1 → –",
        "models.dearer",
        "  prices.input  2 → 3  50.00 %",
        "models.cheaper",
        "  name          C → D",
        "  prices.input  5 → 1  -80.00 %",
        "only in the old one: gone",
        "only in the new one: new",
        "3 models in both, of which 3 differ; 1 rose, most models.dearer.prices.input by 50 %; 1 fell, most "
        "models.cheaper.prices.input by 80 %; 1 only in the old one, 1 only in the new one",
    ]


def test_a_greater_discount_is_no_higher_price(tmp_path: Path) -> None:
    """Nor is a free share: the summary tells what became dearer."""
    sample = json.loads(SAMPLE.read_text())
    sample["pricing_tiers"][0]["discount_percentage"] = 99
    sample["code_execution"]["cpu_free_seconds"] = 500
    (tmp_path / "new.json").write_text(json.dumps(sample))
    lines = diff(str(SAMPLE), str(tmp_path / "new.json")).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == [
        "code_execution.cpu_free_seconds",
        "tiers.tier_standard.discount_percentage",
    ]
    assert lines[3] == "7 models in both, of which 0 differ; 0 only in the old one, 0 only in the new one"


def test_prices_alone_can_be_compared(files: dict[str, str]) -> None:
    """Those that both have: a price that only one lists is no dearer."""
    rows = [json.loads(line) for line in diff(files["old"], files["new"], "--prices", "--json").stdout.splitlines()]
    assert rows == [
        {"path": "models.dearer.prices.input", "old": "2", "new": "3", "percent": "50.00 %"},
        {"path": "models.cheaper.prices.input", "old": "5", "new": "1", "percent": "-80.00 %"},
    ]


def test_two_sources_are_compared_by_their_names(files: dict[str, str]) -> None:
    """`acme/gpt-x` is called `gpt-x` too; what Portkey has for any provider, LiteLLM has for acme."""
    lines = diff(files["portkey"], files["litellm"], "--provider", "acme", "--prices").stdout.splitlines()
    assert lines[:2] == ["models.gpt-x", "  prices.input  2 → 3  50.00 %"]
    assert lines[-1].startswith("1 model in both, of which 1 differs; 1 rose, most models.gpt-x.prices.input by 50 %; ")
    assert lines[-1].endswith("; 1 only in the old one, 0 only in the new one")


def test_a_provider_is_named_as_each_source_calls_it(files: dict[str, str]) -> None:
    """Or once, where one of them has it: a provider that only the older one had is worth knowing."""
    lines = diff(files["litellm"], files["litellm"], "--provider", "acme", "--provider", "other").stdout.splitlines()
    assert lines[:2] == ["only in the old one: acme/gpt-x", "only in the new one: gpt-y"]


@pytest.mark.parametrize(
    ("old", "new", "names", "said"),
    [
        ("litellm", "portkey", ["nope"], "no provider 'nope' in {litellm} and {portkey}; there is acme, other"),
        ("litellm", "litellm", ["nope", "acme"], "no provider 'nope' in {litellm}; there is acme, other"),
        ("portkey", "litellm", ["any", "nope"], "no provider 'any' in {portkey}; all models there are of any provider"),
        ("old", "new", ["s"], "no provider 's' in {old} and {new}; all models there are of any provider"),
    ],
)
def test_a_provider_that_is_not_there_is_refused(
    files: dict[str, str], old: str, new: str, names: list[str], said: str
) -> None:
    """With those that are: "no differences" would be no answer."""
    result = diff(files[old], files[new], *(part for name in names for part in ("--provider", name)))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: {said.format(**files)}\n"


def test_a_source_is_no_different_from_itself(files: dict[str, str]) -> None:
    """A document has neither id nor start."""
    assert diff(files["litellm"], files["litellm"]).stdout == "no differences in 2 models\n"
    assert diff(files["litellm"], files["litellm"], "--json").stdout == ""


def test_long_lists_are_cut(tmp_path: Path) -> None:
    """What only one has is named ten times."""
    for name, count in (("old", 1), ("new", 1013)):
        models = [model(f"m{number}", "1") for number in range(count)]
        document = {"id": "s", "version": "1", "effective_from": "2026-01-01T00:00:00Z", "models": models}
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    lines = diff(str(tmp_path / "old.json"), str(tmp_path / "new.json")).stdout.splitlines()
    assert lines[0] == f"only in the new one: {', '.join(f'm{number}' for number in range(1, 11))} and 1,002 more"


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("--provider", "a", "--provider", "b", "--provider", "c"), 2, "--provider is given once for both, or twice"),
        (("--format", "litellm", "--format", "fal"), 1, "new.json has "),
        (("--format", "nonsense"), 2, "nonsense"),
    ],
)
def test_what_cannot_be_meant_is_refused(files: dict[str, str], args: tuple[str, ...], code: int, said: str) -> None:
    """With the file that it is about."""
    result = diff(files["litellm"], files["new"], *args)
    assert (result.exit_code, said in result.stderr) == (code, True), result.stderr


def test_a_renamed_model_of_one_sheet_is_a_difference() -> None:
    """Names are compared between sources alone: else a published version could change unseen."""
    before, after = sheet(model("a", "1", id="x")), sheet(model("b", "1", id="x"))
    assert diff_sheets(before, after)
    assert compare(before, after).only_new == ["b"]
    assert not diff_sheets(before, called_as(after, before))


def test_names_are_shared_once() -> None:
    """A key comes before an alias, and no two models get the same."""
    other = sheet(model("a", aliases=["b"]), model("c"))
    renamed = called_as(sheet(model("b"), model("x", aliases=["a"]), model("c", aliases=["d"])), other)
    assert [each.key for each in renamed.models] == ["a", "x", "c"]


def test_models_of_a_provider_are_anyone_s() -> None:
    """Also those that were anyone's before."""
    found = of_provider(sheet(model("a", provider="p"), model("b", provider="q"), model("c")), "p")
    assert [each.label for each in found.models] == ["a", "c"]
