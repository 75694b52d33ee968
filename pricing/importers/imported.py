"""What every importer takes and gives: bytes and options in, a sheet or every problem out."""

from collections.abc import Iterable, Sized
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from typing import Any

from pydantic import ValidationError

from pricing.documents import problems_of, read_json, shown
from pricing.errors import InvalidDocument
from pricing.sheets import Sheet


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What an operator adds to a foreign document: the name and date of the sheet, and its origin.

    `effective_from` is in nanoseconds since 1970; `image_price` a price per 1M synapses, `model-input` or
    `model-output`; `location` a path or URL without secrets.
    """

    id: str
    version: str
    effective_from: int
    image_price: Decimal | str | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """A sheet, or None and every problem; warnings are about what the sheet left out or read with doubt.

    `skipped` has (name, reason) of each entry for a model that the sheet does not have. `draft` is what could be read
    of a document with problems, to be looked at and never to be used.
    """

    sheet: Sheet | None
    problems: list[str]
    warnings: list[str]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    draft: Sheet | None = field(default=None, compare=False)


def read_object(value: bytes, form: str) -> dict[str, Any]:
    """The JSON object that a document of a foreign format is. Raises InvalidDocument for all else."""
    document = read_json(value, name=form)
    if not isinstance(document, dict):
        raise InvalidDocument(form, [f"document: must be an object, found {shown(document)}"])
    return document


def market_sheet(value: bytes, form: str, options: ImportOptions, models: Iterable[object]) -> dict[str, object]:
    """The fields of a sheet of direct models in USD, to be `finished`."""
    return {
        "id": options.id,
        "version": options.version,
        "effective_from": options.effective_from,
        "currency": "USD",
        "models": tuple(models),
        "source": source_of(value, form, options),
    }


def source_of(value: bytes, form: str, options: ImportOptions) -> dict[str, object]:
    """The provenance of a sheet that was read from `value`, to be validated with the sheet."""
    return {"format": form, "sha256": sha256(value).hexdigest(), "location": options.location}


def without_models(models: Sized, skipped: Sized) -> list[str]:
    """A problem where a price list comes to no model: published, it would leave everything without a price."""
    if models:
        return []
    return ["document: no model has a price" if skipped else "document: has no models"]


def finished(
    fields: dict[str, object],
    problems: list[str],
    warnings: list[str],
    skipped: list[tuple[str, str]] | None = None,
) -> Imported:
    """The sheet made of `fields`, if the document had no problem and the sheet itself has none."""
    left_out = skipped or []
    try:
        sheet = Sheet.model_validate(fields)
    except ValidationError as error:
        return Imported(None, problems + problems_of(error), warnings, left_out)
    if problems:
        return Imported(None, problems, warnings, left_out, draft=sheet)
    return Imported(sheet, problems, warnings, left_out)
