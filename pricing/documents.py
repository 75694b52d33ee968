"""Documents: how sheets, rates and accounts are read from JSON and written to it, and their field types.

Reading is strict and says everything that is wrong at once, each problem with its path and the value found.
On the wire decimals are plain decimal strings and instants RFC 3339; inside they are Decimal and integer
nanoseconds.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)

from pricing.errors import InvalidDocument
from pricing.money import HUNDRED, number, plain, within
from pricing.times import END_NS, format_time, parse_time

DOCUMENT_BYTES_MAX = 16 * 1024 * 1024
DEPTH_MAX = 32
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

PRICE_DIGITS = (12, 24)
MULTIPLIER_DIGITS = (6, 12)
PERCENTAGE_DIGITS = (3, 24)

_TOO_DEEP = f"document: nested over {DEPTH_MAX} levels"
_CONTAINERS = (dict, list)


class Document(BaseModel):
    """A frozen value read from JSON: unknown fields and wrong types are problems, nothing is converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class NumberText(str):
    """A JSON number as it was written, so that nothing turns it into a float on the way."""


def price(text: str | Decimal) -> Decimal:
    """A price or rate: at least 0, 12 digits before and 24 after the point. Raises ValueError for others."""
    return _decimal(text, PRICE_DIGITS)


def _decimal(value: object, digits: tuple[int, int]) -> Decimal:
    if isinstance(value, str) and not isinstance(value, NumberText):
        found = _number(value, *digits)
    elif isinstance(value, Decimal):
        found = within(value, before=digits[0], after=digits[1])
    else:
        raise ValueError("must be a decimal string")
    if found < 0:
        raise ValueError("must not be negative")
    return found


@lru_cache(16_384)
def _number(text: str, before: int, after: int) -> Decimal:
    # Remembered: thousands of models have some hundred prices, and then share them in memory too.
    return number(text, before=before, after=after)


def _percentage(value: object) -> Decimal:
    found = _decimal(value, PERCENTAGE_DIGITS)
    if found > HUNDRED:
        raise ValueError("must be from 0 to 100")
    return found


def _positive(value: object) -> Decimal:
    found = _decimal(value, PRICE_DIGITS)
    if not found:
        raise ValueError("must be greater than 0")
    return found


def _instant(value: object, info: ValidationInfo) -> int:
    if isinstance(value, str):
        return parse_time(value)
    # From JSON an instant is text only: a bare number might be seconds, or milliseconds.
    if info.mode == "python" and type(value) is int and 0 <= value < END_NS:
        return value
    raise ValueError("must be an RFC 3339 time")


def text_problem(value: str) -> str | None:
    """What keeps `value` from being a name: 1 to 256 bytes of UTF-8 without control characters."""
    if value.isascii() and value.isprintable() and 1 <= len(value) <= 256:
        return None
    if CONTROL.search(value) is not None:
        return "must not have control characters"
    if not _is_unicode(value):
        return "must be valid Unicode"
    return None if 1 <= len(value.encode()) <= 256 else "must be 1 to 256 bytes"


def _text(value: str) -> str:
    problem = text_problem(value)
    if problem is not None:
        raise ValueError(problem)
    return value


_DECIMAL_SCHEMA = WithJsonSchema({"type": "string", "pattern": r"^(0|[1-9][0-9]*)(\.[0-9]*[1-9])?$"})
_AS_TEXT = PlainSerializer(plain, return_type=str, when_used="json")

Price = Annotated[Decimal, PlainValidator(price), _AS_TEXT, _DECIMAL_SCHEMA]
PositivePrice = Annotated[Decimal, PlainValidator(_positive), _AS_TEXT, _DECIMAL_SCHEMA]
Multiplier = Annotated[
    Decimal, PlainValidator(lambda value: _decimal(value, MULTIPLIER_DIGITS)), _AS_TEXT, _DECIMAL_SCHEMA
]
Percentage = Annotated[Decimal, PlainValidator(_percentage), _AS_TEXT, _DECIMAL_SCHEMA]
Markup = Annotated[Decimal, PlainValidator(lambda value: _decimal(value, PERCENTAGE_DIGITS)), _AS_TEXT, _DECIMAL_SCHEMA]
Instant = Annotated[
    int,
    PlainValidator(_instant),
    PlainSerializer(format_time, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Text = Annotated[str, AfterValidator(_text)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}\z")]
# No slash, which separates the parts of a record's key; no @, which separates them on the command line.
IDENTIFIER_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
Identifier = Annotated[str, StringConstraints(pattern=rf"^{IDENTIFIER_PATTERN}\z")]

AnyDocument = TypeVar("AnyDocument", bound=Document)


def parse_document(
    kind: type[AnyDocument], value: bytes, *, name: str, bytes_max: int = DOCUMENT_BYTES_MAX
) -> AnyDocument:
    """The document in `value`. Raises InvalidDocument, called `name`, with every problem found."""
    read_json(value, name=name, bytes_max=bytes_max)
    try:
        return kind.model_validate_json(value)
    except ValidationError as error:
        raise InvalidDocument(name, problems_of(error)) from None


def document_bytes(document: Document, *, leave_out_null: bool = False) -> bytes:
    """The one JSON text of a document: sorted keys, no white space, UTF-8."""
    fields = document.model_dump(mode="json", by_alias=True, exclude_none=leave_out_null)
    return json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def problems_of(error: ValidationError) -> list[str]:
    """One sentence for each thing that pydantic found wrong: where, what is wrong, what was found."""
    return [
        f"{path_text(found['loc'])}: {found['msg'].removeprefix('Value error, ')}"
        + ("" if found["type"] in ("missing", "json_invalid") else f", found {shown(found['input'])}")
        for found in error.errors(include_url=False, include_context=False)
    ]


def path_text(path: tuple[str | int, ...]) -> str:
    """`models[0].prices.input`, or `document` for the whole."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{key_text(part)}" for part in path)
    return text.removeprefix(".") or "document"


def key_text(key: str) -> str:
    """A key as a part of a path; one that a terminal should not print as it is, or that is long, as JSON."""
    return key if key.isprintable() and 0 < len(key) <= 64 else shown(key)


def shown(value: object) -> str:
    """A value as JSON has it, cut to 60 characters."""
    text = value if isinstance(value, NumberText) else json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


@lru_cache(16_384)
def json_text(text: str) -> str:
    """`text` as a JSON string, for texts that come again: names of sheets, meters, items."""
    return json.dumps(text, ensure_ascii=False)


def read_json(value: bytes, *, name: str, bytes_max: int = DOCUMENT_BYTES_MAX) -> Any:
    """The JSON value, numbers as NumberText. Raises InvalidDocument for what is not strict, bounded JSON.

    Refused: over `bytes_max`, invalid UTF-8, a byte order mark, NaN and infinities, nesting over DEPTH_MAX,
    duplicate keys and lone surrogates (these two with their paths, all of them).
    """
    if len(value) > bytes_max:
        raise InvalidDocument(name, [f"document: has {len(value)} bytes, at most {bytes_max} are allowed"])
    if value.startswith(b"\xef\xbb\xbf"):
        raise InvalidDocument(name, ["document: starts with a byte order mark"])
    try:
        found = json.loads(
            value.decode(),
            parse_float=NumberText,
            parse_int=NumberText,
            parse_constant=_refuse_constant,
            object_pairs_hook=_Pairs,
        )
    except UnicodeDecodeError as error:
        raise InvalidDocument(name, [f"document: invalid UTF-8 at byte {error.start}"]) from None
    except RecursionError:
        raise InvalidDocument(name, [_TOO_DEEP]) from None
    except ValueError as error:
        raise InvalidDocument(name, [f"document: not JSON: {error}"]) from None
    problems = list(_flaws(found))
    if problems:
        raise InvalidDocument(name, problems)
    return found


class _Pairs(dict[str, Any]):
    """A JSON object that remembers which of its keys came more than once."""

    __slots__ = ("twice",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice: tuple[str, ...] = ()
        if len(self) < len(pairs):
            self.twice = tuple(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _flaws(document: object) -> Iterator[str]:
    """What json.loads lets pass, in the order of the document."""
    # A list of what is left to look at: a function that calls itself would end where the stack does.
    left: list[tuple[object, tuple[str | int, ...]]] = [(document, ())]
    while left:
        value, path = left.pop()
        if isinstance(value, dict | list) and len(path) >= DEPTH_MAX:
            yield _TOO_DEEP
            return
        if not value:
            continue
        inside: list[tuple[object, tuple[str | int, ...]]] = []
        if isinstance(value, _Pairs):
            yield from (f"{path_text((*path, key))}: the key appears twice" for key in value.twice)
            inside = [(each, (*path, pair[0])) for pair in value.items() for each in pair if _may_be_flawed(each)]
        elif isinstance(value, list):
            inside = [(item, (*path, index)) for index, item in enumerate(value) if _may_be_flawed(item)]
        elif isinstance(value, str) and not _is_unicode(value):
            yield f"{path_text(path)}: has half of a surrogate pair"
        left += reversed(inside)


def _may_be_flawed(value: object) -> bool:
    return not value.isascii() if isinstance(value, str) else isinstance(value, _CONTAINERS)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
