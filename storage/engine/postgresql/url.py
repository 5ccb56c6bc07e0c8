"""PostgreSQL URLs as people write them, translated for the driver."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from storage.errors import UnsupportedDatabaseError

SCHEMES = ("postgresql", "postgres")

CONNECT_TIMEOUT = timedelta(seconds=10)
"""The default connect timeout."""

_OF_OTHER_CLIENTS = frozenset(
    {
        # Parameters of libpq, which our driver does not use
        "channel_binding",
        "client_encoding",
        "fallback_application_name",
        "gssdelegation",
        "gssencmode",
        "hostaddr",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "max_protocol_version",
        "min_protocol_version",
        "requiressl",
        "sslcertmode",
        "sslcompression",
        "sslcrldir",
        "sslnegotiation",
        "sslsni",
        "tcp_user_timeout",
        # Parameters of Go's driver, which certctl's URL may have
        "binary_parameters",
        "default_query_exec_mode",
        "description_cache_capacity",
        "disable_prepared_binary_result",
        "pool_health_check_period",
        "pool_max_conn_idle_time",
        "pool_max_conn_lifetime",
        "pool_max_conn_lifetime_jitter",
        "pool_max_conns",
        "pool_min_conns",
        "pool_min_idle_conns",
        "statement_cache_capacity",
    }
)
"""Parameters for other clients. The driver would send them to the server, which refuses unknown parameters.
All others are passed on."""

_OF_OURS = {"application_name": "certctl-mcp"}
"""Settings in the startup message if the URL has none. A pooler refuses most others."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(%25\w+)?\]|[^][:@/]*)(:(?P<port>\d{1,5}))?")
_LAST_PORT = 65535

_TRUE = frozenset({"1", "on", "true", "yes"})


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a database."""

    dsn: str = field(repr=False)
    """The URL for the driver. It may contain a password."""
    location: str
    """The URL for people, without secrets."""
    connect_timeout: timedelta = CONNECT_TIMEOUT
    """The timeout for connecting."""
    behind_pooler: bool | None = None
    """Whether each transaction may run on another server connection (PgBouncer in transaction mode). None if
    the URL doesn't specify it: then a pooler is an error."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings of the session, in addition to those in the dsn."""

    @classmethod
    def of(cls, url: str) -> "Address":
        """Raises: UnsupportedDatabaseError, whose message contains no password."""
        try:
            parts = urlsplit(url.strip())
            account, at, hosts = parts.netloc.rpartition("@")
            _check(hosts, parts.path + parts.fragment + ("" if at else parts.query))
            pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
            parameters = dict(pairs)
            timeout = timedelta(seconds=int(parameters.pop("connect_timeout", 0)))
        except (ValueError, OverflowError):
            raise UnsupportedDatabaseError(
                "the database URL can't be read; use postgresql://user:password@host:5432/database, with "
                "characters such as @, / and # in a password percent-encoded"
            ) from None
        pooler = parameters.pop("pgbouncer", None)
        behind_pooler = None if pooler is None else pooler.lower() in _TRUE
        kept = {name: value for name, value in parameters.items() if name not in _OF_OTHER_CLIENTS}
        settings = {} if behind_pooler else {n: v for n, v in _OF_OURS.items() if n not in kept}
        user, colon, password = (quote(unquote(part), safe="") for part in account.partition(":"))
        netloc = f"{user}{unquote(colon)}{password}{at}{hosts}"
        dsn = urlunsplit(("postgresql", netloc, parts.path, urlencode(kept), ""))
        location = _location(unquote(user), hosts, parts.path, kept)
        # For other clients zero or less means no limit, but startup must not wait forever.
        return cls(
            dsn, location, timeout if timeout > timedelta(0) else CONNECT_TIMEOUT, behind_pooler, settings
        )


def _check(hosts: str, rest: str) -> None:
    """Raises: ValueError: the parameters may be part of a password whose special characters were not
    encoded."""
    if "@" in rest:
        raise ValueError
    for host in hosts.split(","):
        found = _HOST.fullmatch(host)
        if found is None or int(found["port"] or 0) > _LAST_PORT:
            raise ValueError


def _location(user: str, hosts: str, path: str, parameters: Mapping[str, str]) -> str:
    user = parameters.get("user") or user
    where = hosts or parameters.get("host", "")
    database = parameters.get("dbname") or parameters.get("database") or path.lstrip("/")
    return f"postgresql://{quote(user)}{'@' if user else ''}{where}/{database}"
