"""Importers: one pure file for each foreign format, `bytes -> Imported`; fetching is elsewhere."""

from collections.abc import Callable

from pricing.documents import read_json
from pricing.errors import InvalidDocument
from pricing.importers.aitronos import read_aitronos
from pricing.importers.fal import read_fal
from pricing.importers.genai_prices import read_genai_prices
from pricing.importers.imported import Imported, ImportOptions
from pricing.importers.litellm import read_litellm
from pricing.importers.portkey import read_portkey
from pricing.sheets import parse_sheet

OWN_FORMAT = "sheet"

IMPORTERS: dict[str, Callable[[bytes, ImportOptions], Imported]] = {
    "aitronos": read_aitronos,
    "fal": read_fal,
    "genai-prices": read_genai_prices,
    "litellm": read_litellm,
    "portkey": read_portkey,
}


_SIGNS = {
    "effective_from": OWN_FORMAT,
    "prices": "fal",
    "sample_spec": "litellm",
    "default": "portkey",
    "pay_as_you_go": "portkey",
}
_SIGNS_IN_ENTRIES = {"pricing_config": "portkey", "litellm_provider": "litellm"}


def read_any(value: bytes, form: str, options: ImportOptions) -> Imported:
    """The sheet in a document of format `form`; `options` do not apply to OWN_FORMAT, which says all that itself."""
    if form != OWN_FORMAT:
        return IMPORTERS[form](value, options)
    try:
        return Imported(parse_sheet(value), [], [])
    except InvalidDocument as invalid:
        return Imported(None, invalid.problems, [])


def format_of(value: bytes) -> str:
    """The format that a document seems to have: of what is a sheet already, OWN_FORMAT."""
    try:
        document = read_json(value, name="document")
    except InvalidDocument:
        return OWN_FORMAT
    if isinstance(document, list):
        return "genai-prices"
    fields = document if isinstance(document, dict) else {}
    inside = {field for entry in fields.values() if isinstance(entry, dict) for field in entry}
    found = [form for field, form in _SIGNS.items() if field in fields]
    found += [form for field, form in _SIGNS_IN_ENTRIES.items() if field in inside]
    return [*found, "aitronos"][0]


__all__ = ["IMPORTERS", "OWN_FORMAT", "ImportOptions", "Imported", "format_of", "read_any"]
