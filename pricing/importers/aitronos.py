"""Reads the document of `GET /v1/pricing` of the Aitronos API (docs.aitronos.com, "Get Pricing Sheet").

A section that is missing is a problem, since the document says of itself that it is complete; a price that is
null or missing stays missing, with a warning, and is never zero. Fields that this file does not know are
warned of, but for `<kind>_price_per_1m_synapses`, which prices a further kind of token.
"""

import re
from decimal import Decimal
from typing import Any

from pricing.documents import MULTIPLIER_DIGITS, PERCENTAGE_DIGITS, PRICE_DIGITS, shown
from pricing.errors import InvalidDocument
from pricing.importers.imported import Imported, ImportOptions, finished, read_object, source_of
from pricing.importers.reading import Node, Reading
from pricing.model_names import repeated_names
from pricing.sheets import CodeExecution, ConnectorTools, Model, Tier, UnitPrice

FORMAT = "aitronos"

_SECTIONS = (
    "currency_note",
    "conversion",
    "models",
    "image_operations",
    "code_execution",
    "connector_tools",
    "terminal",
    "pricing_tiers",
)
_PRICE = re.compile(r"([a-z][a-z0-9_]{0,63})_price_per_1m_synapses")
_KINDS = ("input", "output", "cache_read", "cache_creation")
_MODEL_NUMBERS = ("consumption_synapses_per_second", "neurons_per_token")
_CODE_EXECUTION = {
    "base_neuron_cost": "base",
    "cpu_neuron_per_second": "cpu_per_second",
    "memory_neuron_per_mb_sec": "memory_per_mb_second",
    "cpu_free_seconds": "cpu_free_seconds",
    "memory_free_mb": "memory_free_mb",
}
_NEURON_PRICE = "neurons_price_per_1m_chf"
_CURRENCY = re.compile(r"[A-Z]{3}")


def read_aitronos(value: bytes, options: ImportOptions) -> Imported:
    """The sheet in the API's answer, or every problem with it."""
    try:
        document = read_object(value, FORMAT)
    except InvalidDocument as invalid:
        return Imported(None, invalid.problems, [])
    refusal = _refusal(document)
    if refusal is not None:
        return Imported(None, [refusal], [])
    reading, root = Reading(), Node(document, "")
    reading.unknown(root, _SECTIONS)
    fields: dict[str, object] = {
        "id": options.id,
        "version": options.version,
        "effective_from": options.effective_from,
        "currency": "CHF",
        "image_price": options.image_price,
        **_conversion(reading, root),
        "models": _models(reading, root),
        "image_operations": _weights(reading, root),
        "code_execution": _code_execution(reading, root),
        "connector_tools": _connector_tools(reading, root),
        "terminal": _terminal(reading, root),
        "tiers": _tiers(reading, root),
        "source": source_of(value, FORMAT, options),
    }
    return finished(fields, reading.problems, reading.warnings)


def _refusal(document: dict[str, Any]) -> str | None:
    """What the API says in place of a price sheet: {"error": {"code", "message", "status"}}."""
    error = document.get("error")
    if not isinstance(error, dict) or any(section in document for section in _SECTIONS[1:]):
        return None
    said = [str(error[key]) for key in ("status", "code", "message") if isinstance(error.get(key), str)]
    return "document: is no price sheet but the API's refusal: " + shown(" ".join(said))


def _conversion(reading: Reading, root: Node) -> dict[str, object]:
    node = reading.node(root, "conversion")
    if node is None:
        return {}
    reading.unknown(node, ("base_multiplier", _NEURON_PRICE, "priority_multipliers"))
    priorities: dict[str, Decimal] = {}
    multipliers = reading.node(node, "priority_multipliers")
    if multipliers is not None:
        for name in multipliers.fields:
            multiplier = _number(reading, multipliers, name, MULTIPLIER_DIGITS)
            if multiplier is not None:
                priorities[name] = multiplier
    return {
        "base_multiplier": reading.number(node, "base_multiplier", MULTIPLIER_DIGITS),
        "neuron_price": reading.number(node, _NEURON_PRICE, PRICE_DIGITS),
        "priorities": priorities,
    }


def _models(reading: Reading, root: Node) -> tuple[Model, ...]:
    found, names = [], []
    for node in reading.nodes(root, "models"):
        reading.unknown(node, ("id", "key", "name", "pricing"))
        key, id_ = reading.text(node, "key", required=True), reading.text(node, "id")
        names.append((node.path, None, {name for name in (key, id_) if name is not None}))
        name = reading.text(node, "name")
        if "pricing" in node.fields and node.fields["pricing"] is None:
            reading.warnings.append(f"{node.at('pricing')}: is null, the model is left out")
            continue
        pricing = reading.node(node, "pricing")
        model = None if pricing is None else _model(reading, pricing, key, id_, name)
        if model is not None:
            found.append(model)
    reading.problems.extend(repeated := list(repeated_names(names)))
    # What repeats a name was said; the sheet's own check would say it again.
    return () if repeated else tuple(found)


def _model(reading: Reading, pricing: Node, key: str | None, id_: str | None, name: str | None) -> Model | None:
    category = _choice(reading, pricing, "category", re.compile("synapse|neuron"))
    currency = _choice(reading, pricing, "currency", _CURRENCY)
    per_second, per_token = (reading.number(pricing, field, MULTIPLIER_DIGITS) for field in _MODEL_NUMBERS)
    prices = {}
    for field in pricing.fields:
        kind = _PRICE.fullmatch(field)
        if kind is None:
            continue
        if kind[1] not in _KINDS:
            reading.warnings.append(f"{pricing.at(field)}: read as the price of token kind {kind[1]!r}")
        price = reading.number(pricing, field, PRICE_DIGITS)
        if price is not None:
            prices[kind[1]] = price
    priced = [field for field in pricing.fields if _PRICE.fullmatch(field)]
    reading.unknown(pricing, ("category", "currency", *_MODEL_NUMBERS, *priced))
    if key is None or category is None or currency is None:
        return None
    return Model.model_validate(
        {
            "key": key,
            "id": id_,
            "name": name,
            "category": category,
            "currency": currency,
            "prices": prices,
            "synapses_per_second": per_second,
            "neurons_per_token": per_token,
        }
    )


def _weights(reading: Reading, root: Node) -> dict[str, Decimal]:
    weights: dict[str, Decimal] = {}
    seen: set[str] = set()
    for node in reading.nodes(root, "image_operations"):
        reading.unknown(node, ("operation", "synapses"))
        operation = reading.text(node, "operation", required=True)
        weight = _number(reading, node, "synapses", PRICE_DIGITS)
        if operation is None or reading.repeated(node.at("operation"), operation, seen) or weight is None:
            continue
        weights[operation] = weight
    return weights


def _code_execution(reading: Reading, root: Node) -> CodeExecution | None:
    node = reading.node(root, "code_execution")
    if node is None:
        return None
    reading.unknown(node, (*_CODE_EXECUTION, _NEURON_PRICE))
    numbers = {ours: reading.number(node, theirs, MULTIPLIER_DIGITS) for theirs, ours in _CODE_EXECUTION.items()}
    return CodeExecution(**numbers, neuron_price=reading.number(node, _NEURON_PRICE, PRICE_DIGITS))


def _connector_tools(reading: Reading, root: Node) -> ConnectorTools | None:
    node = reading.node(root, "connector_tools")
    if node is None:
        return None
    reading.unknown(node, ("neuron_multiplier", _NEURON_PRICE))
    return ConnectorTools(
        multiplier=reading.number(node, "neuron_multiplier", MULTIPLIER_DIGITS),
        neuron_price=reading.number(node, _NEURON_PRICE, PRICE_DIGITS),
    )


def _terminal(reading: Reading, root: Node) -> dict[str, UnitPrice]:
    prices: dict[str, UnitPrice] = {}
    seen: set[str] = set()
    for node in reading.nodes(root, "terminal"):
        reading.unknown(node, ("dimension", "unit_rate_usd", "unit_label"))
        dimension = reading.text(node, "dimension", required=True)
        price = _number(reading, node, "unit_rate_usd", PRICE_DIGITS)
        label = reading.text(node, "unit_label")  # "per egress byte"
        if dimension is None or reading.repeated(node.at("dimension"), dimension, seen) or price is None:
            continue
        unit = None if label is None else label.removeprefix("per ")
        prices[dimension] = UnitPrice(price=price, currency="USD", unit=unit)
    return prices


def _tiers(reading: Reading, root: Node) -> dict[str, Tier]:
    tiers: dict[str, Tier] = {}
    seen: set[str] = set()
    for node in reading.nodes(root, "pricing_tiers"):
        reading.unknown(node, ("id", "name", "description", "discount_percentage"))
        id_, name = reading.text(node, "id", required=True), reading.text(node, "name")
        discount = reading.percentage(node, "discount_percentage", PERCENTAGE_DIGITS)
        if id_ is None or reading.repeated(node.at("id"), id_, seen) or discount is None:
            continue
        tiers[id_] = Tier(id=id_, name=name, discount_percentage=discount)
    return tiers


def _number(reading: Reading, node: Node, key: str, digits: tuple[int, int]) -> Decimal | None:
    """The number of an entry, which is left out where it is null or missing: the sheet then shows no gap."""
    if node.fields.get(key) is None:
        found = "is null" if key in node.fields else "is missing"
        reading.warnings.append(f"{node.at(key)}: {found}, what needs it has no price")
    return reading.number(node, key, digits)


def _choice(reading: Reading, node: Node, key: str, allowed: re.Pattern[str]) -> str | None:
    value = reading.text(node, key, required=True)
    if value is not None and not allowed.fullmatch(value):
        reading.problems.append(f"{node.at(key)}: must be {allowed.pattern}, found {shown(value)}")
        return None
    return value
