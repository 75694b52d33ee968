"""What a known number of billing units would cost: fal's `POST /v1/models/pricing/estimate`, computed from a sheet.

Of the API's two types this is `unit_price`: quantity x unit price, summed over the endpoints. The other one,
`historical_api_price`, rests on what past calls to an endpoint consumed; only the API knows that, no price list does.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from pricing.errors import Unpriced
from pricing.money import ZERO, exact, number
from pricing.price_table import STANDARD
from pricing.rating import UNITS, Missing, find_model, rates_of_model
from pricing.sheets import Sheet

QUANTITY_DIGITS = (16, 18)


class Estimate(NamedTuple):
    """What `quantity` units of an endpoint cost, markup included: `quantity` x `price`, in `currency`."""

    endpoint: str
    unit: str
    quantity: Decimal
    price: Decimal
    currency: str
    cost: Decimal


def endpoint_quantity(text: str) -> tuple[str, Decimal]:
    """`fal-ai/flux/dev=50` as endpoint and quantity. Raises ValueError for anything else."""
    endpoint, equals, quantity = text.rpartition("=")
    if not (endpoint and equals):
        raise ValueError(f"{text!r:.80} is not ENDPOINT=QUANTITY")
    before, after = QUANTITY_DIGITS
    found = number(quantity, before=before, after=after)
    if found < 0:
        raise ValueError(f"{text!r:.80} has a negative quantity")
    return endpoint, found


def estimate(sheet: Sheet, endpoint: str, quantity: Decimal) -> Estimate:
    """The cost by the one unit that the endpoint is billed in. Raises Missing where it has none, or several."""
    model = find_model(sheet, endpoint)
    if model is None:
        raise Missing(Unpriced.NO_MODEL, f"endpoint {endpoint}")
    if len(model.units) != 1:
        found = ", ".join(sorted(model.units)) or "none"
        raise Missing(Unpriced.NO_METER, f"endpoint {endpoint} should have the price of one unit, and has of: {found}")
    with exact():
        (unit,) = model.units
        price = rates_of_model(sheet, model, STANDARD).by_name[UNITS + unit].list
        return Estimate(endpoint, unit, quantity, price, model.currency, quantity * price)


def total_of(estimates: Iterable[Estimate]) -> tuple[Decimal, str]:
    """The sum and its currency. Raises ValueError where the costs are not all in one."""
    costs = [(one.currency, one.cost) for one in estimates]
    currencies = sorted({currency for currency, _ in costs})
    if len(currencies) != 1:
        raise ValueError(f"costs in {' and '.join(currencies)} have no sum")
    with exact():
        return sum((cost for _, cost in costs), ZERO), currencies[0]
