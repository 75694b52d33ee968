"""Reads fal's answer to `GET /v1/models/pricing` (docs.fal.ai, "Pricing"): the price of each endpoint's billing unit.

An endpoint becomes a direct model of that name with one unit price. Its provider is left open: a sheet of fal's
prices has only fal's models, so an event finds them whether it names its provider or not. The unit is fal's own, in
our spelling: an event counts what fal bills (`image`, `second`, `1000_characters`), nothing is converted.

The fetcher joins all pages into one document of this form and adds `asked`, the endpoints that it asked for: those
without an answer are listed as skipped. A price of 0 is free, since fal says so; null or missing is no price.
"""

import re
from decimal import Decimal

from pricing.documents import PRICE_DIGITS, shown
from pricing.errors import InvalidDocument
from pricing.importers.imported import Imported, ImportOptions, finished, read_object, source_of, without_models
from pricing.importers.reading import Node, Reading
from pricing.money import plain
from pricing.sheets import Model

FORMAT = "fal"

_SECTIONS = ("asked", "prices", "next_cursor", "has_more")
_FIELDS = ("endpoint_id", "unit_price", "unit", "currency")
_CURRENCY = re.compile(r"[A-Z]{3}")
# fal writes both `image` and `images`. Only these lose their s: a rule for every word would make a unit of our own.
_PLURALS = frozenset(
    f"{unit}s"
    for unit in (
        *("character", "generation", "hour", "image", "megapixel", "minute", "page", "pixel"),
        *("request", "second", "step", "token", "unit", "video"),
    )
)


def read_fal(value: bytes, options: ImportOptions) -> Imported:
    """The sheet in one page of fal's answer or in all of them joined, or every problem with it."""
    try:
        document = read_object(value, FORMAT)
    except InvalidDocument as invalid:
        return Imported(None, invalid.problems, [])
    if isinstance(document.get("error"), dict) and "prices" not in document:
        said = shown(document["error"].get("message"))
        return Imported(None, [f"document: has no prices but the API's refusal: {said}"], [])
    reading, root = Reading(), Node(document, "")
    reading.unknown(root, _SECTIONS)
    if document.get("has_more") is True or document.get("next_cursor") is not None:
        reading.warnings.append("document: is one page of several, the endpoints of the others are not in it")
    skipped: list[tuple[str, str]] = []
    models = _models(reading, root, skipped)
    skipped += _unanswered(reading, root, {*models, *(name for name, _ in skipped)})
    fields: dict[str, object] = {
        "id": options.id,
        "version": options.version,
        "effective_from": options.effective_from,
        "currency": "USD",
        "models": tuple(models[endpoint] for endpoint in sorted(models)),
        "source": source_of(value, FORMAT, options),
    }
    problems = reading.problems or without_models(models, skipped)
    return finished(fields, problems, reading.warnings, skipped)


def _models(reading: Reading, root: Node, skipped: list[tuple[str, str]]) -> dict[str, Model]:
    found: dict[str, Model] = {}
    for node in reading.nodes(root, "prices"):
        reading.unknown(node, _FIELDS)
        endpoint = reading.text(node, "endpoint_id", required=True)
        if endpoint is None:
            continue
        if node.fields.get("unit_price") is None:
            skipped.append((endpoint, f"unit_price is {'null' if 'unit_price' in node.fields else 'missing'}"))
            continue
        model = _model(reading, node, endpoint)
        if model is None:
            continue
        earlier = found.get(endpoint)
        if earlier is None:
            found[endpoint] = model
        elif earlier == model:
            reading.warnings.append(f"{node.path}: {shown(endpoint)} appears twice, with the same price")
        else:
            reading.problems.append(
                f"{node.path}: {shown(endpoint)} costs {_cost(model)} here, {_cost(earlier)} before"
            )
    return found


def _model(reading: Reading, node: Node, endpoint: str) -> Model | None:
    price = reading.number(node, "unit_price", PRICE_DIGITS)
    unit = reading.text(node, "unit", required=True)
    currency = reading.text(node, "currency", required=True)
    if currency is not None and not _CURRENCY.fullmatch(currency):
        reading.problems.append(f"{node.at('currency')}: must be {_CURRENCY.pattern}, found {shown(currency)}")
        return None
    if price is None or unit is None or currency is None:
        return None
    units: dict[str, Decimal] = {_unit(unit): price}
    return Model(key=endpoint, category="direct", currency=currency, units=units)


def _unit(text: str) -> str:
    """`images` -> `image`, `compute seconds` -> `compute_second`; a unit of several keeps its plural."""
    # In ASCII alone, since elsewhere a small letter may take more bytes than a name has left.
    *before, last = (text.lower() if text.isascii() else text).split() or [text]
    if last in _PLURALS and not (before and before[0][0].isdigit()):
        last = last.removesuffix("s")
    return "_".join((*before, last))


def _cost(model: Model) -> str:
    return " and ".join(f"{plain(price)} {model.currency} per {unit}" for unit, price in model.units.items())


def _unanswered(reading: Reading, root: Node, answered: set[str]) -> list[tuple[str, str]]:
    asked = root.fields.get("asked", [])
    if not (isinstance(asked, list) and all(type(endpoint) is str for endpoint in asked)):
        reading.problems.append(f"asked: must be an array of strings, found {shown(asked)}")
        return []
    return [(endpoint, "asked for, and not in the answer") for endpoint in asked if endpoint not in answered]
