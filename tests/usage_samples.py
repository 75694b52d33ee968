"""Sample books for the usage streams: sheets as Aitronos documents, rates, accounts, dated around `now_ms`.

`source_sheet()` is the document of the API's own page, number for number; `sample_sheet()` is a wider one,
with models of both categories, null and zero prices, a EUR model and four tiers. Both are JSON bytes, so that
no number has been through a float.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.oracle import Oracle, Rate, Settings, Sheet

SOURCE = (
    """{
  "currency_note": "Usage is billed in synapses (chat/completion models) and neurons (embeddings, """
    """connector tools, and code execution). Tokens are converted to synapses via base_multiplier and then """
    """priced per model. All list prices are in CHF unless a unit_rate_usd is given. Final cost may be """
    """reduced by an organization's pricing-tier discount.",
  "conversion": {
    "base_multiplier": 2.0,
    "neurons_price_per_1m_chf": 8.0,
    "priority_multipliers": { "low": 0.8, "default": 1.0, "high": 2.0 }
  },
  "models": [
    {
      "id": "mdl_ftg30pro",
      "key": "ftg-3.0-pro",
      "name": "FTG 3.0 Pro",
      "pricing": {
        "input_price_per_1m_synapses": 13.2,
        "output_price_per_1m_synapses": 66.0,
        "cache_read_price_per_1m_synapses": 1.32,
        "cache_creation_price_per_1m_synapses": 16.5,
        "consumption_synapses_per_second": 1.0,
        "neurons_per_token": null,
        "category": "synapse",
        "currency": "CHF"
      }
    }
  ],
  "image_operations": [
    { "operation": "generate", "synapses": 100000 },
    { "operation": "remove-background", "synapses": 50000 }
  ],
  "code_execution": {
    "base_neuron_cost": 3.0,
    "cpu_neuron_per_second": 1.0,
    "memory_neuron_per_mb_sec": 0.01,
    "cpu_free_seconds": 2.0,
    "memory_free_mb": 256.0,
    "neurons_price_per_1m_chf": 8.0
  },
  "connector_tools": {
    "neuron_multiplier": 8.0,
    "neurons_price_per_1m_chf": 8.0
  },
  "terminal": [
    { "dimension": "cpu_seconds", "unit_rate_usd": 0.00005, "unit_label": "per CPU-second" },
    { "dimension": "ram_gb_seconds", "unit_rate_usd": 0.000007, "unit_label": "per RAM-GB-second" },
    { "dimension": "storage_gb_days", "unit_rate_usd": 0.1, "unit_label": "per storage GB-day" },
    { "dimension": "egress_bytes", "unit_rate_usd": 0.00000000012, "unit_label": "per egress byte" }
  ],
  "pricing_tiers": [
    { "id": "tier_standard", "name": "Standard", "description": "Standard tier with advanced features", """
    """"discount_percentage": 10.0 }
  ]
}
"""
)

PRICES = ("input", "output", "cache_read", "cache_creation")
# key: (id, category, currency, the four prices, synapses per second, neurons per token)
MODELS = {
    "ftg-3.0-mini": ("mdl_mini", "synapse", "CHF", ("1.1", "4.4", None, None), None, None),
    "ftg-3.0-euro": ("mdl_euro", "synapse", "EUR", ("7.25", "29.123456789012", "0.725", "9"), "3.75", None),
    "ftg-free": ("mdl_free", "synapse", "CHF", ("0", "0", "0.0", "0"), "1", None),
    "ftg-embed": ("mdl_embed", "neuron", "CHF", (None, None, None, None), None, "0.125"),
    "ftg-embed-preview": ("mdl_embed2", "neuron", "CHF", (None, None, None, None), None, None),
}
CURED_MODEL = "ftg-4.0-next"

# Models priced directly, beside those of the Aitronos document, in our own sheet format.
_SONNET = {"input": "3", "output": "15", "cache_read": "0.3", "cache_creation": "3.75"}
_SEARCH = {"web_search": "0.01"}
DIRECT: list[dict[str, Any]] = [
    {
        "key": "gpt-4o",
        "provider": "openai",
        "aliases": ["gpt-4o-latest"],
        "prefixes": ["ft:gpt-4o", "ft:gpt-4o-mini"],
        "prices": {"input": "2.5", "cache_read": "1.25", "output": "10", "input_audio": "40", "output_audio": "80"},
        "units": _SEARCH,
        "cases": [
            {"when": {"service_tier": "batch"}, "prices": {"input": "1.25", "output": "5"}},
            {
                "when": {"service_tier": "priority", "regions": ["eu-1", "ÜS"]},
                "prices": {"input": "4.675", "cache_read": "2.3375", "output": "18.7"},
            },
            {"when": {"service_tier": "priority"}, "prices": {"input": "4.25", "cache_read": "2.125", "output": "17"}},
        ],
    },
    {"key": "gpt-4o", "provider": "acme", "currency": "EUR", "prices": {"input": "2.3", "output": "9.200000000001"}},
    {
        "key": "claude-sonnet-4-5",
        "id": "sonnet",
        "prices": _SONNET,
        "units": _SEARCH | {"request": "0.0005"},
        "cases": [
            {"when": {"regions": ["us"]}, "prices": {**_SONNET, "input": "3.3", "output": "16.5"}, "units": _SEARCH},
            {"when": {"input_over": 200_000}, "prices": {**_SONNET, "input": "6", "output_reasoning": "30"}},
        ],
    },
    {
        "key": "gemini-2.5-pro",
        "prices": {"input": "1.25", "cache_read": "0.31", "output": "10", "output_image": "40"},
        "bands": {
            "input": [{"above": 1000, "price": "2"}, {"above": 200_000, "price": "2.500000000000000001"}],
            "output": [{"above": 100, "price": "15"}],
        },
        "cases": [
            {
                "when": {"daily": {"start": "16:30", "end": "00:30"}, "input_from": 4},
                "prices": {"input": "0.7", "cache_read": "0", "output": "7"},
                "bands": {"input": [{"above": 500, "price": "0.9"}]},
            }
        ],
    },
    {
        "key": "fal-ai/video",
        "aliases": ["video"],
        "units": {"second": "0.4", "image": "0.04", "image/hd/1024x1024": "0.08", "request": "0.001"},
        "cases": [{"when": {"regions": ["eu-1"]}, "units": {"second": "0.44", "image": "0"}}],
    },
]
CURED_DIRECT = {"key": "gpt-5", "prices": {"input": "1.25", "output": "10"}, "units": _SEARCH | {"image": "0.19"}}
TIERS = {"tier_zero": "0", "tier_third": "33.333", "tier_full": "100"}
CURED_TIER = "tier_partner"


@dataclass(frozen=True)
class Literal:
    """A JSON number to be written as these characters."""

    text: str


def dumps(value: Any, comma: str = ", ", colon: str = ": ", ascii_only: bool = False) -> str:
    """JSON text with `Literal` numbers, digit by digit."""
    if isinstance(value, Literal):
        return value.text
    if isinstance(value, dict):
        parts = [
            dumps(str(k), ascii_only=ascii_only) + colon + dumps(v, comma, colon, ascii_only) for k, v in value.items()
        ]
        return "{" + comma.join(parts) + "}"
    if isinstance(value, list):
        return "[" + comma.join(dumps(part, comma, colon, ascii_only) for part in value) + "]"
    assert not isinstance(value, float), value
    return json.dumps(value, ensure_ascii=ascii_only)


def source_sheet() -> bytes:
    """The document of the source's page, exactly."""
    return SOURCE.encode()


def sample_sheet(raised: bool = False, cured: bool = False) -> bytes:
    """A wider document in the same format; `raised` has other prices, `cured` knows more."""
    document = json.loads(SOURCE, parse_float=Literal, parse_int=Literal)
    document["models"] += [_model(key, *fields) for key, fields in MODELS.items()]
    document["pricing_tiers"] += [_tier(name, percentage) for name, percentage in TIERS.items()]
    if raised:
        document["conversion"]["base_multiplier"] = Literal("2.5")
        document["models"][0]["pricing"]["input_price_per_1m_synapses"] = Literal("14.85")
        document["code_execution"]["neurons_price_per_1m_chf"] = Literal("8.125")
        document["terminal"][0]["unit_rate_usd"] = Literal("6e-5")
    if cured:
        document["models"].append(_model(CURED_MODEL, "mdl_next", "synapse", "CHF", ("20", "80", "2", "25"), "1", None))
        document["pricing_tiers"].append(_tier(CURED_TIER, "12.5"))
        document["image_operations"].append({"operation": "upscale", "synapses": Literal("75000")})
        document["conversion"]["priority_multipliers"]["turbo"] = Literal("3.5")
        document["terminal"].append(
            {"dimension": "gpu_seconds", "unit_rate_usd": Literal("0.0012"), "unit_label": "per GPU-second"}
        )
    return dumps(document).encode()


def sample_direct(now_ms: int, raised: bool = False, cured: bool = False) -> bytes:
    """What a sheet of our own format has beside `sample_sheet`; `raised` marks it up, `cured` knows more."""
    models = [{"category": "direct", "currency": "USD", **model} for model in [*DIRECT, *([CURED_DIRECT] * cured)]]
    sonnet = models[2]
    written = {"prices": sonnet["prices"] | ({"cache_creation_1h": "6"} if cured else {})}
    dated = {
        "when": {"since": days_before(now_ms, 2), "until": days_before(now_ms, 1)},
        "prices": {"input": "2", "output": "9"},
    }
    models[2] = {**sonnet, **written, "cases": [*sonnet["cases"], dated]}
    found = {"models": models, "dated_snapshots": True} | ({"markup_percentage": "12.5"} if raised else {})
    return dumps(found).encode()


def _model(key: str, *fields: Any) -> dict[str, Any]:
    id_, category, currency, prices, per_second, per_token = fields
    pricing = {f"{kind}_price_per_1m_synapses": _number(p) for kind, p in zip(PRICES, prices, strict=True)}
    pricing |= {
        "consumption_synapses_per_second": _number(per_second),
        "neurons_per_token": _number(per_token),
    }
    return {
        "id": id_,
        "key": key,
        "name": key.upper(),
        "pricing": pricing | {"category": category, "currency": currency},
    }


def _tier(name: str, percentage: str) -> dict[str, Any]:
    return {"id": name, "name": name, "description": name, "discount_percentage": Literal(percentage)}


def _number(text: str | None) -> Literal | None:
    return None if text is None else Literal(text)


# --- books around a moment

ORGANIZATIONS = (
    "acme",
    "org_1",
    "Org.2",
    "o-3@eu",
    "z~9:x",
    "full-discount",
    "zero",
    "third",
    "list-price",
    "orphan",
)


def days_before(now_ms: int, days: float) -> str:
    """An RFC 3339 time, in whole seconds."""
    at = datetime.fromtimestamp(now_ms // 1000, UTC) - timedelta(days=days)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def sample_sheets(now_ms: int, cured: bool = False) -> list[Sheet]:
    """Versions in force from 30 and 10 days before `now_ms` (before that: none); cured ones replace both."""
    old, new = days_before(now_ms, 30), days_before(now_ms, 10)
    sheets = [
        Sheet("aitronos", "v1", old, sample_sheet(), "13.2", sample_direct(now_ms)),
        Sheet("aitronos", "v2", new, sample_sheet(raised=True), "model-input", sample_direct(now_ms, raised=True)),
    ]
    if cured:
        more = sample_direct(now_ms, cured=True), sample_direct(now_ms, raised=True, cured=True)
        sheets.append(Sheet("aitronos", "v1-cured", old, sample_sheet(cured=True), "13.2", more[0]))
        sheets.append(Sheet("aitronos", "v2-cured", new, sample_sheet(True, cured=True), "model-input", more[1]))
    return sheets


def sample_rates(now_ms: int, cured: bool = False) -> list[Rate]:
    """CHF/USD changes 20 and 3 days before `now_ms`; EUR/USD is only there when cured."""
    rates = [
        Rate("CHF/USD", "1.1234", days_before(now_ms, 60)),
        Rate("CHF/USD", "1.098700000001", days_before(now_ms, 20)),
        Rate("CHF/USD", "1.13", days_before(now_ms, 3)),
    ]
    return rates + ([Rate("EUR/USD", "1.0871", days_before(now_ms, 60))] if cured else [])


def sample_accounts(now_ms: int) -> dict[str, dict[str, Any]]:
    """Accounts as `accounts apply` reads them; "list-price" has none, the tier of "orphan" is on no sheet."""
    always = days_before(now_ms, 400)
    tiers = dict.fromkeys(ORGANIZATIONS[:5], "tier_standard")
    tiers |= {"full-discount": "tier_full", "zero": "tier_zero", "third": "tier_third", "orphan": CURED_TIER}
    accounts = {
        name: {"organization": name, "version": 1, "tiers": [{"tier": tier, "from": always}]}
        for name, tier in tiers.items()
    }
    accounts["org_1"]["tiers"].append({"tier": "tier_third", "from": days_before(now_ms, 5)})
    return accounts


def sample_oracle(now_ms: int, cured: bool = False, settings: Settings | None = None) -> Oracle:
    """An oracle of these books; cured: a model, operation, priority, dimension, tier and EUR/USD more."""
    sheets, rates = sample_sheets(now_ms, cured), sample_rates(now_ms, cured)
    return Oracle(sheets, rates, sample_accounts(now_ms), settings)
