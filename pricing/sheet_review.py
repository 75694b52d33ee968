"""Looks at a sheet for people: what in it is probably a mistake.

Nothing here decides whether a sheet is valid; a warning never keeps one from being published.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from pricing.money import HUNDRED, ZERO, number, plain
from pricing.sheet_diff import is_relief, leaves_of
from pricing.sheets import Model, Sheet


@dataclass(frozen=True, slots=True)
class _Usual:
    """The range in which a price is credible, and what it probably is when it is below or above."""

    low: Decimal
    high: Decimal
    below: str
    above: str


def _usual(low: str, high: str, below: str, above: str) -> _Usual:
    return _Usual(number(low, before=12, after=24), number(high, before=12, after=24), below, above)


# Per 1M synapses. On the market of 2026 a token costs 0.01 (the smallest models) to 600 (the largest) per 1M.
_MODEL_PRICE = _usual("0.001", "10000", "a price per token or per 1,000", "a price of more than 1M, or in cents")
# The dearest price of one model: a whole model below this is rather priced per 1,000.
_MODEL_DEAREST = _usual("0.1", "10000", "prices per token or per 1,000", "prices of more than 1M")
# Of a model that is priced by tokens themselves; small embedding models cost least.
_DIRECT_DEAREST = _usual("0.001", "10000", "prices per token or per 1,000", "prices of more than 1M")
_NEURON_PRICE = _usual("0.05", "10000", "a price per neuron or per 1,000", "a price of more than 1M, or in cents")
# A model's price over its own input price: output is 1 to 20 times the input, a cache 0.02 to 2 times.
_TO_INPUT = {
    "output": _usual(
        "0.1", "100", "a price of fewer tokens than the input's", "a price of more tokens than the input's"
    ),
    "cache_read": _usual(
        "0.002", "10", "a price of fewer tokens than the input's", "a price of more tokens than the input's"
    ),
    "cache_creation": _usual(
        "0.05", "50", "a price of fewer tokens than the input's", "a price of more tokens than the input's"
    ),
}
# By the last words of the dimension. A cloud sells a CPU hour for 0.01 to 0.3, a GB of memory for a hundredth
# of that an hour, a GB of storage for 0.001 to 0.2 a day and a GB of egress for 0 to 0.25.
_UNIT_PRICES = {
    "gb_seconds": _usual("0.00000001", "0.0001", "a price per MB", "a price per minute or per hour"),
    "gb_days": _usual("0.00001", "1", "a price per MB or per second", "a price per month or per TB"),
    "seconds": _usual("0.0000001", "0.001", "a price per millisecond", "a price per minute or per hour"),
    "bytes": _usual("0.0000000000001", "0.00000001", "a price per bit", "a price per KB, MB or GB"),
}
_CODE_EXECUTION = {
    "memory_per_mb_second": _usual("0.000001", "1", "neurons per KB", "neurons per GB"),
    "cpu_per_second": _usual("0.001", "1000", "neurons per millisecond", "neurons per hour"),
}
# In tokens, an image costs some hundred to some hundred thousand.
_IMAGE_WEIGHT = _usual("1", "1000000000", "a price, not synapses", "synapses of many images")
_MULTIPLIER = _usual("0.01", "100", "a percentage or a price", "a percentage")


def warnings(sheet: Sheet, *, is_whole: bool = True) -> list[str]:
    """One sentence for each thing that is allowed and yet probably wrong; what is missing only if it `is_whole`."""
    return [
        *_neuron_prices_differ(sheet),
        *_unusual(sheet),
        *(warning for model in sheet.models for warning in _unusual_model(model)),
        *_zeros(sheet),
        *(_missing(sheet) if is_whole else ()),
        *(warning for model in sheet.models for warning in _unused_in_model(model)),
        *(
            f"tiers.{tier.id}.discount_percentage: is 100, everything is free in this tier"
            for tier in sheet.tiers.values()
            if tier.discount_percentage == HUNDRED
        ),
    ]


def _neuron_prices(sheet: Sheet) -> dict[str, Decimal]:
    prices = {"neuron_price": sheet.neuron_price}
    for name in ("code_execution", "connector_tools"):
        prices[f"{name}.neuron_price"] = getattr(getattr(sheet, name), "neuron_price", None)
    return {path: price for path, price in prices.items() if price is not None}


def _neuron_prices_differ(sheet: Sheet) -> Iterator[str]:
    prices = _neuron_prices(sheet)
    if len(set(prices.values())) > 1:
        found = ", ".join(f"{path} is {plain(price)}" for path, price in prices.items())
        yield f"the price of 1M neurons differs between sections: {found}"


def _unusual(sheet: Sheet) -> Iterator[str]:
    for path, price in _neuron_prices(sheet).items():
        yield from _outside(path, price, _NEURON_PRICE)
    yield from _outside("base_multiplier", sheet.base_multiplier, _MULTIPLIER)
    for name, multiplier in sheet.priorities.items():
        yield from _outside(f"priorities.{name}", multiplier, _MULTIPLIER)
    for operation, weight in sheet.image_operations.items():
        yield from _outside(f"image_operations.{operation}", weight, _IMAGE_WEIGHT)
    if isinstance(sheet.image_price, Decimal):
        yield from _outside("image_price", sheet.image_price, _MODEL_PRICE)
    for name, usual in _CODE_EXECUTION.items():
        yield from _outside(f"code_execution.{name}", getattr(sheet.code_execution, name, None), usual)
    for dimension, unit in sheet.terminal.items():
        known = next((usual for ending, usual in _UNIT_PRICES.items() if dimension.endswith(ending)), None)
        if known is not None:
            yield from _outside(f"terminal.{dimension}.price", unit.price, known)


def _unusual_model(model: Model) -> Iterator[str]:
    path = f"models.{model.label}.prices"
    dearest = max(model.prices.values(), default=None)
    usual_dearest = _DIRECT_DEAREST if model.category == "direct" else _MODEL_DEAREST
    if dearest is not None and dearest < usual_dearest.low:
        yield from _outside(path, dearest, usual_dearest)
        return
    unusual = [w for kind, price in model.prices.items() for w in _outside(f"{path}.{kind}", price, _MODEL_PRICE)]
    if unusual:
        yield from unusual
        return
    base = model.prices.get("input")
    for kind, usual in _TO_INPUT.items():
        price = model.prices.get(kind, ZERO)
        if base and price and not usual.low * base <= price <= usual.high * base:
            meant = usual.below if price < usual.low * base else usual.above
            yield (
                f"{path}.{kind}: {plain(price)} beside an input price of {plain(base)} "
                f"looks like a wrong unit: {meant}?"
            )


def _outside(path: str, value: Decimal | None, usual: _Usual) -> Iterator[str]:
    if not value or usual.low <= value <= usual.high:
        return
    bound, meant = (
        (f"under {plain(usual.low)}", usual.below) if value < usual.low else (f"over {plain(usual.high)}", usual.above)
    )
    yield f"{path}: {plain(value)} is {bound} and looks like a wrong unit: {meant}?"


def _zeros(sheet: Sheet) -> Iterator[str]:
    for path, value in leaves_of(sheet).items():
        allowed = is_relief(path) or path == "markup_percentage"
        if isinstance(value, Decimal) and not value and not allowed:
            yield f"{path}: is 0, so it costs nothing; a price that is not known is left out"


def _missing(sheet: Sheet) -> Iterator[str]:
    """What usage of a usual kind would be parked for; a sheet of nothing but direct models is the market's."""
    if not sheet.models or any(model.category != "direct" for model in sheet.models):
        yield from _missing_sections(sheet)
    for name in ("code_execution", "connector_tools"):
        section = getattr(sheet, name)
        for part, value in (section.model_dump() if section else {}).items():
            if value is None:
                yield f"{name}.{part}: is missing, usage that needs it is parked"
    for model in sheet.models:
        yield from _missing_in_model(model)


def _missing_sections(sheet: Sheet) -> Iterator[str]:
    sections: dict[str, object] = {
        "base_multiplier": sheet.base_multiplier,
        "neuron_price": sheet.neuron_price,
        "priorities.default": sheet.priorities.get("default"),
        "models": sheet.models or None,
        "code_execution": sheet.code_execution,
        "connector_tools": sheet.connector_tools,
        "terminal": sheet.terminal or None,
    }
    if sheet.image_operations:
        sections["image_price"] = sheet.image_price
    for path, value in sections.items():
        if value is None:
            yield f"{path}: is missing, usage that needs it is parked"


def _missing_in_model(model: Model) -> Iterator[str]:
    if model.category == "direct":
        if not (model.prices or model.units):
            yield f"models.{model.label}: has no price of its own, usage outside of its cases is parked"
        return
    if model.category == "neuron":
        if model.neurons_per_token is None:
            yield f"models.{model.key}.neurons_per_token: is missing, usage that needs it is parked"
        return
    missing = [kind for kind in ("input", "output", "cache_read", "cache_creation") if kind not in model.prices]
    if missing:
        yield f"models.{model.key}.prices: no price for {', '.join(missing)}, usage that has them is parked"


def _unused_in_model(model: Model) -> Iterator[str]:
    used_by = {"prices": "synapse", "synapses_per_second": "synapse", "neurons_per_token": "neuron"}
    for name, category in used_by.items():
        if model.category not in (category, "direct") and getattr(model, name):
            yield f"models.{model.key}.{name}: not used, since its category is {model.category}"
