"""Usage events: what producers send, as types. `reading` makes them from bytes; nothing else does.

Numbers that are no counts arrive as raw JSON text and are exact Decimals in a checked event, never floats. Source:
section 2 of the contract; the envelope is CloudEvents 1.0.
"""

from collections.abc import Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

if TYPE_CHECKING:
    Quantity = Decimal
    Response = Any
else:
    Quantity = Raw  # msgspec keeps the text of the number; `reading` puts the exact Decimal in its place
    Response = dict[str, Any]  # and of a response, in its place, what `surfaces` finds that it used

STRING_BYTES_MAX = 256
LABEL_BYTES_MAX = 128
LABELS_MAX = 16
QUANTITY_MAX = 10**15

Text = Annotated[str, Meta(min_length=1, max_length=STRING_BYTES_MAX)]
Label = Annotated[str, Meta(min_length=1, max_length=LABEL_BYTES_MAX)]
Labels = Annotated[dict[Label, Label], Meta(max_length=LABELS_MAX)]
Count = Annotated[int, Meta(ge=0, le=QUANTITY_MAX)]


class ProviderCost(Struct, forbid_unknown_fields=True):
    """What the provider says that it billed."""

    amount: Quantity
    currency: str


class Usage(Struct, forbid_unknown_fields=True, kw_only=True):
    """`data` of every type; UNSET where the event does not say. Strings stand first: `reading` relies on it."""

    organization: str
    project: str
    provider: Text | UnsetType = UNSET
    region: Text | UnsetType = UNSET
    user: Text | UnsetType = UNSET
    api_key_id: Text | UnsetType = UNSET
    service_tier: Text | UnsetType = UNSET
    not_billable_because: Text | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET
    provider_cost: ProviderCost | UnsetType = UNSET
    billable: bool | UnsetType = UNSET


class ModelUsage(Usage, kw_only=True):
    """Tokens by kind (disjoint counts) and, where the model bills time, seconds."""

    model: Text
    priority: Text | UnsetType = UNSET
    tokens: Annotated[dict[Text, Count], Meta(min_length=1)] | UnsetType = UNSET
    seconds: Quantity | UnsetType = UNSET


class ImageUsage(Usage, kw_only=True):
    """`count` runs of one image operation."""

    operation: Text
    count: Count | UnsetType = UNSET
    model: Text | UnsetType = UNSET
    priority: Text | UnsetType = UNSET


class CodeExecutionUsage(Usage, kw_only=True):
    """One execution: CPU and wall time in seconds, peak memory in MB (10^6 bytes)."""

    cpu_seconds: Quantity
    memory_mb: Quantity
    wall_seconds: Quantity


class ConnectorToolUsage(Usage, kw_only=True):
    """`executions` of one tool of a connector."""

    connector: Text
    tool: Text
    executions: Count | UnsetType = UNSET


class TerminalUsage(Usage, kw_only=True):
    """Quantities by dimension, such as `egress_bytes`."""

    dimensions: Annotated[dict[Text, Quantity], Meta(min_length=1)]


class ResponseUsage(Usage, kw_only=True):
    """What a provider answered on one of its APIs, the surface. `model` is the body's where the event does not say."""

    surface: Text
    model: Text | UnsetType = UNSET
    response: Response


class UnitsUsage(Usage, kw_only=True):
    """Quantities by unit, such as `image`, of a model that is named by its endpoint."""

    endpoint: Text
    units: Annotated[dict[Text, Quantity], Meta(min_length=1)]


USAGE_TYPES: Mapping[str, type[Usage]] = {
    "ai.usage.model.v1": ModelUsage,
    "ai.usage.image.v1": ImageUsage,
    "ai.usage.code_execution.v1": CodeExecutionUsage,
    "ai.usage.connector_tool.v1": ConnectorToolUsage,
    "ai.usage.terminal.v1": TerminalUsage,
    "ai.usage.units.v1": UnitsUsage,
    "ai.usage.response.v1": ResponseUsage,
}


class Event(Struct, gc=False):
    """One checked usage event: the attributes of the CloudEvent that matter, as given but for `time`, which is in UTC.

    `at` is its instant in nanoseconds since 1970, `content` the hash that tells a re-sent event from another one with
    its identity, `echo` the strings of `data` that every type has, as JSON members.
    """

    type: str
    source: str
    id: str
    time: str
    at: int
    data: Any
    content: bytes = b""
    echo: str = ""

    def fingerprint(self) -> bytes:
        """BLAKE2b-128 of the identity: organization, source and id, joined by a line feed."""
        identity = f"{self.data.organization}\n{self.source}\n{self.id}"
        return blake2b(identity.encode(), digest_size=16).digest()
