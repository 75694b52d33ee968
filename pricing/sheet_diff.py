"""What differs between two sheets, for people and for the rule that what is published never changes.

Models are told apart by their label, their cases by the situation, their bands by where they begin.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from pricing.documents import shown
from pricing.models import Case, Model
from pricing.money import plain
from pricing.sheets import Sheet
from pricing.times import format_time

PERCENT_DIGITS = 2
_PRICES = ("prices", "bands", "units", "cases")

Leaf = str | Decimal
Leaves = Mapping[str, Leaf]


class Difference(NamedTuple):
    """A field that two sheets disagree on; None where a sheet does not have it.

    `percent` is the change of a number, to 2 digits after the point, half away from zero; None where the
    old one is 0 or missing.
    """

    path: str
    old: str | None
    new: str | None
    percent: str | None


class Comparison(NamedTuple):
    """Two sheets, compared model by model: those that both have with what differs, by label, and those of one alone."""

    fields: list[Difference]
    models: dict[str, list[Difference]]
    only_old: list[str]
    only_new: list[str]

    def differences(self) -> list[Difference]:
        """Those of the sheets themselves, then those of the models that both have."""
        return [*self.fields, *(one for each in self.models.values() for one in each)]

    def of_prices(self) -> "Comparison":
        """The same with nothing but prices that both have: what only one source lists is not dearer or cheaper."""
        models = {
            label: [one for one in each if one.old and one.new and _is_price(one.path.removeprefix(f"models.{label}."))]
            for label, each in self.models.items()
        }
        return self._replace(fields=[], models=models)


def diff_sheets(old: Sheet, new: Sheet) -> list[Difference]:
    """Every difference, by path (`models.ftg-3.0-pro.prices.input`), provenance left out."""
    return _differences(leaves_of(old), leaves_of(new))


def compare(old: Sheet, new: Sheet) -> Comparison:
    """The same differences by model; a model that only one sheet has is only named."""
    before, after = ({model.label: model for model in sheet.models} for sheet in (old, new))
    return Comparison(
        _differences(dict(_leaves(_sheet_fields(old), "")), dict(_leaves(_sheet_fields(new), ""))),
        {
            label: _differences(_model_leaves(model), _model_leaves(after[label]))
            for label, model in before.items()
            if label in after
        },
        [label for label in before if label not in after],
        [label for label in after if label not in before],
    )


def of_provider(sheet: Sheet, provider: str) -> Sheet:
    """The models that are for a provider's events, as anyone's: so are sheets compared that call it otherwise."""
    models = [model for model in sheet.models if model.provider in (None, provider)]
    return sheet.model_copy(update={"models": tuple(model.model_copy(update={"provider": None}) for model in models)})


def called_as(sheet: Sheet, other: Sheet) -> Sheet:
    """The sheet with each model under the key that it has on `other`, where the two share an id or alias."""
    keys = {(model.provider, name): model.key for model in reversed(other.models) for name in _names(model)}
    keys |= {(model.provider, model.key): model.key for model in other.models}
    taken = {(model.provider, model.key) for model in sheet.models}
    models = []
    for model in sheet.models:
        found = [key for name in _names(model) if (key := keys.get((model.provider, name))) is not None]
        if found and (model.provider, found[0]) not in taken:
            taken.add((model.provider, found[0]))
            models.append(model.model_copy(update={"key": found[0]}))
        else:
            models.append(model)
    return sheet.model_copy(update={"models": tuple(models)})


def _names(model: Model) -> list[str]:
    return [name for name in (model.key, model.id, *model.aliases) if name]


def leaves_of(sheet: Sheet) -> dict[str, Leaf]:
    """Every value of a sheet by its path, provenance left out."""
    found = dict(_leaves(_sheet_fields(sheet), ""))
    for model in sheet.models:
        found |= _model_leaves(model)
    return found


def _sheet_fields(sheet: Sheet) -> dict[str, Any]:
    fields = sheet.model_dump(exclude={"source", "models"}, exclude_none=True)
    return fields | {"effective_from": format_time(sheet.effective_from)}


def _model_leaves(model: Model) -> dict[str, Leaf]:
    return dict(_leaves(_model_fields(model), f"models.{model.label}"))


def _model_fields(model: Model) -> dict[str, Any]:
    fields = model.model_dump(exclude={"key", *_PRICES}, exclude_none=True)
    fields |= _price_fields(model)
    if model.cases:
        fields["cases"] = "; ".join(case.when.label for case in model.cases)  # the first that holds counts
        fields |= {f"cases[{case.when.label}]": _price_fields(case) for case in model.cases}
    return fields


def _price_fields(prices: Model | Case) -> dict[str, Any]:
    bands = {f"{kind}[{band.above}]": band.price for kind, bands in prices.bands.items() for band in bands}
    return {"prices": prices.prices, "bands": bands, "units": prices.units}


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Leaf]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list | tuple):
        if value:
            yield path, ", ".join(value)
    else:
        yield path, value if isinstance(value, Decimal | str) else shown(value)


def is_relief(path: str) -> bool:
    """Whether the field is one that makes usage cheaper the more it is: a discount, a free share."""
    return path.startswith(("tiers.", "code_execution.cpu_free", "code_execution.memory_free"))


def _is_price(path: str) -> bool:
    return path.startswith(("prices.", "bands.", "units.", "cases["))


def _differences(before: Leaves, after: Leaves) -> list[Difference]:
    return [
        Difference(path, _text(before.get(path)), _text(after.get(path)), _change(before.get(path), after.get(path)))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def _text(value: Leaf | None) -> str | None:
    return plain(value) if isinstance(value, Decimal) else value


def _change(old: Leaf | None, new: Leaf | None) -> str | None:
    if not (isinstance(old, Decimal) and isinstance(new, Decimal) and old):
        return None
    # A quotient may have no end, so this one number is cut; in integers, which money's arithmetic need not
    # allow.
    old_over, old_under = old.as_integer_ratio()
    new_over, new_under = new.as_integer_ratio()
    over = (new_over * old_under - old_over * new_under) * 100 * 10**PERCENT_DIGITS
    under = old_over * new_under
    steps = (2 * abs(over) + under) // (2 * under)
    whole, rest = divmod(steps, 10**PERCENT_DIGITS)
    return f"{'-' if over < 0 and steps else ''}{whole}.{rest:0{PERCENT_DIGITS}d}"
