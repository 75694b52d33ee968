"""What a model costs, for people to read: the price of 1M tokens or of one unit, in each situation that has its own.

The prices are those of the compiled rates, so that they are what usage is priced by: marked up, and for a model that is
priced in synapses or neurons with its factors multiplied out.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from pricing.models import Model
from pricing.money import MILLION, exact
from pricing.rating import PER_MILLION, PER_UNIT, SECONDS, UNITS, Rates, rates_of_model
from pricing.sheets import Sheet

STANDARD = "standard"


class ModelPrice(NamedTuple):
    """`price` of `per` units of a meter in a situation, where `above` is set of those beyond so many of a request."""

    situation: str
    meter: str
    above: int | None
    unit: str
    price: Decimal
    per: str
    currency: str


def model_prices(sheet: Sheet, model: Model) -> list[ModelPrice]:
    """Every price of a model of the sheet, by situation: its cases, or the priorities where it is in synapses."""
    with exact():
        return [price for situation, rates in _lists(sheet, model) for price in _prices(situation, rates)]


def _lists(sheet: Sheet, model: Model) -> Iterator[tuple[str, Rates]]:
    if model.category == "synapse":
        for priority in sheet.priorities:
            yield f"priority {priority}", rates_of_model(sheet, model, priority)
        return
    rates = rates_of_model(sheet, model, STANDARD)
    yield STANDARD, rates
    for case, in_case in zip(model.cases, rates.in_cases, strict=True):
        yield case.when.label, in_case


def _prices(situation: str, rates: Rates) -> Iterator[ModelPrice]:
    beyond = dict(band for bands in rates.bands.values() for band in bands)
    for name, rate in rates.by_name.items():
        if name == SECONDS and f"{UNITS}second" in rates.by_name:
            continue  # the same price once more, for events that say `seconds`
        price, per = (rate.list * MILLION, PER_MILLION) if rate.is_of_tokens else (rate.list, PER_UNIT)
        yield ModelPrice(situation, rate.meter, beyond.get(name), rate.unit, price, per, rate.currency)
