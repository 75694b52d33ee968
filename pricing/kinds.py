"""Token kinds: which are input, and which coarser kind a finer one is a part of.

A finer kind is a coarser one with a known ending (`input_audio`, `cache_creation_1h`). All counts of an event are
disjoint, text is the plain kind, and what does not start with `output` is input.
"""

from collections.abc import Collection, Mapping

TOKEN_KINDS = ("input", "cache_read", "cache_creation", "output")

# Modalities and reasoning cost what their plain kind does unless a price list says otherwise: providers publish a
# price of their own exactly where it differs. How long a cache is kept (`_1h`) always has its own.
_SAME_UNLESS_PRICED = ("_audio", "_image", "_video", "_reasoning")


def input_count(tokens: Mapping[str, int]) -> int:
    """All tokens of the input side, cached and written ones too: what context thresholds go by."""
    return sum(count for kind, count in tokens.items() if not kind.startswith("output"))


def parent_of(kind: str) -> str | None:
    """The kind that `kind` counts as where it has no price of its own; None where it may not."""
    for ending in _SAME_UNLESS_PRICED:
        if kind.endswith(ending):
            return kind.removesuffix(ending) or None
    return None


def nearest(kind: str, priced: Collection[str]) -> str:
    """The kind in `priced` that `kind` counts as: itself, or its nearest parent; `kind` where there is none."""
    name: str | None = kind
    while name is not None and name not in priced:
        name = parent_of(name)
    return name or kind


def folded(tokens: Mapping[str, int], priced: Collection[str]) -> dict[str, int]:
    """`tokens` with each kind that is not in `priced` added to its nearest parent that is.

    A kind without such a parent stays as it is, so that whoever looks for its price misses it.
    """
    found: dict[str, int] = {}
    for kind, count in tokens.items():
        name = nearest(kind, priced)
        found[name] = found.get(name, 0) + count
    return found
