"""Documents of thousands of entries: one that cannot be used is left out with its reason, warnings come in groups."""

from dataclasses import dataclass, field
from typing import TypeGuard

from pricing.documents import NumberText, text_problem


class UnusableEntry(Exception):
    """There is no model to be made of an entry; the message is why."""


@dataclass(frozen=True, slots=True)
class Grouped:
    """What was found, and in which entries: one line for each thing, with its count and an example."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, where: str) -> None:
        """Notes `what` for the entry `where`, once for each entry."""
        entries = self.found.setdefault(what, [])
        if not entries or entries[-1] != where:
            entries.append(where)

    def lines(self) -> list[str]:
        """`what: 12 entries, such as where`, sorted."""
        return [
            f"{what}: {len(entries)} entr{'y' if len(entries) == 1 else 'ies'}, such as {entries[0]}"
            for what, entries in sorted(self.found.items())
        ]


def is_name(value: object) -> TypeGuard[str]:
    """Whether a JSON value is a string that can be a name in a sheet."""
    return isinstance(value, str) and not isinstance(value, NumberText) and text_problem(value) is None
