"""Settings: where they come from, what wins, and what is said of wrong ones."""

import json
import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from pricing.totals import DAY_NS, HOUR_NS
from streams.children import as_options, given_settings
from streams.errors import Refused
from streams.expiry import KEPT_DAYS, known_since
from streams.settings import SECRETS, Settings, load_settings

TLS = Path(__file__).parents[1] / "broker" / "tls"
SASL = {
    "STREAM_PRICING_SECURITY_PROTOCOL": "SASL_SSL",
    "STREAM_PRICING_SASL_USERNAME": "billing",
    "STREAM_PRICING_SASL_PASSWORD": "hunter2",
}


def test_options_beat_variables_beat_the_file(tmp_path: Path) -> None:
    """Of a setting that stands in all three places the option counts; each place adds what only it has."""
    file = tmp_path / "settings.toml"
    file.write_text('app = "file"\nhttp_port = 1\nbatch_events_max = 7\n[sheets]\n"*" = "house"\n')
    environ = {"STREAM_PRICING_APP": "variable", "STREAM_PRICING_HTTP_PORT": "2", "PATH": "/bin"}
    found = load_settings(file, {"app": "option", "http_port": None}, environ)
    assert (found.app, found.http_port, found.batch_events_max) == ("option", 2, 7)
    assert found.sheets == {"*": "house"}


@pytest.mark.parametrize(
    ("text", "currencies"),
    [
        ("USD", ("USD",)),
        ("USD, CHF", ("USD", "CHF")),
        ('["EUR","USD"]', ("EUR", "USD")),
        ("", ()),
        ("[]", ()),
    ],
)
def test_currencies_are_a_list_in_json_or_with_commas(text: str, currencies: tuple[str, ...]) -> None:
    """No currency at all is a choice: nothing is converted."""
    found = load_settings(environ={"STREAM_PRICING_REPORT_CURRENCIES": text})
    assert found.report_currencies == currencies


def test_every_broker_has_a_port() -> None:
    """Kafka's usual one where none is given, also behind an IPv6 address."""
    found = load_settings(environ={"STREAM_PRICING_BOOTSTRAP_SERVERS": "localhost, [::1],10.0.0.1:1,[::1]:65535"})
    assert found.bootstrap_servers == "localhost:9092,[::1]:9092,10.0.0.1:1,[::1]:65535"


def test_sheets_are_json_in_a_variable() -> None:
    """The map of providers to sheets fits into one variable."""
    found = load_settings(environ={"STREAM_PRICING_SHEETS": '{"openai": "oa", "*": "house"}'})
    assert found.sheets == {"openai": "oa", "*": "house"}


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {"STREAM_PRICING_HTP_PORT": "1"},
            "unknown setting STREAM_PRICING_HTP_PORT; the closest known one is STREAM_PRICING_HTTP_PORT",
        ),
        (
            {"STREAM_PRICING_HTTP_PORT": "many"},
            "STREAM_PRICING_HTTP_PORT='many': Input should be a valid integer",
        ),
        (
            {"STREAM_PRICING_SHEETS": '{"*": "a", "*": "b"}'},
            r": should have each key once, has \*, \*",
        ),
        ({"STREAM_PRICING_SHEETS": '{"*": 5}'}, "STREAM_PRICING_SHEETS=.*: Input should be a valid string"),
        ({"STREAM_PRICING_SHEETS": '{"*": '}, "STREAM_PRICING_SHEETS=.*: Expecting value"),
        ({"STREAM_PRICING_SESSION_TIMEOUT_MS": "5999"}, "STREAM_PRICING_SESSION_TIMEOUT_MS='5999': .* 6000"),
        ({"STREAM_PRICING_REPORT_CURRENCIES": "usd"}, "STREAM_PRICING_REPORT_CURRENCIES='usd': "),
        ({"STREAM_PRICING_REPORT_CURRENCIES": "USD,USD"}, "should name each currency once"),
        ({"STREAM_PRICING_SHEETS": "{"}, "STREAM_PRICING_SHEETS='{': "),
        ({"STREAM_PRICING_SHEETS": '{"openai": "oa"}'}, r"should name the sheet of \"\*\", which is for all others"),
        ({"STREAM_PRICING_SHEETS": '{"*": "a/b"}'}, "STREAM_PRICING_SHEETS=.* should match pattern"),
        ({"STREAM_PRICING_COST_SHEETS": '{"openai": ""}'}, "STREAM_PRICING_COST_SHEETS=.* should match pattern"),
        ({"STREAM_PRICING_BOOTSTRAP_SERVERS": "a b"}, "should be host:port, or several with commas between"),
        ({"STREAM_PRICING_BOOTSTRAP_SERVERS": "a:1,::1"}, "should be host:port, or several with commas between"),
        ({"STREAM_PRICING_BOOTSTRAP_SERVERS": "a:1,b:99999"}, "SERVERS='a:1,b:99999': should .* port from 1 to 65535"),
        ({"STREAM_PRICING_BOOTSTRAP_SERVERS": "localhost:0"}, "SERVERS='localhost:0': should .* port from 1 to 65535"),
        ({"STREAM_PRICING_MAX_AGE_DAYS": "60"}, "STREAM_PRICING_MAX_AGE_DAYS='60': .* less than or equal to 59"),
        ({"STREAM_PRICING_TOPIC_PREFIX": "a/b"}, "STREAM_PRICING_TOPIC_PREFIX='a/b': "),
        ({"STREAM_PRICING_APP": ""}, "STREAM_PRICING_APP='': "),
        ({"STREAM_PRICING_SECURITY_PROTOCOL": "SASL_SSL"}, "SASL_SSL needs sasl_username and sasl_password"),
        ({"STREAM_PRICING_SASL_USERNAME": "me"}, "is set, but security_protocol is PLAINTEXT"),
        ({"STREAM_PRICING_SSL_CAFILE": "/ca"}, "is set, but security_protocol is PLAINTEXT"),
        (
            {"STREAM_PRICING_SECURITY_PROTOCOL": "SSL", "STREAM_PRICING_SSL_KEYFILE": "/k"},
            "ssl_keyfile or ssl_key_password is set, but ssl_certfile is not",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(environ: dict[str, str], said: str) -> None:
    """The message names the variable, its value and what it should be, or the closest known name."""
    with pytest.raises(Refused, match=said) as refused:
        load_settings(environ=environ)
    assert "\n" not in str(refused.value)


def test_the_closest_setting_is_found_in_whichever_case() -> None:
    """It is the same word."""
    with pytest.raises(Refused, match="the closest known one is STREAM_PRICING_BATCH_EVENTS_MAX"):
        load_settings(environ={"STREAM_PRICING_batch_events_max": "3"})


def test_an_unknown_key_of_the_file_is_an_error(tmp_path: Path) -> None:
    """A misspelt key is named with the file and the closest known one."""
    file = tmp_path / "settings.toml"
    file.write_text("htp_port = 1\n")
    with pytest.raises(Refused, match=rf"unknown setting htp_port in {file}; the closest known one is http_port"):
        load_settings(file, environ={})


@pytest.mark.parametrize("name", ["http_port", "batch_events_max", "provider_cost_tolerance_percentage"])
def test_a_truth_in_the_file_is_no_number(tmp_path: Path, name: str) -> None:
    """It would count as 1."""
    file = tmp_path / "settings.toml"
    file.write_text(f"{name} = true\n")
    with pytest.raises(Refused, match=f"^{name} in {file}='True': should be a number$"):
        load_settings(file, environ={})


@pytest.mark.parametrize("text", ["app = ", None])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str | None) -> None:
    """Broken TOML and a missing file are one line with the path."""
    file = tmp_path / "settings.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(Refused, match=f"the settings file {file} cannot be read"):
        load_settings(file, environ={})


def test_a_secret_comes_from_a_file_too(tmp_path: Path) -> None:
    """The file's last line feed is not part of the secret."""
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    environ = {name: value for name, value in SASL.items() if not name.endswith("PASSWORD")}
    found = load_settings(environ=environ | {"STREAM_PRICING_SASL_PASSWORD_FILE": str(file)})
    assert found.sasl_password == SecretStr("hunter2")


def test_a_secret_in_both_places_is_an_error(tmp_path: Path) -> None:
    """Which of the two was meant cannot be told."""
    with pytest.raises(Refused, match="_PASSWORD and STREAM_PRICING_SASL_PASSWORD_FILE are both set"):
        load_settings(environ=SASL | {"STREAM_PRICING_SASL_PASSWORD_FILE": str(tmp_path)})


def test_a_missing_secret_file_is_named() -> None:
    """The variable and the path are in the message."""
    with pytest.raises(Refused, match="STREAM_PRICING_IMPORT_API_KEY_FILE: /nowhere cannot be read"):
        load_settings(environ={"STREAM_PRICING_IMPORT_API_KEY_FILE": "/nowhere"})
    with pytest.raises(Refused, match="STREAM_PRICING_IMPORT_API_KEY_FILE: /dev/null is empty"):
        load_settings(environ={"STREAM_PRICING_IMPORT_API_KEY_FILE": "/dev/null"})


def test_no_representation_shows_a_secret() -> None:
    """Neither repr, nor str, nor the dump for logs has the password."""
    found = load_settings(environ=SASL)
    assert "hunter2" not in repr(found) + str(found) + str(found.model_dump()) + found.model_dump_json()
    assert found.client_options()["sasl_plain_password"] == "hunter2"


def test_no_message_shows_a_secret(tmp_path: Path) -> None:
    """A secret of the wrong type is named, and its value is not."""
    file = tmp_path / "settings.toml"
    file.write_text("sasl_password = 31337\n")
    with pytest.raises(Refused, match=f"^sasl_password in {file}: ") as refused:
        load_settings(file, environ={})
    assert "31337" not in str(refused.value)


def test_every_secret_field_is_known_as_one() -> None:
    """The list of secrets and the fields of the secret type are the same."""
    typed = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert typed == SECRETS


def test_every_setting_is_described() -> None:
    """--help has a text for each."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_settings_do_not_change() -> None:
    """A worker runs with what it started with."""
    with pytest.raises(ValidationError):
        Settings().app = "other"  # type: ignore[misc]


def test_names_in_the_cluster_carry_prefix_and_app() -> None:
    """Two installations on one cluster share nothing."""
    found = Settings(topic_prefix="test.", app="pricer")
    assert (found.group, found.transactional_id(3), found.topics.raw) == (
        "test.pricer",
        "test.pricer.3",
        "test.usage.raw.v1",
    )


def test_empty_variables_are_unset() -> None:
    """Compose files pass variables on as empty ones."""
    found = load_settings(environ={"STREAM_PRICING_SASL_PASSWORD": "", "STREAM_PRICING_SSL_CAFILE": ""})
    assert (found.sasl_password, found.ssl_cafile) == (None, None)


def test_tls_verifies_brokers_unless_told_otherwise() -> None:
    """The context that clients get requires a certificate; the host name check is a setting."""
    strict = Settings(security_protocol="SSL").client_options()["ssl_context"]
    lax = Settings(security_protocol="SSL", ssl_check_hostname=False).client_options()["ssl_context"]
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (lax.verify_mode, lax.check_hostname) == (ssl.CERT_REQUIRED, False)


def test_a_child_process_gets_the_settings_that_were_given() -> None:
    """As JSON, or as options; whatever their types are, and never a secret."""
    environ = SASL | {
        "STREAM_PRICING_PROVIDER_COST_TOLERANCE_PERCENTAGE": "0.5",
        "STREAM_PRICING_SSL_CAFILE": "/ca.pem",
        "STREAM_PRICING_SHEETS": '{"*": "house"}',
        "STREAM_PRICING_REPORT_CURRENCIES": "USD,CHF",
        "STREAM_PRICING_REQUIRE_ACCOUNT": "true",
    }
    found = load_settings(environ=environ)
    text = json.dumps(given_settings(found))
    assert load_settings(options=json.loads(text), environ=SASL) == found
    options = [option.removeprefix("--").partition("=") for option in as_options(found)]
    given = {name.replace("-", "_"): value if equals else True for name, equals, value in options}
    assert load_settings(options=given, environ=SASL) == found
    assert "hunter2" not in text + str(options)


def test_tls_files_that_cannot_be_used_are_named() -> None:
    """A missing authority file is one line."""
    with pytest.raises(Refused, match="the TLS files /nowhere cannot be used"):
        Settings(security_protocol="SSL", ssl_cafile=Path("/nowhere")).client_options()


@pytest.mark.parametrize("of_the_day", [0, HOUR_NS, DAY_NS - 1])
def test_the_oldest_usage_that_may_be_accepted_has_its_hour_still(of_the_day: int) -> None:
    """A total that has got its tombstone would begin anew."""
    longest = Settings(max_age_days=59).max_age_days  # 60 is refused
    now = 20_000 * DAY_NS + of_the_day
    oldest = known_since(now, longest * DAY_NS) * DAY_NS
    assert oldest + HOUR_NS + KEPT_DAYS["hour"] * DAY_NS > now


@pytest.mark.parametrize(("password", "said"), [("", "is not set"), ("wr0ng", "does not open it")])
def test_a_key_that_stays_closed_is_named(password: str, said: str) -> None:
    """OpenSSL says "PEM lib", of all files together."""
    environ = {
        "STREAM_PRICING_SECURITY_PROTOCOL": "SSL",
        "STREAM_PRICING_SSL_CERTFILE": str(TLS / "broker.pem"),
        "STREAM_PRICING_SSL_KEYFILE": str(TLS / "encrypted.key"),
        "STREAM_PRICING_SSL_KEY_PASSWORD": password,
    }
    with pytest.raises(Refused) as refused:
        load_settings(environ=environ).client_options()
    assert str(refused.value) == f"the key in {TLS / 'encrypted.key'} is encrypted, and ssl_key_password {said}"
