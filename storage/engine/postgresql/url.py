"""Where is a PostgreSQL database? URLs as people write them, made into what its driver takes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from storage.errors import StorageError

SCHEMES = ("postgresql", "postgres")

PATIENCE = timedelta(seconds=10)
"""How long a connection may take, where the URL says nothing of it."""

_OF_OTHER_CLIENTS = frozenset(
    {
        # libpq's, which the driver here has no use for
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
        # Go's, as certctl may have them
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
"""Parameters that mean something to another client; the driver would send them to the server, which refuses
what it does not know. All others are passed on."""

_OF_OURS = {"application_name": "certctl-mcp"}
"""Settings with which a connection begins where the URL has none. A pooler refuses most others."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(%25\w+)?\]|[^][:@/]*)(:(?P<port>\d{1,5}))?")
_LAST_PORT = 65535

_TRUE = frozenset({"1", "on", "true", "yes"})


@dataclass(frozen=True, slots=True)
class Address:
    """A database and how to get there."""

    dsn: str = field(repr=False)
    """For the driver. May hold a password."""
    shown: str
    """For people, without secrets."""
    patience: timedelta = PATIENCE
    """How long a connection may take."""
    behind_pooler: bool | None = None
    """Each transaction may run on another of the server's connections (PgBouncer in transaction mode). None
    where the URL says nothing of it: then there is to be no pooler."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the session, beside those in the dsn."""

    @classmethod
    def of(cls, url: str) -> "Address":
        """Raises: StorageError, which repeats no password."""
        try:
            parts = urlsplit(url.strip())
            account, at, hosts = parts.netloc.rpartition("@")
            _check(hosts, parts.path + parts.fragment + ("" if at else parts.query))
            asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
            parameters = dict(asked)
            patience = timedelta(seconds=int(parameters.pop("connect_timeout", 0)))
        except (ValueError, OverflowError):
            raise StorageError(
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
        shown = _shown(unquote(user), hosts, parts.path, kept)
        # None and less mean no end to other clients, which nobody wants who waits for a start.
        return cls(dsn, shown, patience if patience > timedelta(0) else PATIENCE, behind_pooler, settings)


def _check(hosts: str, rest: str) -> None:
    """Raises: ValueError, where they may be part of a password, with signs that mean something in a URL."""
    if "@" in rest:
        raise ValueError
    for host in hosts.split(","):
        found = _HOST.fullmatch(host)
        if found is None or int(found["port"] or 0) > _LAST_PORT:
            raise ValueError


def _shown(user: str, hosts: str, path: str, parameters: Mapping[str, str]) -> str:
    user = parameters.get("user") or user
    where = hosts or parameters.get("host", "")
    database = parameters.get("dbname") or parameters.get("database") or path.lstrip("/")
    return f"postgresql://{quote(user)}{'@' if user else ''}{where}/{database}"
