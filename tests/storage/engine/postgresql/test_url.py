"""URLs as written for certctl, libpq, Go and Python lead to the database and reveal no secret."""

from datetime import timedelta
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.engine.postgresql.url import CONNECT_TIMEOUT, Address
from storage.errors import StorageError

PASSWORD = "hunter2"

SHOWN = {
    "postgres://certctl:hunter2@localhost:5432/certctl?sslmode=disable": (
        "postgresql://certctl@localhost:5432/certctl"
    ),
    "postgresql://certctl:hunter2@db.example.com/certctl": "postgresql://certctl@db.example.com/certctl",
    "postgresql+asyncpg://certctl:hunter2@db/certctl": "postgresql://certctl@db/certctl",
    "postgresql://certctl@db/certctl?password=hunter2": "postgresql://certctl@db/certctl",
    "postgresql://db/certctl?user=certctl&password=hunter2": "postgresql://certctl@db/certctl",
    "postgresql://certctl:hunter2@one:5432,two:5433/certctl?target_session_attrs=read-write": (
        "postgresql://certctl@one:5432,two:5433/certctl"
    ),
    "postgresql:///certctl?host=/var/run/postgresql&user=certctl": (
        "postgresql://certctl@/var/run/postgresql/certctl"
    ),
    "postgresql://certctl:hunter2@%2Fvar%2Frun%2Fpostgresql/certctl": (
        "postgresql://certctl@%2Fvar%2Frun%2Fpostgresql/certctl"
    ),
    "postgresql://certctl:hunter2@[2001:db8::1]:5432/certctl": (
        "postgresql://certctl@[2001:db8::1]:5432/certctl"
    ),
    "postgresql://certctl%40tenant:hunter2@db/certctl": "postgresql://certctl%40tenant@db/certctl",
    "postgresql://db/certctl?sslmode=verify-full&sslkey=/k&sslpassword=hunter2": "postgresql://db/certctl",
    " postgresql://certctl:hunter2@db/certctl\n": "postgresql://certctl@db/certctl",
}


@pytest.mark.parametrize("url", SHOWN)
def test_the_displayed_location_has_no_password(url: str) -> None:
    address = Address.of(url)
    assert address.location == SHOWN[url]
    assert PASSWORD not in repr(address)


@given(st.text(min_size=1, max_size=20), st.sampled_from(["", "?sslmode=disable"]))
def test_any_password_reaches_the_driver_or_is_refused_and_is_never_shown(
    password: str, parameters: str
) -> None:
    secret = f"s3cr3t{password}s3cr3t"
    url = f"postgresql://certctl:{secret}@db:5432/certctl{parameters}"
    refused: StorageError | None = None
    try:
        address = Address.of(url)
    except StorageError as failure:
        refused = failure
    if refused is not None:
        assert "s3cr3t" not in str(refused)
        assert "percent-encoded" in str(refused)
        return
    assert "s3cr3t" not in repr(address)
    assert address.location == "postgresql://certctl@db:5432/certctl"
    account, _, hosts = urlsplit(address.dsn).netloc.partition("@")
    assert hosts == "db:5432"
    assert unquote(account.partition(":")[2]) == unquote(urlsplit(url).netloc.rpartition("@")[0][8:])


@pytest.mark.parametrize("character", [*"@/#?:&=% '\"\\", "ü"])
def test_a_percent_encoded_password_can_have_any_character(character: str) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in character.encode())
    address = Address.of(f"postgresql://certctl:{encoded}{PASSWORD}@db/certctl")
    account = urlsplit(address.dsn).netloc.partition("@")[0]
    assert unquote(account) == f"certctl:{character}{PASSWORD}"


@pytest.mark.parametrize("character", ["/", "#", "?", "?x=", "/x?y="])
def test_a_password_without_the_encoding_is_refused_and_not_repeated(character: str) -> None:
    with pytest.raises(StorageError, match="percent-encoded") as refused:
        Address.of(f"postgresql://certctl:hun{character}ter2@db/certctl")
    assert "hun" not in str(refused.value)
    assert "ter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db:port/certctl",
        "postgresql://db:65536/certctl",
        "postgresql://db/certctl?connect_timeout=soon",
        "postgresql://db/certctl?connect_timeout=inf",
        "postgresql://db/certctl?connect_timeout=99999999999999999",
        "postgresql://db/certctl?sslmode",
    ],
)
def test_an_unreadable_url_is_refused(url: str) -> None:
    with pytest.raises(StorageError, match="can't be read"):
        Address.of(url)


@pytest.mark.parametrize(
    ("timeout", "patience"),
    [
        ("", CONNECT_TIMEOUT),
        ("?connect_timeout=3", timedelta(seconds=3)),
        # To libpq, no timeout.
        ("?connect_timeout=0", CONNECT_TIMEOUT),
        ("?connect_timeout=-1", CONNECT_TIMEOUT),
    ],
)
def test_the_url_sets_the_connect_timeout_but_not_an_infinite_one(timeout: str, patience: timedelta) -> None:
    assert Address.of(f"postgresql://db/certctl{timeout}").connect_timeout == patience


def passed_on(parameters: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(Address.of(f"postgresql://db/certctl?{parameters}").dsn).query))


def test_parameters_of_the_driver_and_the_server_are_passed_on() -> None:
    known = {
        "sslmode": "verify-full",
        "sslrootcert": "/etc/ca.pem",
        "target_session_attrs": "primary",
        "application_name": "ours",
        "options": "-c search_path=certctl",
        "statement_timeout": "1000",
    }
    assert passed_on("&".join(f"{name}={value}" for name, value in known.items())) == known


def test_parameters_of_other_clients_are_dropped() -> None:
    of_go = "pool_max_conns=10&default_query_exec_mode=simple_protocol&statement_cache_capacity=0"
    of_libpq = "channel_binding=prefer&keepalives=1&gssencmode=disable&connect_timeout=5"
    assert passed_on(f"{of_go}&{of_libpq}") == {}


def test_security_parameters_are_never_dropped() -> None:
    """The server rejects those that it doesn't know, so the operator notices at the start."""
    assert passed_on("require_auth=scram-sha-256&requirepeer=postgres") == {
        "require_auth": "scram-sha-256",
        "requirepeer": "postgres",
    }


def test_the_application_name_is_sent_unless_the_url_sets_it_or_there_is_a_pooler() -> None:
    assert Address.of("postgresql://db/certctl").settings["application_name"] == "certctl-mcp"
    assert "application_name" not in Address.of("postgresql://db/certctl?application_name=x").settings
    behind = Address.of("postgresql://db/certctl?pgbouncer=true")
    assert (behind.behind_pooler, behind.settings) == (True, {})
