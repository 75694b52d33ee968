"""Reads LiteLLM's model_prices_and_context_window.json (github.com/BerriAI/litellm): USD per single token or unit.

Every entry beside `sample_spec` becomes a direct model or is listed as skipped with its reason; the prices are exactly
those written, times 1,000,000 for tokens. The provider is `litellm_provider`, the key is kept as given, and what
follows `provider/` in it is an alias where no other model of the provider has that name.

A price of 0 beside others is kept and warned of. Where all prices are 0 the model is free only if its name or notes
say so: the map has 0 for what it does not know and for what runs on one's own machine, too. What is left out of an
entry, or read with doubt, is one warning for all entries alike.
"""

import re
from collections import Counter
from typing import Any

from pricing.documents import shown
from pricing.errors import InvalidDocument
from pricing.importers.entries import Grouped, UnusableEntry, is_name
from pricing.importers.imported import Imported, ImportOptions, finished, market_sheet, read_object, without_models
from pricing.importers.litellm_entry import Entry, read_entry
from pricing.importers.litellm_lists import Prices

FORMAT = "litellm"

_FREE = re.compile(r"\b(?:free|no cost)\b", re.IGNORECASE)


def read_litellm(value: bytes, options: ImportOptions) -> Imported:
    """The sheet in LiteLLM's price map, or every problem with it."""
    try:
        document = read_object(value, FORMAT)
    except InvalidDocument as invalid:
        return Imported(None, invalid.problems, [])
    notes, models, skipped = Grouped(), [], []
    for name, entry in document.items():
        # It explains the fields, with prices of 0.
        if name == "sample_spec":
            continue
        try:
            models.append(_model(name, entry, notes))
        except UnusableEntry as unusable:
            skipped.append((name, str(unusable)))
    _add_aliases(models)
    fields = market_sheet(value, FORMAT, options, models)
    return finished(fields, without_models(models, skipped), notes.lines(), skipped)


def _model(name: str, fields: Any, notes: Grouped) -> dict[str, Any]:
    """The fields of a model. Raises UnusableEntry with the reason why there is none."""
    if not is_name(name):
        raise UnusableEntry("cannot be the name of a model")
    if not isinstance(fields, dict):
        raise UnusableEntry(f"must be an object, found {shown(fields)}")
    provider = fields.get("litellm_provider")
    if provider is not None and not is_name(provider):
        raise UnusableEntry(f"litellm_provider: must be a name, found {shown(provider)}")
    entry = read_entry(name, fields, notes)
    if not any(entry.prices()):
        _require_free(entry)
    *cases, (_, own) = entry.lists()
    return {
        "key": name,
        "provider": provider,
        "category": "direct",
        "currency": "USD",
        **_by_field(own),
        "cases": tuple({"when": when, **_by_field(prices)} for when, prices in cases),
    }


def _require_free(entry: Entry) -> None:
    if not any(True for _ in entry.prices()):
        raise UnusableEntry("has no price")
    metadata = entry.fields.get("metadata")
    notes = metadata.get("notes") if isinstance(metadata, dict) else None
    if not any(_FREE.search(text) for text in (entry.name, notes) if isinstance(text, str)):
        raise UnusableEntry("every price is 0, and neither name nor notes say that it is free")
    entry.notes.add("free: every price is 0, and the name or the notes say that it is free", entry.name)


def _by_field(prices: Prices) -> dict[str, Any]:
    fields: dict[str, Any] = {"prices": {}, "units": {}}
    for (field, name), price in prices.items():
        fields[field][name] = price
    return fields


def _add_aliases(models: list[dict[str, Any]]) -> None:
    """Names each model also by what follows its provider in the key: `azure/gpt-4o` is Azure's `gpt-4o`.

    Families such as `vertex_ai-language-models` have keys that start with the provider alone.
    """
    found = Counter((model["provider"], model["key"]) for model in models)
    short = []
    for model in models:
        start, _, rest = model["key"].partition("/")
        provider = model["provider"] or ""
        if rest and (provider == start or provider.startswith(f"{start}-")):
            found[model["provider"], rest] += 1
            short.append((model, rest))
    for model, rest in short:
        if found[model["provider"], rest] == 1:
            model["aliases"] = (rest,)
