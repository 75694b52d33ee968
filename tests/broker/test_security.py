"""SASL, TLS and ACLs on a real Kafka: the settings that connect, and one line for those that do not.

`tls/` has a key and its self-signed certificate for 127.0.0.1, made with `openssl req -x509 -days 36500`, and the key
once more, with the password "right" (`openssl pkcs8 -topk8`).
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.admin import create_topics, verify_for_worker
from streams.embedded_kafka import EmbeddedKafka
from streams.errors import Refused
from streams.reading import read_topic
from streams.settings import load_settings

TLS = Path(__file__).parent / "tls"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """A broker with every kind of listener, and ACLs that allow `admin` everything and `guest` nothing."""
    listeners = ("SASL_PLAINTEXT", "SASL_SSL", "SSL")
    config = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:admin",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(TLS / "keystore.pem"),
    }
    for name in ("sasl_plaintext", "sasl_ssl"):
        config[f"listener.name.{name}.plain.sasl.jaas.config"] = f'{PLAIN} user_admin="right" user_guest="right";'
        for mechanism in ("256", "512"):
            config[f"listener.name.{name}.scram-sha-{mechanism}.sasl.jaas.config"] = SCRAM
    scram = [f"SCRAM-SHA-{mechanism}=[name=admin,password=right]" for mechanism in ("256", "512")]
    options = [part for each in scram for part in ("--add-scram", each)]
    with EmbeddedKafka(listeners=listeners, config=config, format_options=options) as running:
        yield running


@pytest.fixture(scope="module")
def mutual() -> Iterator[EmbeddedKafka]:
    """A broker that wants to see the certificate of its clients."""
    store = {"type": "PEM", "location": str(TLS / "keystore.pem")}
    config = {f"ssl.keystore.{name}": value for name, value in store.items()}
    config |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(TLS / "broker.pem")}
    with EmbeddedKafka(listeners=("SSL",), config=config | {"ssl.client.auth": "required"}) as running:
        yield running


def verify(broker: EmbeddedKafka, prefix: str, protocol: str, **more: str) -> int:
    """What a worker does first, with these settings."""
    return asyncio.run(verify_for_worker(_settings(broker, prefix, protocol, **more)))


def _settings(broker: EmbeddedKafka, prefix: str, protocol: str, **more: str) -> Any:
    environ = {f"STREAM_PRICING_{name.upper()}": value for name, value in more.items()}
    address = broker.address(protocol)
    environ |= {"STREAM_PRICING_BOOTSTRAP_SERVERS": address, "STREAM_PRICING_SECURITY_PROTOCOL": protocol}
    return load_settings(environ=environ | {"STREAM_PRICING_TOPIC_PREFIX": prefix})


@pytest.fixture
def topics(broker: EmbeddedKafka, prefix: str) -> str:
    """A prefix whose topics exist."""
    asyncio.run(create_topics(_settings(broker, prefix, "PLAINTEXT"), 2))
    return prefix


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_sasl_connects(broker: EmbeddedKafka, topics: str, protocol: str, mechanism: str) -> None:
    """With every mechanism, in the clear and in TLS."""
    tls = {"ssl_cafile": str(TLS / "broker.pem")} if protocol == "SASL_SSL" else {}
    login = {"sasl_mechanism": mechanism, "sasl_username": "admin", "sasl_password": "right"}
    assert verify(broker, topics, protocol, **login, **tls) == 2


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_one_line(broker: EmbeddedKafka, topics: str, mechanism: str) -> None:
    """It says what was refused, and not the password; soon."""
    before = time.monotonic()
    login = {"sasl_mechanism": mechanism, "sasl_username": "admin", "sasl_password": "wr0ng"}
    with pytest.raises(Refused, match="Kafka refused the SASL user name or password") as refused:
        verify(broker, topics, "SASL_PLAINTEXT", **login)
    assert "wr0ng" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert time.monotonic() - before < 10


def test_tls_connects_with_the_authority(broker: EmbeddedKafka, topics: str) -> None:
    """The broker's certificate is signed by the given authority and names its address."""
    assert verify(broker, topics, "SSL", ssl_cafile=str(TLS / "broker.pem")) == 2


def test_an_unknown_authority_is_one_line(broker: EmbeddedKafka, topics: str) -> None:
    """The system's authorities did not sign it."""
    with pytest.raises(Refused, match="the broker's certificate is not trusted"):
        verify(broker, topics, "SSL")


def test_a_client_shows_its_certificate(mutual: EmbeddedKafka, prefix: str) -> None:
    """The key of which has a password."""
    asyncio.run(create_topics(_settings(mutual, prefix, "PLAINTEXT"), 2))
    own = {"ssl_certfile": str(TLS / "broker.pem"), "ssl_keyfile": str(TLS / "encrypted.key")}
    assert verify(mutual, prefix, "SSL", ssl_cafile=str(TLS / "broker.pem"), ssl_key_password="right", **own) == 2


def test_a_client_without_a_certificate_is_told_that_the_broker_wants_one(mutual: EmbeddedKafka, prefix: str) -> None:
    """The broker only ends the connection; why, is in the alert of TLS."""
    with pytest.raises(Refused, match=r"no TLS connection to the broker: .*certificate required"):
        verify(mutual, prefix, "SSL", ssl_cafile=str(TLS / "broker.pem"))


def test_a_client_without_sasl_is_not_let_in(broker: EmbeddedKafka, topics: str) -> None:
    """A broker tells its versions before it asks who is there: that alone is no connection."""
    environ = {
        "STREAM_PRICING_BOOTSTRAP_SERVERS": broker.address("SASL_PLAINTEXT"),
        "STREAM_PRICING_TOPIC_PREFIX": topics,
    }
    with pytest.raises(Refused, match=r"no connection to Kafka at .*: Kafka cannot be reached: .* closed"):
        asyncio.run(verify_for_worker(load_settings(environ=environ)))


def test_acls_that_hide_topics_are_one_line(broker: EmbeddedKafka, topics: str) -> None:
    """A user without rights learns which topic it may not describe."""
    with pytest.raises(Refused, match=rf"^Kafka's ACLs do not allow to describe topic {topics}"):
        verify(broker, topics, "SASL_PLAINTEXT", sasl_username="guest", sasl_password="right")


def test_reading_works_through_sasl(broker: EmbeddedKafka, topics: str) -> None:
    """The consumers get the same options."""
    login = {"sasl_username": "admin", "sasl_password": "right"}
    settings = _settings(broker, topics, "SASL_PLAINTEXT", **login)
    read: list[object] = []
    asyncio.run(read_topic(settings, settings.topics.raw, on_record=read.append))
    assert read == []


def test_a_plain_client_on_a_tls_port_does_not_hang(broker: EmbeddedKafka, topics: str) -> None:
    """It is refused in the time of a few requests, with the address."""
    address = broker.address("SSL")
    environ = {"STREAM_PRICING_BOOTSTRAP_SERVERS": address, "STREAM_PRICING_REQUEST_TIMEOUT_MS": "2000"}
    with pytest.raises(Refused, match=f"no connection to Kafka at {address}: "):
        asyncio.run(verify_for_worker(load_settings(environ=environ | {"STREAM_PRICING_TOPIC_PREFIX": topics})))
