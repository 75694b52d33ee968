"""Reads fields out of a foreign JSON document and notes all that is wrong with them, instead of stopping."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pricing.documents import NumberText, key_text, shown, text_problem
from pricing.money import HUNDRED, NotADecimal, number


@dataclass(frozen=True, slots=True)
class Node:
    """A JSON object and the path to it."""

    fields: dict[str, Any]
    path: str

    def at(self, key: str) -> str:
        """The path to one of its fields."""
        return f"{self.path}.{key_text(key)}" if self.path else key_text(key)


@dataclass(frozen=True, slots=True)
class Reading:
    """The problems and warnings of one document; every reader returns None for what it cannot use."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def node(self, parent: Node, key: str) -> Node | None:
        """The object `key`, which has to be there."""
        value = parent.fields.get(key)
        if isinstance(value, dict):
            return Node(value, parent.at(key))
        self._wrong_or_missing(parent, key, "must be an object")
        return None

    def nodes(self, parent: Node, key: str) -> Iterator[Node]:
        """The objects in the array `key`, which has to be there."""
        values = parent.fields.get(key)
        if not isinstance(values, list):
            self._wrong_or_missing(parent, key, "must be an array")
            return
        for index, value in enumerate(values):
            path = f"{parent.at(key)}[{index}]"
            if isinstance(value, dict):
                yield Node(value, path)
            else:
                self.problems.append(f"{path}: must be an object, found {shown(value)}")

    def text(self, parent: Node, key: str, *, required: bool = False) -> str | None:
        """The string `key`; null and missing are None, and a problem only where it is required."""
        value = parent.fields.get(key)
        if value is None and not required:
            return None
        if not isinstance(value, str) or isinstance(value, NumberText):
            self._wrong_or_missing(parent, key, "must be a string")
            return None
        problem = text_problem(value)
        if problem is not None:
            self.problems.append(f"{parent.at(key)}: {problem}, found {shown(value)}")
            return None
        return value

    def number(self, parent: Node, key: str, digits: tuple[int, int]) -> Decimal | None:
        """The number `key`, exactly as written, at least 0; null and missing are None."""
        value = parent.fields.get(key)
        if value is None:
            return None
        found = self._number(parent, key, digits)
        if found is not None and found < 0:
            self.problems.append(f"{parent.at(key)}: must not be negative, found {shown(value)}")
            return None
        return found

    def percentage(self, parent: Node, key: str, digits: tuple[int, int]) -> Decimal | None:
        """The number `key` from 0 to 100, which has to be there."""
        if parent.fields.get(key) is None:
            self._wrong_or_missing(parent, key, "must be a number")
            return None
        found = self._number(parent, key, digits)
        if found is not None and not 0 <= found <= HUNDRED:
            self.problems.append(f"{parent.at(key)}: must be from 0 to 100, found {shown(parent.fields[key])}")
            return None
        return found

    def unknown(self, parent: Node, known: Collection[str]) -> None:
        """Warns of the fields that are not read."""
        for key in parent.fields:
            if key not in known:
                self.warnings.append(f"{parent.at(key)}: unknown field, not read")

    def repeated(self, path: str, value: str, seen: set[str]) -> bool:
        """Whether `value` was seen before, which is a problem; from now on it was."""
        if value in seen:
            self.problems.append(f"{path}: appears twice, found {shown(value)}")
            return True
        seen.add(value)
        return False

    def _number(self, parent: Node, key: str, digits: tuple[int, int]) -> Decimal | None:
        value = parent.fields[key]
        if not isinstance(value, NumberText):
            self.problems.append(f"{parent.at(key)}: must be a number, found {shown(value)}")
            return None
        before, after = digits
        try:
            return number(value, before=before, after=after, exponent=True)
        except NotADecimal as error:
            self.problems.append(f"{parent.at(key)}: {error}")
            return None

    def _wrong_or_missing(self, parent: Node, key: str, must: str) -> None:
        if key in parent.fields:
            self.problems.append(f"{parent.at(key)}: {must}, found {shown(parent.fields[key])}")
        else:
            self.problems.append(f"{parent.at(key)}: is missing")
