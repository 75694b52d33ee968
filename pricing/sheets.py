"""Price sheets: what usage costs by list, dated and immutable; every importer makes them, rating reads them.

A sheet is a plain record; nothing in it has a default price. A price that is missing stays missing (None, or
not in the mapping), which is another thing than zero. Prices of tokens, images and neurons are per 1,000,000
units.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from pricing.documents import (
    Currency,
    Document,
    Identifier,
    Instant,
    Markup,
    Multiplier,
    Percentage,
    Price,
    Text,
    document_bytes,
    parse_document,
    price,
    read_json,
)
from pricing.errors import InvalidDocument
from pricing.model_names import ModelNames, repeated_names
from pricing.models import Band, Case, Daily, Model, When
from pricing.money import plain

__all__ = [
    "IMAGE_PRICE_SOURCES",
    "Band",
    "Case",
    "CodeExecution",
    "ConnectorTools",
    "Daily",
    "ImagePrice",
    "Model",
    "Sheet",
    "Source",
    "Tier",
    "UnitPrice",
    "When",
    "image_price",
    "parse_sheet",
    "sheet_bytes",
]

ImagePriceSource = Literal["model-input", "model-output"]
IMAGE_PRICE_SOURCES = ("model-input", "model-output")


def image_price(value: str | Decimal) -> Decimal | str:
    """A price per 1M synapses, or the name of the model's price to take. Raises ValueError for others."""
    if not isinstance(value, str) or value.lstrip("-")[:1].isdigit():
        return price(value)
    if value not in IMAGE_PRICE_SOURCES:
        raise ValueError(f"{value[:60]!r} is neither a decimal nor {' nor '.join(IMAGE_PRICE_SOURCES)}")
    return value


ImagePrice = Annotated[
    Decimal | ImagePriceSource,
    PlainValidator(image_price),
    PlainSerializer(lambda value: value if isinstance(value, str) else plain(value), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string"}),
]


class CodeExecution(Document):
    """Neurons per execution, per second and per MB-second beyond the free share, and their price per 1M."""

    base: Multiplier | None = None
    cpu_per_second: Multiplier | None = None
    memory_per_mb_second: Multiplier | None = None
    cpu_free_seconds: Multiplier | None = None
    memory_free_mb: Multiplier | None = None
    neuron_price: Price | None = None


class ConnectorTools(Document):
    """Neurons for one execution of a connector's tool, and their price per 1M."""

    multiplier: Multiplier | None = None
    neuron_price: Price | None = None


class UnitPrice(Document):
    """The price of one unit, such as a byte, in the price's own currency."""

    price: Price
    currency: Currency
    unit: Text | None = None


class Tier(Document):
    """A discount on every list price."""

    id: Text
    name: Text | None = None
    discount_percentage: Percentage


class Source(Document):
    """Where a sheet came from: its format, the hash of the bytes read, and their place without any secret."""

    format: Text
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\z")]
    location: Annotated[str, StringConstraints(max_length=2048)] | None = None


def _distinct(models: tuple[Model, ...]) -> tuple[Model, ...]:
    problems = list(repeated_names(_names(index, model.__dict__) for index, model in enumerate(models)))
    if problems:
        raise ValueError("; ".join(problems))
    return models


def _names(index: int, model: Any) -> tuple[str, str | None, set[str]]:
    # Also of a model that is not valid otherwise, so that all problems come out at once.
    if not isinstance(model, dict):
        return f"models[{index}]", None, set()
    provider, aliases = model.get("provider"), model.get("aliases") or ()
    given = [model.get("key"), model.get("id"), *(aliases if isinstance(aliases, list | tuple) else ())]
    names = {name for name in given if isinstance(name, str)}
    return f"models[{index}]", provider if isinstance(provider, str) else None, names


class Sheet(Document):
    """One version of a price sheet: the prices from `effective_from` until the next version's.

    `markup_percentage` is what direct models cost on top of their prices here. With `dated_snapshots` a name that is
    no model's and ends in a date is priced as the model that it is a snapshot of.
    """

    id: Identifier
    version: Identifier
    effective_from: Instant
    base_multiplier: Multiplier | None = None
    neuron_price: Price | None = None
    currency: Currency = "CHF"
    priorities: dict[Text, Multiplier] = Field(default_factory=dict)
    models: Annotated[tuple[Model, ...], AfterValidator(_distinct)] = ()
    image_operations: dict[Text, Price] = Field(default_factory=dict)
    image_price: ImagePrice | None = None
    code_execution: CodeExecution | None = None
    connector_tools: ConnectorTools | None = None
    terminal: dict[Text, UnitPrice] = Field(default_factory=dict)
    tiers: dict[Text, Tier] = Field(default_factory=dict)
    markup_percentage: Markup | None = None
    dated_snapshots: bool = False
    source: Source | None = None

    @property
    def named(self) -> str:
        """Id and version, for messages."""
        return f"{self.id} {self.version}"

    @cached_property
    def names(self) -> ModelNames:
        """The models by their names."""
        return ModelNames(self.models, dated_snapshots=self.dated_snapshots)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic has it, but that the copy may have other models."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("names", None)
        return copy

    @model_validator(mode="after")
    def _tiers_are_filed_under_their_ids(self) -> Self:
        wrong = [f"tiers.{key} has the id {tier.id!r}" for key, tier in self.tiers.items() if key != tier.id]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


def parse_sheet(value: bytes) -> Sheet:
    """The sheet in its own format. Raises InvalidDocument with every problem."""
    try:
        return parse_document(Sheet, value, name="sheet")
    except InvalidDocument as invalid:
        # pydantic compares names only where every model is valid, and says it in one sentence.
        problems = [problem for problem in invalid.problems if not problem.startswith("models: models[")]
        raise InvalidDocument("sheet", [*problems, *_repeated_names_in(value)]) from None


def _repeated_names_in(value: bytes) -> list[str]:
    try:
        found = read_json(value, name="sheet")
    except InvalidDocument:
        return []
    models = found.get("models") if isinstance(found, dict) else None
    if not isinstance(models, list):
        return []
    return list(repeated_names(_names(index, model) for index, model in enumerate(models)))


def sheet_bytes(sheet: Sheet) -> bytes:
    """The one JSON text of a sheet; `parse_sheet` reads it back to an equal one."""
    return document_bytes(sheet, leave_out_null=True)
