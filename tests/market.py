"""The market's real prices and responses (../shared/data), and what a response costs by a sheet, through the pipeline.

lines_of(sheet, "openai.chat_completions", body)        # the lines of the priced event; Missing where it is parked
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pricing.book import Book, Policy
from pricing.importers import IMPORTERS, ImportOptions
from pricing.sheets import Sheet
from pricing.times import parse_time
from tests.product import book, data
from tests.usage import Literal

SHARED = Path(__file__).parents[2] / "shared" / "data"
GENAI = "genai-prices/data.json"
LITELLM = "litellm/model_prices_and_context_window.json"
OPENROUTER = "portkey-models/pricing/openrouter.json"
USAGE = SHARED / "provider-usage"

_FORMATS = {"genai-prices": "genai-prices", "litellm": "litellm", "portkey-models": "portkey"}
_START = parse_time("2020-01-01T00:00:00Z")


@cache
def sheet_in(file: str) -> Sheet:
    """The sheet in a file of ../shared/data, in force since 2020. Where it is not there, the test says so and skips."""
    path = SHARED / file
    if not path.is_file():
        pytest.skip(f"{path} is not there: it is shared data and not in the repository")
    form = _FORMATS[file.split("/")[0]]
    options = ImportOptions(path.stem, "1", _START, location=path.name)
    found = IMPORTERS[form](path.read_bytes(), options)
    assert found.sheet is not None, found.problems
    return found.sheet


@cache
def responses_in(name: str) -> list[dict[str, Any]]:
    """The rows of a file of responses, each with its `id` and `body`, fractions as `Literal`; skips like `sheet_in`."""
    path = USAGE / name
    if not path.is_file():
        pytest.skip(f"{path} is not there: it is shared data and not in the repository")
    return [json.loads(line, parse_float=Literal) for line in path.read_text().splitlines()]


@cache
def book_in(file: str) -> Book:
    """A book in which that sheet prices every provider."""
    return book_with(sheet_in(file))


def book_with(sheet: Sheet) -> Book:
    """A book in which `sheet` prices every provider."""
    return book(sheet, policy=Policy({"*": sheet.id}))


def lines_of(
    found: Book, surface: str, response: Mapping[str, Any], *, at: str = "2026-08-21T12:00:00Z", **fields: Any
) -> list[dict[str, Any]]:
    """The lines of the priced event that has `response`; `fields` are more of the event's data."""
    return lines_of_event(found, "ai.usage.response.v1", at, surface=surface, response=response, **fields)


def lines_of_event(found: Book, kind: str, at: str, **fields: Any) -> list[dict[str, Any]]:
    """The lines of a priced event of any type, with these fields of its data."""
    usage = {"organization": "acme", "project": "p", **fields}
    event = {"specversion": "1.0", "id": "1", "source": "test", "type": kind, "time": at, "data": usage}
    return data(event, found)["lines"]  # type: ignore[no-any-return]
