"""Why was there no HTTP answer at all? One sentence for each way a request can break."""

from dataclasses import dataclass

import aiohttp

from certctl_mcp.notifiers.os_errors import os_reason


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds until a connection must stand, and until the answer must be there."""

    connect: float
    total: float


# The first type that fits counts, so the particular ones stand before the general. None of the sentences
# holds the library's own words for an error: those repeat the URL.
_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorCertificateError, "the TLS certificate of {address} is not trusted: {reason}"),
    (aiohttp.ClientConnectorSSLError, "TLS with {address} failed: {reason}"),
    (aiohttp.ClientConnectorDNSError, "the name of {address} could not be resolved: {reason}"),
    (aiohttp.ClientConnectorError, "the connection to {address} failed: {reason}"),
    (aiohttp.ConnectionTimeoutError, "no connection to {address} within {connect:g} s"),
    (TimeoutError, "no answer from {address} within {total:g} s"),
    (aiohttp.ServerDisconnectedError, "{address} closed the connection without an answer"),
    (OSError, "the connection to {address} broke: {reason}"),
    (aiohttp.ClientResponseError, "{address} answered something that is not HTTP"),
    (aiohttp.ClientError, "the request to {address} failed ({type})"),
)

RequestError = (aiohttp.ClientError, OSError)
"""What a request can raise; time-outs are OSErrors."""


def explain(error: Exception, address: str, timeouts: Timeouts) -> str:
    """A sentence for a person. `address` is host and port."""
    template = next(sentence for kind, sentence in _SENTENCES if isinstance(error, kind))
    return template.format(
        address=address,
        reason=_reason(error),
        type=type(error).__name__,
        connect=timeouts.connect,
        total=timeouts.total,
    )


def _reason(error: Exception) -> str:
    cause = error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
    return os_reason(cause)
