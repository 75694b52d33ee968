"""What the README says that the code knows better: the table of surfaces, and names of settings and commands."""

import re
from pathlib import Path

import click
import pytest

from pricing.surface_shapes import Surface
from pricing.surface_table import SURFACES
from streams.cli import main
from streams.settings import PREFIX, Settings

README = (Path(__file__).parents[2] / "README.md").read_text()


def where(row: Surface, kind: str, outer: str) -> str:
    """Whether a count is inside another one of the usage object, beside it, or not there."""
    totals = {total.kind: total for total in row.totals}
    if kind in totals or row.unlisted == kind:
        return "beside"
    return "inside" if any(kind in total.inside for total in row.totals if total.kind == outer) else "–"


def table() -> list[str]:
    """Surfaces that are alike in a line: what of a body is read, and which counts are inside the totals."""
    alike: dict[str, list[str]] = {}
    for name, row in SURFACES.items():
        cells = [
            ", ".join(f"`{member}`" for member in row.members),
            where(row, "cache_read", "input"),
            where(row, "cache_creation", "input"),
            where(row, "output_reasoning", "output"),
        ]
        alike.setdefault(" | ".join(cells), []).append(f"`{name}`")
    return [f"| {', '.join(names)} | {cells} |" for cells, names in alike.items()]


def test_the_table_of_surfaces_is_the_code_s() -> None:
    """Every surface that can be sent."""
    found = [line for line in README.splitlines() if re.match(r"\| `[a-z]+\.[a-z_]+`", line)]
    assert found == table(), "\n".join(table())


@pytest.mark.parametrize("name", sorted(set(re.findall(rf"{PREFIX}([A-Z_]*[A-Z])", README))))
def test_every_setting_that_is_named_exists(name: str) -> None:
    """Secrets also by the name of a file."""
    assert name.lower().removesuffix("_file") in Settings.model_fields


def commands(text: str) -> set[tuple[str, ...]]:
    """`sheets import` of everything that begins with the program's name."""
    found = set()
    for line in re.findall(r"(?:^|`)stream-pricing(?: --config FILE)? ((?:[a-z]+ ?)+)", text, re.MULTILINE):
        group, words = main, []
        for word in line.split():
            command = group.get_command(click.Context(group), word)
            if command is None:
                break
            words.append(word)
            if not isinstance(command, click.Group):
                break
            group = command
        found.add(tuple(words))
    return found


def test_every_command_that_is_named_exists() -> None:
    """And the new ones are shown at all."""
    found = commands(README)
    assert () not in found
    assert {("sheets", "import"), ("sheets", "show"), ("sheets", "diff"), ("price",), ("worker",)} <= found
