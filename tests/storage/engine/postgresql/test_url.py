"""URLs as people write them, of certctl, libpq, Go and Python, lead to the database, and show no secret."""

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
def test_people_are_shown_where_it_is_and_no_password(url: str) -> None:
    address = Address.of(url)
    assert address.location == SHOWN[url]
    assert PASSWORD not in repr(address)


@given(st.text(min_size=1, max_size=20), st.sampled_from(["", "?sslmode=disable"]))
def test_whatever_the_password_is_it_reaches_the_driver_or_is_refused_and_is_never_shown(
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


@pytest.mark.parametrize("sign", [*"@/#?:&=% '\"\\", "ü"])
def test_a_password_that_is_percent_encoded_may_have_any_sign(sign: str) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in sign.encode())
    address = Address.of(f"postgresql://certctl:{encoded}{PASSWORD}@db/certctl")
    account = urlsplit(address.dsn).netloc.partition("@")[0]
    assert unquote(account) == f"certctl:{sign}{PASSWORD}"


@pytest.mark.parametrize("sign", ["/", "#", "?", "?x=", "/x?y="])
def test_one_that_is_not_is_refused_and_not_repeated(sign: str) -> None:
    with pytest.raises(StorageError, match="percent-encoded") as refused:
        Address.of(f"postgresql://certctl:hun{sign}ter2@db/certctl")
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
def test_what_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(StorageError, match="can't be read"):
        Address.of(url)


@pytest.mark.parametrize(
    ("timeout", "patience"),
    [
        ("", CONNECT_TIMEOUT),
        ("?connect_timeout=3", timedelta(seconds=3)),
        # Without end, to libpq.
        ("?connect_timeout=0", CONNECT_TIMEOUT),
        ("?connect_timeout=-1", CONNECT_TIMEOUT),
    ],
)
def test_a_start_waits_as_long_as_the_url_says_but_not_for_ever(timeout: str, patience: timedelta) -> None:
    assert Address.of(f"postgresql://db/certctl{timeout}").connect_timeout == patience


def passed_on(parameters: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(Address.of(f"postgresql://db/certctl?{parameters}").dsn).query))


def test_what_the_driver_or_the_server_knows_is_passed_on() -> None:
    known = {
        "sslmode": "verify-full",
        "sslrootcert": "/etc/ca.pem",
        "target_session_attrs": "primary",
        "application_name": "ours",
        "options": "-c search_path=certctl",
        "statement_timeout": "1000",
    }
    assert passed_on("&".join(f"{name}={value}" for name, value in known.items())) == known


def test_what_only_other_clients_know_is_not() -> None:
    of_go = "pool_max_conns=10&default_query_exec_mode=simple_protocol&statement_cache_capacity=0"
    of_libpq = "channel_binding=prefer&keepalives=1&gssencmode=disable&connect_timeout=5"
    assert passed_on(f"{of_go}&{of_libpq}") == {}


def test_what_would_protect_is_never_left_out() -> None:
    """The server refuses what it does not know, and the start tells."""
    assert passed_on("require_auth=scram-sha-256&requirepeer=postgres") == {
        "require_auth": "scram-sha-256",
        "requirepeer": "postgres",
    }


def test_the_server_is_told_who_it_is_unless_the_url_or_a_pooler_says_otherwise() -> None:
    assert Address.of("postgresql://db/certctl").settings["application_name"] == "certctl-mcp"
    assert "application_name" not in Address.of("postgresql://db/certctl?application_name=x").settings
    behind = Address.of("postgresql://db/certctl?pgbouncer=true")
    assert (behind.behind_pooler, behind.settings) == (True, {})
