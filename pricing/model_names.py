"""Which model of a sheet an event means: by every name that a model has, never by a guess."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from pricing.models import Model

# The endings that are a date for certain: four digits (`-0613`, `-2411`) may be a month and a day, or a year and a
# month, or no date at all.
_DATE = re.compile(
    r"-20[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])|[-@]20[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
)
_DATE_LENGTHS = (len("-2024-08-06"), len("-20240806"))


class ModelNames:
    """The models of a sheet by their names; built once, as a sheet may have thousands and events name any of them."""

    def __init__(self, models: Iterable[Model], *, dated_snapshots: bool) -> None:
        self._dated_snapshots = dated_snapshots
        self._exact: dict[str, list[Model]] = {}
        self._aliases: dict[str, list[Model]] = {}
        self._prefixes: dict[str, list[Model]] = {}
        for model in models:
            for names, own in (
                (self._exact, {model.key, model.id or model.key}),
                (self._aliases, set(model.aliases)),
                (self._prefixes, set(model.prefixes)),
            ):
                for name in own:
                    names.setdefault(name, []).append(model)
        self._prefix_lengths = sorted({len(prefix) for prefix in self._prefixes}, reverse=True)

    def find(self, name: str, provider: str | None) -> Model | None:
        """The model that `name` means: of all for an event without a provider, else of those that are for it.

        A key or id comes before an alias, an alias before the longest prefix, that before the model whose dated
        snapshot it names. Where two models are as near, none is meant.
        """
        found = self.matches(name, provider)
        return found[0] if len(found) == 1 else None

    def matches(self, name: str, provider: str | None) -> list[Model]:
        """All models that are as near to `name` as any: several where their providers tell them apart."""
        found = self._named(name, provider) or self._by_prefix(name, provider)
        if not found and self._dated_snapshots:
            for length in _DATE_LENGTHS:
                if _DATE.fullmatch(name, max(0, len(name) - length)):
                    found = self._named(name[:-length], provider)
        return found

    def similar(self, name: str, most: int = 5) -> list[Model]:
        """Models whose names are much like `name`, the likest first: for people to choose from, never to price by."""
        wanted = name.lower()
        named = {known.lower(): models for names in (self._aliases, self._exact) for known, models in names.items()}
        containing = sorted((known for known in named if wanted in known), key=len)
        close = [*containing[:most], *get_close_matches(wanted, named, n=most)]
        found = [*self.matches(name, None), *(model for known in close for model in named[known])]
        return list({model.label: model for model in found}.values())[:most]

    def _named(self, name: str, provider: str | None) -> list[Model]:
        return _for(self._exact.get(name), provider) or _for(self._aliases.get(name), provider)

    def _by_prefix(self, name: str, provider: str | None) -> list[Model]:
        for length in self._prefix_lengths:
            if found := _for(self._prefixes.get(name[:length]), provider):
                return found
        return []


def _for(models: list[Model] | None, provider: str | None) -> list[Model]:
    if models is None or provider is None:
        return models or []
    return [model for model in models if model.provider is None or model.provider == provider]


def repeated_names(models: Iterable[tuple[str, str | None, set[str]]]) -> Iterator[str]:
    """A problem for each name that an earlier model has too; `models` are (what to call it, provider, names).

    Different providers may have models of one name; a model without a provider is every provider's.
    """
    owners: dict[tuple[str | None, str], str] = {}
    anyones: dict[str, str] = {}
    for label, provider, names in models:
        for name in sorted(names):
            owner = owners.get((provider, name)) or owners.get((None, name))
            if owner is None and provider is None:
                owner = anyones.get(name)
            if owner is not None and owner != label:
                yield f"{label}: the name {name!r} is also a name of {owner}"
            owners.setdefault((provider, name), label)
            anyones.setdefault(name, label)
