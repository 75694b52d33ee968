"""Options and fixtures of all tests: how many seeds, and the one real Kafka of the session."""

import os
import secrets
from collections.abc import Iterator

import pytest
from hypothesis import settings

from streams.embedded_kafka import kafka_cluster

settings.register_profile("ci", deadline=None, print_blob=True)
settings.register_profile("deep", deadline=None, print_blob=True, max_examples=5_000)
settings.load_profile("ci")  # --hypothesis-profile=deep takes the other

SLOWEST_FIRST = ("test_crashes.py", "test_faults.py", "test_worker.py", "test_embedded_kafka.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=2_000, help="seeds for the simulated broker (2000)")
    parser.addoption("--seed", type=int, help="only this seed of the simulated broker, with a log (-s shows it)")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest files first, so that with several processes (`make test`) none waits for one of them at the end."""
    last = len(SLOWEST_FIRST)
    ranks = {name: rank for rank, name in enumerate(SLOWEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.name, last if item.get_closest_marker("broker") else last + 1))


@pytest.fixture(scope="session")
def seeds(pytestconfig: pytest.Config) -> int:
    """How many seeds the simulated broker is driven with."""
    return int(pytestconfig.getoption("--seeds"))


@pytest.fixture(scope="session")
def one_seed(pytestconfig: pytest.Config) -> int | None:
    """The only seed to drive it with, if there is one."""
    seed: int | None = pytestconfig.getoption("--seed")
    return seed


@pytest.fixture(scope="module")
def few_hot_totals() -> Iterator[None]:
    """Few totals make a generation, so that a total is found in each, or read again, and unpacked for that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.state.HOT_TOTALS", 3)
        patch.setattr("streams.packed_totals.TURN", 3)
        patch.setattr("streams.packed_totals.BLOCK", 2)
        yield


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Bootstrap servers of a real Kafka, one for the session. Where there can be none, the test fails."""
    with kafka_cluster(os.environ.get("STREAM_PRICING_BOOTSTRAP_SERVERS")) as bootstrap_servers:
        yield bootstrap_servers


@pytest.fixture
def prefix() -> str:
    """A topic prefix of the test's own."""
    return f"t{secrets.token_hex(4)}."
