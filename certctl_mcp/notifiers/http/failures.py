"""Failures of requests without an HTTP response: a sentence and a kind for each."""

from dataclasses import dataclass

import aiohttp

from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.network.os_errors import os_reason


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds until a connection must be established, and until the response must have arrived."""

    connect: float
    total: float

    @property
    def deadline(self) -> float:
        """The timeout, which ends just before that of the caller, who limits an attempt to the same time."""
        return self.total * 0.98


# The first matching type counts, so special cases come before general ones. No sentence quotes the library's
# own text for an error, because that repeats the URL.
_SENTENCES: tuple[tuple[type[Exception], str, FailureKind], ...] = (
    (
        aiohttp.ClientConnectorCertificateError,
        "the TLS certificate of {address} is not trusted: {reason}",
        FailureKind.TLS,
    ),
    (aiohttp.ClientConnectorSSLError, "TLS with {address} failed: {reason}", FailureKind.TLS),
    (
        aiohttp.ClientHttpProxyError,
        "the proxy {proxy} answered {status} when asked to connect to {address}",
        FailureKind.PROXY,
    ),
    (
        aiohttp.ClientProxyConnectionError,
        "the connection to the proxy {proxy} failed: {reason}",
        FailureKind.PROXY,
    ),
    (
        aiohttp.ClientConnectorDNSError,
        "the name of {address} could not be resolved: {reason}",
        FailureKind.DNS,
    ),
    (
        aiohttp.ClientConnectorError,
        "the connection to {address} failed: {reason}",
        FailureKind.CONNECTION,
    ),
    (
        aiohttp.ConnectionTimeoutError,
        "no connection to {address} within {connect:g} s",
        FailureKind.TIMEOUT,
    ),
    (TimeoutError, "no answer from {address} within {total:g} s", FailureKind.TIMEOUT),
    (
        aiohttp.ServerDisconnectedError,
        "{address} closed the connection without an answer",
        FailureKind.CONNECTION,
    ),
    (OSError, "the connection to {address} broke: {reason}", FailureKind.CONNECTION),
    (
        aiohttp.ClientResponseError,
        "{address} answered something that is not HTTP",
        FailureKind.SETUP,
    ),
    (aiohttp.ClientError, "the request to {address} failed ({type})", FailureKind.UNKNOWN),
)

RequestError = (aiohttp.ClientError, OSError)
"""What a request can raise; timeouts are OSErrors."""


def explain(
    error: Exception, address: str, timeouts: Timeouts, proxy: str | None = None
) -> tuple[str, FailureKind]:
    """A sentence for a person, and the kind of failure. `address` and `proxy` are host and port."""
    template, kind = next(
        (sentence, kind) for type_, sentence, kind in _SENTENCES if isinstance(error, type_)
    )
    sentence = template.format(
        address=address,
        reason=_reason(error),
        type=type(error).__name__,
        proxy=proxy,
        status=error.status if isinstance(error, aiohttp.ClientResponseError) else None,
        connect=timeouts.connect,
        total=timeouts.total,
    )
    return sentence, kind


def _reason(error: Exception) -> str:
    cause = error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
    return os_reason(cause)
