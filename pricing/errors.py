"""Outcomes and errors, by whose fault they are: the event's (a `Reason`), the world's (an exception).

A `Rejected` reason cannot be cured by anything published later; an `Unpriced` one can. Both read as the wire has them.
"""

from enum import StrEnum


class Rejected(StrEnum):
    """Why a record is a dead letter, in the order in which the checks run."""

    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_A_CLOUDEVENT = "not_a_cloudevent"
    UNKNOWN_TYPE = "unknown_type"
    INVALID_FIELD = "invalid_field"
    DO_NOT_RECONCILE = "token_counts_do_not_reconcile"
    FROM_THE_FUTURE = "from_the_future"
    TOO_LATE = "too_late"
    ID_REUSED = "id_reused_with_other_content"
    INTERNAL_ERROR = "internal_error"


class Unpriced(StrEnum):
    """Why an event is parked, in order of precedence."""

    NO_SHEET = "no_sheet_at_time"
    NO_MODEL = "no_price_for_model"
    NO_OPERATION = "no_price_for_operation"
    NO_METER = "no_price_for_meter"
    NO_MULTIPLIER = "no_multiplier_for_priority"
    NO_RATE = "no_rate_at_time"
    UNKNOWN_TIER = "unknown_tier"
    ACCOUNT_REQUIRED = "account_required"


class InvalidUsage(Exception):
    """The record at hand is at fault: it is rejected with `reason`, and `detail` says what was found where."""

    def __init__(self, reason: Rejected, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class InvalidDocument(Exception):
    """A sheet, rate or account is at fault; `problems` has one sentence for each thing that is wrong."""

    def __init__(self, name: str, problems: list[str]) -> None:
        super().__init__(f"{name}: " + "; ".join(problems))
        self.name = name
        self.problems = problems
