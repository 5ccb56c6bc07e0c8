"""The operator's network for Apprise, whose services call `requests` without a proxy or a client certificate.

`requests` takes both from a session, so its session class is replaced by one that uses the network of its
thread. It also records why a request failed, which Apprise only writes to its debug log.
"""

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NameResolutionError

from certctl_mcp.config.network import NetworkSettings
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.network.os_errors import os_reason
from certctl_mcp.notifiers.network.tls import client_context

_REFUSED_TUNNEL = re.compile(r"Tunnel connection failed: (?P<status>[0-9]{3})")

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a room was not reached."""

    sentence: str
    kind: FailureKind | None

    @property
    def is_permanent(self) -> bool:
        return self.kind is not None and self.kind.is_permanent


@dataclass(slots=True)
class _ActiveNetwork:
    """How a thread's requests reach their receivers."""

    network: "AppriseNetwork"
    causes: list[Cause] = field(default_factory=list)


_active: ContextVar[_ActiveNetwork | None] = ContextVar("active", default=None)


class AppriseNetwork:
    """The network of one channel.

    Raises:
        OSError: a certificate file can't be used.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        self.proxy = settings.proxy_url
        self.ignores_environment = settings.proxy is not None
        self.tls = client_context(settings) if settings.ca_file or settings.client_cert else None

    @contextmanager
    def activated(self) -> Iterator[list[Cause]]:
        """Within the context, this thread's requests use this network. Yields the reasons for failures."""
        active = _ActiveNetwork(self)
        token = _active.set(active)
        try:
            yield active.causes
        finally:
            _active.reset(token)


class _Session(requests.Session):
    def __init__(self) -> None:
        super().__init__()
        active = _active.get()
        if active is None:
            return
        network = active.network
        if network.ignores_environment:
            self.trust_env = False
        if network.proxy is not None:
            self.proxies = {"http": network.proxy, "https": network.proxy}
        if network.tls is not None:
            self.mount("https://", _Adapter(network.tls))

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        try:
            return super().send(request, **options)
        except requests.RequestException as error:
            if (active := _active.get()) is not None:
                active.causes.append(_cause(error, _address(request.url or ""), options))
            raise


# The functions of `requests`, which the services call, look the class up here.
requests.Session = requests.sessions.Session = _Session  # type: ignore[misc]


class _Adapter(HTTPAdapter):
    """Connects with our own TLS context."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, ssl_context=self._tls)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **options, ssl_context=self._tls)


def _cause(error: Exception, address: str, options: dict[str, Any]) -> Cause:
    root = _root(error)
    if isinstance(error, requests.exceptions.ProxyError):
        proxy = _address(next(iter(options.get("proxies", {}).values()), ""))
        if refused := _REFUSED_TUNNEL.search(str(root)):
            status = refused["status"]
            said = f"the proxy {proxy} answered {status} when asked to connect to {address}"
        else:
            said = f"the connection to the proxy {proxy} failed: {os_reason(root)}"
        return Cause(said, FailureKind.PROXY)
    if isinstance(root, ssl.SSLCertVerificationError):
        said = f"the TLS certificate of {address} is not trusted: {os_reason(root)}"
        return Cause(said, FailureKind.TLS)
    if isinstance(error, requests.exceptions.SSLError):
        return Cause(f"TLS with {address} failed: {os_reason(root)}", FailureKind.TLS)
    if isinstance(root, socket.gaierror | NameResolutionError):
        said = f"the name of {address} could not be resolved: {os_reason(root)}"
        return Cause(said, FailureKind.DNS)
    if isinstance(error, requests.Timeout):
        connect, read = _seconds(options.get("timeout"))
        # For `urllib3`, waiting for the handshake is part of waiting for the response.
        if isinstance(error, requests.ConnectTimeout) or "handshake" in str(root):
            return Cause(f"no connection to {address} within {connect:g} s", FailureKind.TIMEOUT)
        return Cause(f"no answer from {address} within {read:g} s", FailureKind.TIMEOUT)
    return Cause(f"the connection to {address} failed: {os_reason(root)}", FailureKind.CONNECTION)


def _root(error: BaseException) -> BaseException:
    """The operating system's error behind the libraries' own errors."""
    seen = error
    while True:
        wrapped = getattr(seen, "reason", None)
        inner = next((each for each in (wrapped, *seen.args) if isinstance(each, BaseException)), None)
        inner = inner or seen.__cause__ or seen.__context__
        if inner is None or type(seen).__module__.partition(".")[0] not in ("requests", "urllib3"):
            return seen
        seen = inner


def _seconds(timeout: object) -> tuple[float, float]:
    match timeout:
        case (int() | float() as connect, int() | float() as read):
            return connect, read
        case int() | float():
            return timeout, timeout
    return float("inf"), float("inf")


def _address(url: str) -> str:
    """Host and port of a URL that a library has parsed."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)}"
