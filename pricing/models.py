"""What one model costs: its names, its prices, and the situations in which it has others; a part of a sheet.

A price that is missing stays missing, which is another thing than zero. Fields that contradict each other are
problems here, each at its own path, so that all of a sheet's are found at once.
"""

from itertools import pairwise
from operator import not_
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo

from pricing.documents import Currency, Document, Instant, Multiplier, Price, Text
from pricing.times import format_time

Minute = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\z")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
TokenCount = Annotated[int, Field(ge=0, le=10**15)]
# What is empty is not written: thousands of models have neither cases nor bands.
_LEFT_OUT_WHEN_EMPTY = Field(exclude_if=not_)


def _in_order(weekdays: tuple[Weekday, ...]) -> tuple[Weekday, ...]:
    if weekdays == WEEKDAYS:
        raise ValueError("are all, which is said by none")
    if weekdays != tuple(day for day in WEEKDAYS if day in weekdays):
        raise ValueError("must be each once, in the order from mon to sun")
    return weekdays


def _is_no_condition(end: str, info: ValidationInfo) -> str:
    if end == info.data.get("start") and info.data.get("weekdays") == ():
        raise ValueError("is also the start, so that it is every hour of every day")
    return end


class Daily(Document):
    """A stretch of every day in UTC, from the first minute to before the last; it may reach over midnight.

    With `weekdays` it is of those alone on which it starts: from 22:00 to 02:00 on `fri` has two hours of Saturday and
    none of Friday's first. Where `end` is `start` it is 24 hours.
    """

    weekdays: Annotated[tuple[Weekday, ...], AfterValidator(_in_order), _LEFT_OUT_WHEN_EMPTY] = ()  # `end` needs them
    start: Minute
    end: Annotated[Minute, AfterValidator(_is_no_condition)]

    @property
    def label(self) -> str:
        """It as people say it: `22:00 to 02:00 UTC on fri or sat`."""
        hours = f"24 hours from {self.start} UTC" if self.start == self.end else f"{self.start} to {self.end} UTC"
        return f"{hours} on {' or '.join(self.weekdays)}" if self.weekdays else hours


def _only_bound(input_from: int | None, info: ValidationInfo) -> int | None:
    if input_from is not None and info.data.get("input_over") is not None:
        raise ValueError("input_over is given too")
    return input_from


def _after_since(until: int | None, info: ValidationInfo) -> int | None:
    since = info.data.get("since")
    if until is not None and since is not None and until <= since:
        raise ValueError("is not after since")
    return until


class When(Document):
    """The situation that a case is for: every condition given has to hold.

    `service_tier` is what was served; without it the case is for the standard tier alone, as no tier's usage is ever
    priced as another's. Input is counted over all input kinds, cached and written ones too: more than `input_over`,
    or at least `input_from`. `since` is in, `until` is not.
    """

    service_tier: Text | None = None
    regions: Annotated[tuple[Text, ...], _LEFT_OUT_WHEN_EMPTY] = ()
    input_over: TokenCount | None = None
    input_from: Annotated[TokenCount | None, AfterValidator(_only_bound)] = None
    since: Instant | None = None
    until: Annotated[Instant | None, AfterValidator(_after_since)] = None
    daily: Daily | None = None

    @property
    def label(self) -> str:
        """It as people say it: `batch, input over 200,000`; no two situations have the same."""
        said = {
            "{}": self.service_tier,
            "in {}": " or ".join(self.regions) or None,
            "input over {:,}": self.input_over,
            "input from {:,}": self.input_from,
            "since {}": None if self.since is None else format_time(self.since),
            "until {}": None if self.until is None else format_time(self.until),
            "{0.label}": self.daily,
        }
        return ", ".join(form.format(value) for form, value in said.items() if value is not None)


class Band(Document):
    """The price of those of a request's tokens of one kind that lie beyond `above`: marginal, like a tax bracket."""

    above: TokenCount
    price: Price


def _ascending(bands: tuple[Band, ...]) -> tuple[Band, ...]:
    bounds = [0, *(band.above for band in bands)]
    if any(lower >= upper for lower, upper in pairwise(bounds)):
        raise ValueError("must ascend from above 0")
    return bands


def _continue_a_price(bands: dict[str, tuple[Band, ...]], info: ValidationInfo) -> dict[str, tuple[Band, ...]]:
    if "prices" in info.data and (loose := bands.keys() - info.data["prices"].keys()):
        raise ValueError(f"prices has none up to the first band of {', '.join(sorted(loose))}")
    return bands


Prices = Annotated[dict[Text, Price], _LEFT_OUT_WHEN_EMPTY]
Bands = Annotated[
    dict[Text, Annotated[tuple[Band, ...], Field(min_length=1), AfterValidator(_ascending)]],
    AfterValidator(_continue_a_price),
    _LEFT_OUT_WHEN_EMPTY,
]

STANDARD_TIERS = frozenset({"standard", "default", "auto", "on_demand", "ON_DEMAND", "standard_only"})
"""Names of the tier that a model's own prices are for."""


def _is_special(when: When) -> When:
    if all(condition in (None, ()) for condition in when.__dict__.values()):
        raise ValueError("has no condition")
    if when.service_tier in STANDARD_TIERS:
        raise ValueError(f"{when.service_tier} is the standard tier, which a case is for that names none")
    return when


class Case(Document):
    """A model's prices in a special situation: all of them, nothing is taken over from the model's own."""

    when: Annotated[When, AfterValidator(_is_special)]
    prices: Prices = Field(default_factory=dict)
    bands: Bands = Field(default_factory=dict)
    units: Prices = Field(default_factory=dict)


def _reachable(cases: tuple[Case, ...]) -> tuple[Case, ...]:
    for index, case in enumerate(cases):
        for earlier in range(index):
            if cases[earlier].when == case.when:
                raise ValueError(f"[{index}] is never reached: it is for the situation of [{earlier}]")
    return cases


def _of_a_direct_model(value: object, info: ValidationInfo) -> object:
    if value and info.data.get("category") in ("synapse", "neuron"):
        raise ValueError(f"is for direct models, not for one of category {info.data['category']}")
    return value


def _of_an_indirect_model(value: object, info: ValidationInfo) -> object:
    if value is not None and info.data.get("category") == "direct":
        raise ValueError("is not for a direct model")
    return value


_DIRECT = AfterValidator(_of_a_direct_model)
_INDIRECT = AfterValidator(_of_an_indirect_model)


class Model(Document):
    """What one model costs; events name it by `key`, `id` or an alias, exactly, or by what begins with a prefix.

    `prices` are per 1M, by token kind: of synapses, or of tokens where the category is `direct`. A direct model
    may also have a `provider`, whose events alone it is for, `bands`, which price what lies beyond a count, prices of
    other `units` (per 1 of them: `image`, `second`, `web_search`), and `cases`: the first whose situation is the
    event's has its prices.
    """

    category: Literal["synapse", "neuron", "direct"]  # first, as what other fields may be depends on it
    key: Text
    id: Text | None = None
    name: Text | None = None
    provider: Annotated[Text | None, _DIRECT] = None
    aliases: Annotated[tuple[Text, ...], _LEFT_OUT_WHEN_EMPTY] = ()
    prefixes: Annotated[tuple[Text, ...], _DIRECT, _LEFT_OUT_WHEN_EMPTY] = ()
    currency: Currency
    prices: Prices = Field(default_factory=dict)
    bands: Annotated[Bands, _DIRECT] = Field(default_factory=dict)
    units: Annotated[Prices, _DIRECT] = Field(default_factory=dict)
    cases: Annotated[tuple[Case, ...], AfterValidator(_reachable), _DIRECT, _LEFT_OUT_WHEN_EMPTY] = ()
    synapses_per_second: Annotated[Multiplier | None, _INDIRECT] = None
    neurons_per_token: Annotated[Multiplier | None, _INDIRECT] = None

    @property
    def label(self) -> str:
        """What tells it from every other model of its sheet: `openai/gpt-4o`, without a provider its key."""
        return self.key if self.provider is None else f"{self.provider}/{self.key}"

    @property
    def is_free(self) -> bool:
        """Whether it has prices, and each of them is 0."""
        lists: tuple[Model | Case, ...] = (self, *self.cases)
        prices = [price for each in lists for price in (*each.prices.values(), *each.units.values())]
        prices += [band.price for each in lists for bands in each.bands.values() for band in bands]
        return bool(prices) and not any(prices)
