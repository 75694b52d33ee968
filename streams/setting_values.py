"""What the value of a setting may be, as types: from a variable's or an option's text, or TOML's value."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from pricing.documents import Identifier

_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")


def _from_json(value: object) -> object:
    return json.loads(value, object_pairs_hook=_once) if isinstance(value, str) else value


def _once(members: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(members)
    if len(found) < len(members):
        raise ValueError(f"should have each key once, has {', '.join(name for name, _ in members)}")
    return found


def _no_bool(value: object) -> object:
    """TOML's `true` would count as 1."""
    if isinstance(value, bool):
        raise ValueError("should be a number")
    return value


def _from_list(value: object) -> object:
    """A list as JSON, or as `USD, CHF`."""
    if not isinstance(value, str) or value.lstrip().startswith("["):
        return _from_json(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _servers(value: str) -> str:
    """Each with its port, Kafka's usual one where it has none."""
    found = [_SERVER.fullmatch(part.strip()) for part in value.split(",")]
    servers = [(server[1], int(server[2] or 9092)) for server in found if server]
    if len(servers) < len(found) or not all(1 <= port <= 65_535 for _, port in servers):
        raise ValueError("should be host:port, or several with commas between, each port from 1 to 65535")
    return ",".join(f"{host}:{port}" for host, port in servers)


def _unset(value: object) -> object:
    """An empty variable, as compose files like to pass, is none."""
    return None if value == "" else value


def _has_default(value: dict[str, str]) -> dict[str, str]:
    if "*" not in value:
        raise ValueError('should name the sheet of "*", which is for all others and has the tiers')
    return value


def _unique(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(value)) < len(value):
        raise ValueError("should name each currency once")
    return value


Number = Annotated[int, BeforeValidator(_no_bool)]
Percentage = Annotated[Decimal, BeforeValidator(_no_bool), Field(ge=0, le=100, max_digits=12)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$", max_length=100)]
_Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Currencies = Annotated[tuple[_Currency, ...], BeforeValidator(_from_list), AfterValidator(_unique)]
Sheets = Annotated[dict[str, Identifier], BeforeValidator(_from_json)]
Secret = Annotated[SecretStr | None, BeforeValidator(_unset)]
Text = Annotated[str | None, BeforeValidator(_unset)]
File = Annotated[Path | None, BeforeValidator(_unset)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]
Servers = Annotated[str, AfterValidator(_servers)]
DefaultAndOthers = Annotated[Sheets, AfterValidator(_has_default)]
