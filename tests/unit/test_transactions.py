"""How a transaction stands, for every answer that a coordinator has."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.conn import CloseReason
from aiokafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    IncompatibleBrokerVersion,
    NodeNotReadyError,
    NotCoordinatorError,
    TransactionalIdAuthorizationFailed,
)

from streams.session import Producer
from streams.transactions import transaction_state


class Client:
    """Answers in turn: an error code, a state, or an error of the client itself."""

    def __init__(self, *answers: int | str | Exception) -> None:
        self._answers = list(answers)

    async def coordinator_lookup(self, kind: object, name: str) -> int:
        return 1

    async def send(self, node: int, request: object) -> Any:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        found = {"error_code": answer, "state": ""} if isinstance(answer, int) else {"error_code": 0, "state": answer}
        return SimpleNamespace(to_object=lambda: {"transactions": [found]})


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        (["CompleteCommit"], "CompleteCommit"),
        ([105], ""),  # no such transactional id
        ([IncompatibleBrokerVersion()], ""),
        ([CoordinatorLoadInProgressError.errno, NotCoordinatorError.errno, "Empty"], "Empty"),
        ([CoordinatorNotAvailableError(), "Ongoing"], "Ongoing"),
    ],
    ids=["told", "unknown id", "an older broker", "a coordinator that loads", "none yet"],
)
def test_the_state_is_told_once_the_coordinator_is_there(answers: list[Any], state: str) -> None:
    assert asyncio.run(transaction_state(Client(*answers), "app.0")) == state  # type: ignore[arg-type]


def test_another_error_is_raised() -> None:
    with pytest.raises(TransactionalIdAuthorizationFailed, match=r"app\.0"):
        asyncio.run(transaction_state(Client(TransactionalIdAuthorizationFailed.errno), "app.0"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reason", "is_cut_off"),
    [
        (CloseReason.CONNECTION_BROKEN, True),
        (CloseReason.CONNECTION_TIMEOUT, True),
        (CloseReason.IDLE_DROP, False),
        (CloseReason.SHUTDOWN, False),
        (None, False),
    ],
)
def test_a_producer_sends_nothing_once_a_connection_has_broken(reason: CloseReason | None, is_cut_off: bool) -> None:
    """What it closes itself is no loss."""

    async def broken() -> None:
        producer = Producer(bootstrap_servers="127.0.0.1:1", transactional_id="t")
        producer.client._on_connection_closed(None, reason)
        assert producer.is_cut_off is is_cut_off
        with pytest.raises(ConnectionError if is_cut_off else NodeNotReadyError):
            await producer.client.send(1, None)
        await producer.client.close()
        producer._closed = True  # it was never started

    asyncio.run(broken())
