"""What the types of events cannot say: names, bounds, control characters, and what a provider's response used.

Both paths of reading go through here, so that what one refuses the other does too.
"""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import UNSET

from pricing.accounts import NAME_PATTERN
from pricing.documents import CONTROL, NumberText, shown
from pricing.errors import InvalidUsage, Rejected
from pricing.events import (
    LABEL_BYTES_MAX,
    QUANTITY_MAX,
    STRING_BYTES_MAX,
    CodeExecutionUsage,
    ModelUsage,
    ResponseUsage,
    TerminalUsage,
    UnitsUsage,
)
from pricing.money import NotADecimal, number
from pricing.surfaces import Decomposed, decompose
from pricing.times import usage_time

_NAME = re.compile(NAME_PATTERN, re.ASCII)
_NAME_LENGTH_MAX = 128
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


@lru_cache(8192)
def is_name(text: str) -> bool:
    """Whether `text`, which is not longer than a name, can name an organization or a project."""
    return _NAME.fullmatch(text) is not None


def settle(data: Any) -> None:
    """Check what the types cannot say, and put exact Decimals in the place of raw numbers."""
    # The length comes first: `is_name` remembers what it is asked, and 8,192 strings of 60 KB are half a gigabyte.
    if len(data.organization) > _NAME_LENGTH_MAX or not is_name(data.organization):
        raise _invalid("data.organization", data.organization, f"is no name of the form {_NAME.pattern}")
    if len(data.project) > _NAME_LENGTH_MAX or not is_name(data.project):
        raise _invalid("data.project", data.project, f"is no name of the form {_NAME.pattern}")
    if (cost := data.provider_cost) is not UNSET:
        cost.amount = _quantity("data.provider_cost.amount", cost.amount)
        if not _CURRENCY.fullmatch(cost.currency):
            raise _invalid("data.provider_cost.currency", cost.currency, "is no code of three capital letters")
    kind = type(data)
    if kind is ModelUsage:
        if data.seconds is not UNSET:
            data.seconds = _quantity("data.seconds", data.seconds)
        elif data.tokens is UNSET:
            raise InvalidUsage(Rejected.INVALID_FIELD, "data has neither tokens nor seconds")
    elif kind is CodeExecutionUsage:
        for name in ("cpu_seconds", "memory_mb", "wall_seconds"):
            setattr(data, name, _quantity(f"data.{name}", getattr(data, name)))
    elif kind is TerminalUsage:
        data.dimensions = {name: _quantity(f"data.dimensions.{name}", q) for name, q in data.dimensions.items()}
    elif kind is UnitsUsage:
        data.units = {name: _quantity(f"data.units.{name}", q) for name, q in data.units.items()}


def _quantity(path: str, raw: Any) -> Decimal:
    text = bytes(raw).decode("ascii", "replace")
    is_string = text[:1] == '"'
    if not is_string and text[0] not in "-0123456789":
        raise _invalid(path, NumberText(text), "is neither a JSON number nor a decimal string")
    if is_string and "\\" in text:  # `Raw` is the text as it came, escapes and all
        text = f'"{msgspec.json.decode(text, type=str)}"'
    try:
        value = number(text[1:-1] if is_string else text, before=16, after=18, exponent=not is_string)
    except NotADecimal as error:
        raise InvalidUsage(Rejected.INVALID_FIELD, f"{path}: {error}") from None
    if not 0 <= value <= QUANTITY_MAX:
        raise _invalid(path, NumberText(text), f"is not between 0 and {QUANTITY_MAX}")
    if not value and is_string and "-" in text:
        raise _invalid(path, NumberText(text), "has a sign, which no plain decimal string has")
    return value


def instant(text: str) -> int:
    """The event's time in nanoseconds since 1970; below 0 before, which is too late and not ill-written."""
    if len(text) > STRING_BYTES_MAX:  # a fraction may have any number of digits
        raise _invalid("time", text, f"has over {STRING_BYTES_MAX} bytes")
    try:
        return usage_time(text)
    except ValueError as error:
        raise InvalidUsage(Rejected.INVALID_FIELD, f"time: {error}") from None


def take_response(data: ResponseUsage) -> None:
    """Put what a response used in the place of its body, and its model where the event names none.

    After all other checks: only what is well otherwise can have counts that do not reconcile.
    """
    data.response = used = _used(data.surface, data.response)
    if data.model is UNSET:
        if used.model is None:
            raise InvalidUsage(Rejected.INVALID_FIELD, "data.model is missing, and the response names none")
        data.model = used.model


def _used(surface: str, body: dict[str, Any]) -> Decomposed:
    """What a response says that it used, within the bounds of a usage event."""
    used = decompose(surface, body)
    for name, text in (("model", used.model), ("service tier", used.service_tier), ("region", used.region)):
        if text is not None:
            check_strings(f"response: {name}", text)
    for kind, count in (*used.tokens.items(), *used.units.items()):
        if not 0 <= count <= QUANTITY_MAX:
            raise _invalid(f"response: {kind}", count, f"is not between 0 and {QUANTITY_MAX}")
    if used.others:
        other = next(iter(used.others))
        raise _invalid("response", other, "also took tokens, as a model of its own: send them as an event of its own")
    return used


def check_strings(path: str, value: Any) -> None:
    """Raise for a string in `value` that is not of 1 to 256 bytes without control characters."""
    if isinstance(value, str):
        if not 1 <= len(value.encode()) <= STRING_BYTES_MAX:
            raise _invalid(path, value, f"has not 1 to {STRING_BYTES_MAX} bytes")
        if CONTROL.search(value):
            raise _invalid(path, value, "has a control character")
    elif isinstance(value, dict):
        for key, inner in value.items():
            check_strings(path, key)
            check_strings(f"{path}.{key}", inner)
            if path == "data.labels":
                for text in (key, inner):
                    if len(text.encode()) > LABEL_BYTES_MAX:
                        raise _invalid(path, text, f"has over {LABEL_BYTES_MAX} bytes")


def _invalid(path: str, found: object, why: str) -> InvalidUsage:
    return InvalidUsage(Rejected.INVALID_FIELD, f"{path}: {shown(found)} {why}")
