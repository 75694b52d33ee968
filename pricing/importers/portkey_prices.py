"""Portkey's rates as they stand, in cents by the source's own names, and the prices that they make.

Rates of tokens are cents per token, all others cents per unit (docs of Portkey Models, "Understanding Pricing
Units"). A zero in this source means unknown as often as free, so it is a price only where it is plausible
(ZERO_BESIDE) or where the model's name says free; elsewhere it is left out with a warning, so that usage of it
is parked instead of given away.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from pricing.documents import key_text
from pricing.importers.entries import Grouped
from pricing.importers.reading import Node, Reading
from pricing.money import ZERO, exact, number

Rates = dict[str, Decimal]

UNITS, IMAGE = "additional_units/", "image/"
KINDS = {
    "request_token": "input",
    "request_text_token": "input",
    "embedding_text_token": "input",
    "request_audio_token": "input_audio",
    "request_image_token": "input_image",
    "embedding_image_token": "input_image",
    "cache_read_input_token": "cache_read",
    "cache_read_text_input_token": "cache_read",
    "cached_text_input_token": "cache_read",
    "cache_read_audio_input_token": "cache_read_audio",
    "cache_read_image_input_token": "cache_read_image",
    "cached_image_input_token": "cache_read_image",
    "cache_write_input_token": "cache_creation",
    "cache_write_1h": "cache_creation_1h",
    "response_token": "output",
    "response_text_token": "output",
    "reasoning_token": "output_reasoning",
    "thinking_token": "output_reasoning",
    "response_audio_token": "output_audio",
    "response_image_token": "output_image",
    "image_token": "output_image",
    "output_video_token": "output_video",
}
ZERO_BESIDE = {"output": "input", "cache_creation": "cache_read", "input": "request"}
"""A price of 0 is believed beside a positive one of: embeddings have no output, a cache that fills by itself costs
nothing to write, a price per request may be all that is asked. Not beside a positive price of a finer kind: a model
that speaks (`output_audio`) has output, which is not free; and one whose prompts are cached is no embedding."""

_UNIT_NAMES = {
    "generated_images": "image",
    "megapixels": "megapixel",
    "routing_units": "routing_unit",
    "video_seconds": "video_second",
}
_VIDEO = re.compile(r"video_duration_seconds_([0-9]+)_([0-9]+)")
_NO_PRICE = "default_"
_TOKEN_DIGITS, _UNIT_DIGITS = (8, 28), (14, 22)  # times 10,000 and over 100 they are PRICE_DIGITS
_LONG_DIGITS = 12
_TOKEN_CENTS_MAX = number("0.1", before=1, after=1)  # 1,000 USD per 1M
_PLAIN = ("request_token", "response_token")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the source while it is read: its name, its own problems, and the notes on the whole source."""

    name: str
    notes: Grouped
    reading: Reading = field(default_factory=Reading)

    def note(self, topic: str, detail: str = "") -> None:
        """Notes `topic` with this entry as an example."""
        self.notes.add(topic, f"{key_text(self.name)} {detail}".rstrip())

    def unknown(self, node: Node, known: Collection[str], place: str = "") -> None:
        """Notes the fields that are not read; `place` begins their paths."""
        for key in node.fields:
            if key not in known:
                self.note(f"unknown field {place}{key_text(key)}, not read")

    def child(self, node: Node, key: str) -> Node | None:
        """The object `key`, None where it is missing or null; another value is a problem."""
        return None if node.fields.get(key) is None else self.reading.node(node, key)


@dataclass(frozen=True, slots=True)
class PriceList:
    """USD per 1M tokens by kind, and USD per unit."""

    prices: dict[str, Decimal] = field(default_factory=dict)
    units: dict[str, Decimal] = field(default_factory=dict)


def read_rates(entry: Entry, node: Node, place: str) -> Rates:
    """The rates in a node such as `pay_as_you_go`: `request_token`, `additional_units/web_search`, `image/hd/default`.

    `place` is what to call the node in a note.
    """
    rates: Rates = {}
    for key in node.fields:
        if key in KINDS:
            _read(entry, node, key, key, rates)
        elif key == "additional_units":
            _read_units(entry, node, rates)
        elif key == "image":
            _read_images(entry, node, rates)
        else:
            entry.note(f"unknown field {place}.{key_text(key)}, not read")
    return rates


def read_more(entry: Entry, config: Node, known: Mapping[str, tuple[str, ...]]) -> Rates:
    """The rates in `fixed_cost` and `finetune_config`, by the path to them."""
    rates: Rates = {}
    for section, names in known.items():
        node = entry.child(config, section)
        if node is not None:
            entry.unknown(node, names, f"{section}.")
            for name in names:
                if name in node.fields:
                    _read(entry, node, name, f"{section}/{name}", rates)
    return rates


def _read_units(entry: Entry, parent: Node, rates: Rates) -> None:
    node = entry.child(parent, "additional_units")
    for key in () if node is None else node.fields:
        if key.startswith(_NO_PRICE):
            entry.note(f"additional_units.{key_text(key)} is no price, not taken for one")
        elif node is not None:
            _read(entry, node, key, UNITS + key, rates)


def _read_images(entry: Entry, parent: Node, rates: Rates) -> None:
    node = entry.child(parent, "image")
    for quality in () if node is None else node.fields:
        sizes = None if node is None else entry.child(node, quality)
        for size in () if sizes is None else sizes.fields:
            if sizes is not None:
                _read(entry, sizes, size, f"{IMAGE}{quality}/{size}", rates)


def _read(entry: Entry, parent: Node, key: str, rate: str, rates: Rates) -> None:
    node = entry.child(parent, key)
    if node is None:
        return
    entry.unknown(node, ("price",), "of a price: ")
    token = rate.removeprefix(UNITS) in KINDS
    cents = entry.reading.number(node, "price", _TOKEN_DIGITS if token else _UNIT_DIGITS)
    if cents is None:
        return
    rates[rate] = cents
    if len(cents.as_tuple().digits) >= _LONG_DIGITS:
        topic = f"number of {_LONG_DIGITS} or more significant digits, kept as written"
        entry.note(topic, f"{node.path} {node.fields['price']}")
    if token and cents > _TOKEN_CENTS_MAX:
        whose = "token" if rate in _PLAIN else "token of a modality"
        entry.note(
            f"price of a {whose} above {_TOKEN_CENTS_MAX} cent, probably of another unit", f"{node.path} {cents}"
        )


def price_list(entry: Entry, rates: Rates, calculated: Rates, *, free: bool = False) -> PriceList:
    """The prices that `rates` make; `calculated` has cents for kinds of tokens that have no rate of their own."""
    with exact():
        prices = {kind: cents.scaleb(4) for kind, cents in _by_kind(entry, rates).items()}
        units = {unit: cents.scaleb(-2) for unit, cents in _by_unit(rates).items()}
        more = {kind: cents.scaleb(4) for kind, cents in calculated.items() if kind not in prices}
    if free:
        return PriceList(prices, units)
    found = {**units, **more, **prices}
    for kind in [kind for kind, price in prices.items() if not price]:
        finer = any(price for other, price in prices.items() if other.startswith(f"{kind}_"))
        finer |= kind == "output" and bool(prices.get("cache_read"))
        if finer or not found.get(ZERO_BESIDE.get(kind, kind)):
            entry.note(f"{kind} of 0, not taken for a price")
            del prices[kind]
    for unit in [unit for unit, price in units.items() if not price and unit != "request"]:
        entry.note(f"{key_text(unit)} of 0, not taken for a price")
        del units[unit]
    return PriceList({**more, **prices}, units)


def _by_kind(entry: Entry, rates: Rates) -> Rates:
    found: Rates = {}
    for name, kind in KINDS.items():
        for rate in (name, UNITS + name):
            if rate not in rates:
                continue
            cents, before = rates[rate], found.get(kind)
            if before and cents and before != cents:
                entry.note(f"two prices for {kind}, the first is taken", f"{before} and {cents} ({rate})")
            found[kind] = before or cents
    return found


def _by_unit(rates: Rates) -> Rates:
    units: Rates = {}
    for rate, cents in rates.items():
        section, _, name = rate.partition("/")
        if section == "image":
            units["image" if name == "default/default" else rate] = cents
        elif section == "finetune_config":
            units[name.replace("pay_per", "finetune")] = cents
        elif section == "fixed_cost":
            with exact():
                units["request"] = units.get("request", ZERO) + cents
        elif section == "additional_units" and name not in KINDS:
            video = _VIDEO.fullmatch(name)
            units[f"video_second/{video[1]}x{video[2]}" if video else _UNIT_NAMES.get(name, name)] = cents
    return units
