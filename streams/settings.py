"""Settings: a TOML file < STREAM_PRICING_* variables < options. The only module that reads the environment.

Every setting is a field of `Settings`, with its description. An unknown name is an error that names the
closest known one, a bad value one that names the setting as written. No message shows a secret's value.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from pricing.money import whole
from streams.errors import BadOption, Refused
from streams.setting_values import (
    Currencies,
    DefaultAndOthers,
    File,
    LogLevel,
    Name,
    Number,
    Percentage,
    Secret,
    Servers,
    Sheets,
    Text,
)
from streams.topics import Topics

PREFIX = "STREAM_PRICING_"


class Settings(BaseModel):
    """Settings of the worker and of the commands that talk to a cluster; `load_settings` collects them."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    bootstrap_servers: Servers = Field(
        "127.0.0.1:9092", description="Kafka brokers, host:port, several with commas between"
    )
    topic_prefix: Name = Field("", description="put before each topic name and the consumer group")
    app: Annotated[Name, Field(min_length=1)] = Field(
        "stream-pricing",
        description="name of this installation: group, transactional ids, source of priced events",
    )

    sheets: DefaultAndOthers = Field(
        {"*": "aitronos"}, description="JSON: the sheet id of each provider, * for all others"
    )
    cost_sheets: Sheets = Field({}, description="JSON: the sheet id with the costs of each provider, * for all others")
    report_currencies: Currencies = Field(
        ("USD",), description="currencies that amounts are converted into, with commas between; may be empty"
    )
    require_account: bool = Field(False, description="park events of organizations that have no tier")
    provider_cost_tolerance_percentage: Percentage = Field(
        whole(1), description="a provider_cost further from the computed cost is logged"
    )
    # At most 59: an id is kept for two days and the one begun more, the totals of hours that it may belong to for 62.
    max_age_days: Number = Field(35, ge=1, le=59, description="usage older than this on arrival is rejected")

    commit_interval_ms: Number = Field(
        100, ge=1, le=60_000, description="shortest time between two commits of a task; 10 a partition if that is more"
    )
    batch_events_max: Number = Field(
        4_000, ge=1, le=100_000, description="most records of one input in one transaction"
    )
    session_timeout_ms: Number = Field(
        10_000, ge=6_000, le=1_800_000, description="a worker silent for so long loses its partitions"
    )
    rebalance_timeout_ms: Number = Field(
        30_000, ge=1_000, le=1_800_000, description="how long a rebalance waits for each worker"
    )
    transaction_timeout_ms: Number = Field(
        20_000, ge=1_000, le=900_000, description="the broker aborts a transaction open for so long"
    )
    request_timeout_ms: Number = Field(
        10_000, ge=1_000, le=300_000, description="longest wait for one answer of a broker"
    )

    http_host: str = Field("127.0.0.1", min_length=1, description="address of /metrics, /livez and /readyz")
    http_port: Number = Field(9464, ge=0, le=65_535, description="its port; 0: any free one")
    log_level: LogLevel = Field("info", description="debug, info, warning or error")
    log_json: bool = Field(False, description="log one JSON object a line")

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    sasl_username: Text = Field(None, description="user name for SASL")
    sasl_password: Secret = Field(None, description="password for SASL")
    ssl_cafile: File = Field(None, description="PEM file of the authorities that sign brokers; unset: the system's")
    ssl_certfile: File = Field(None, description="PEM file of this client's certificate")
    ssl_keyfile: File = Field(None, description="PEM file of its key; unset: in the certificate's file")
    ssl_key_password: Secret = Field(None, description="password of the key")
    ssl_check_hostname: bool = Field(True, description="a broker's certificate has to name its host")

    import_bearer_token: Secret = Field(None, description="bearer token for `sheets import` from a URL")
    import_api_key: Secret = Field(None, description="X-API-Key for `sheets import` from a URL")
    import_fal_key: Secret = Field(None, description="fal's key for `sheets import --format fal` from a URL")

    @model_validator(mode="after")
    def _security_is_consistent(self) -> Self:
        sasl, tls = self.security_protocol.startswith("SASL_"), self.security_protocol.endswith("SSL")
        if sasl and not (self.sasl_username and self.sasl_password):
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_username and sasl_password")
        if not sasl and (self.sasl_username or self.sasl_password):
            raise ValueError(
                f"sasl_username or sasl_password is set, but security_protocol is {self.security_protocol}"
            )
        if not tls and (self.ssl_cafile or self.ssl_certfile):
            raise ValueError(f"ssl_cafile or ssl_certfile is set, but security_protocol is {self.security_protocol}")
        if not self.ssl_certfile and (self.ssl_keyfile or self.ssl_key_password):
            raise ValueError("ssl_keyfile or ssl_key_password is set, but ssl_certfile is not")
        return self

    @property
    def group(self) -> str:
        """The consumer group."""
        return f"{self.topic_prefix}{self.app}"

    @property
    def topics(self) -> Topics:
        return Topics(self.topic_prefix)

    def transactional_id(self, partition: int) -> str:
        """The id that fences the other owners of `partition`."""
        return f"{self.group}.{partition}"

    @property
    def start_timeout_s(self) -> float:
        """How long a client may take to start: of the brokers that it tries one may be silent."""
        return 2 * self.request_timeout_ms / 1000

    def client_options(self) -> dict[str, Any]:
        """Where and how to connect: keyword arguments of any aiokafka client. Reads the certificate files."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        if self.security_protocol.startswith("SASL_"):
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = _reveal(self.sasl_password)
        return options

    def _ssl_context(self) -> object:
        # OpenSSL takes 20 ms to load, and most clusters of a developer have no TLS.
        from streams.tls import Certificate, client_context

        own = None
        if self.ssl_certfile:
            own = Certificate(self.ssl_certfile, self.ssl_keyfile, _reveal(self.ssl_key_password))
        return client_context(self.ssl_cafile, own, check_host=self.ssl_check_hostname)


SECRETS = frozenset({"sasl_password", "ssl_key_password", "import_bearer_token", "import_api_key", "import_fal_key"})


def _reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


class _Given(NamedTuple):
    """A value and the name under which its author wrote it."""

    label: str
    value: object


def load_settings(
    config: Path | None = None,
    options: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings from `config`, `environ` and `options` (by field name, None: not given); the last wins.

    Raises Refused with one line for all that is wrong with them, BadOption where that is only options.
    """
    given: dict[str, _Given] = dict(_from_toml(config)) if config else {}
    given |= _from_environment(os.environ if environ is None else environ)
    for name, value in (options or {}).items():
        if value is not None:
            given[name] = _Given("--" + name.replace("_", "-"), value)
    try:
        return Settings.model_validate({name: each.value for name, each in given.items()})
    except ValidationError as error:
        said = list(_explain(error, given))
        kind = BadOption if all(phrase.startswith("--") for phrase in said) else Refused
        raise kind("; ".join(said)) from None


def _from_toml(path: Path) -> Iterator[tuple[str, _Given]]:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise Refused(f"the settings file {path} cannot be read: {reason}") from None
    for name, value in values.items():
        if name not in Settings.model_fields:
            raise Refused(f"unknown setting {name} in {path}; {_closest(name, list(Settings.model_fields))}")
        yield name, _Given(f"{name} in {path}", value)


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    files = {f"{PREFIX}{name}_FILE".upper(): name for name in SECRETS}
    names = {f"{PREFIX}{name}".upper(): name for name in Settings.model_fields}
    given: dict[str, _Given] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX):
            continue
        if variable not in names and variable not in files:
            raise Refused(f"unknown setting {variable}; {_closest(variable, [*names, *files])}")
        name = names.get(variable) or files[variable]
        if name in given:
            raise Refused(f"{given[name].label} and {variable} are both set; only one can be")
        value = environ[variable]
        given[name] = _Given(variable, _secret_from(variable, Path(value)) if variable in files else value)
    return given


def _secret_from(variable: str, path: Path) -> str:
    try:
        secret = path.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise Refused(f"{variable}: {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise Refused(f"{variable}: {path} is not UTF-8 text") from None
    if not secret:
        raise Refused(f"{variable}: {path} is empty")
    return secret


def _closest(name: str, known: list[str]) -> str:
    cases = {each.lower(): each for each in known}
    return f"the closest known one is {cases[difflib.get_close_matches(name.lower(), cases, n=1, cutoff=0)[0]]}"


def _explain(error: ValidationError, given: Mapping[str, _Given]) -> Iterator[str]:
    """One phrase for each thing that is wrong, with name and value; a secret's value is left out."""
    for problem in error.errors(include_url=False):
        message = problem["msg"].removeprefix("Value error, ")
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if not name:
            yield message
            continue
        where, value = given.get(name, _Given(name, None))
        yield f"{where}: {message}" if name in SECRETS else f"{where}={str(value)[:100]!r}: {message}"
