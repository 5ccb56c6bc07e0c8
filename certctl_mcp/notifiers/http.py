"""Posting a body to a fixed URL; every HTTP channel uses this.

A receiver decides only the outcome: it can't redirect us to another host, make us read endlessly, or get a
secret into an error text.
"""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta

import aiohttp
from yarl import URL

import certctl_mcp
from certctl_mcp.notifiers.base import DeliveryFailedError, delivery_failed
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.http_failures import RequestError, Timeouts, explain
from certctl_mcp.notifiers.http_response import HttpResponse, parse_retry_after
from storage.clock import Clock, utc_now

_ANSWER_BYTES = 16 * 1024
"""Of an answer this much is read; a connection with more to come is closed."""

_ANSWER_SECONDS = 1.0
"""The status has decided; for the rest of the answer an attempt waits no longer."""

_MAX_REDIRECTS = 3
_REDIRECTS = {301: False, 302: False, 303: False, 307: True, 308: True}
"""Whether the same request is meant to be sent again; after the others a POST would become a GET."""

_KEEP_ALIVE_SECONDS = 30
_DNS_CACHE_SECONDS = 30


class HttpClient:
    """The connections that all HTTP channels of the process share, opened at the first request."""

    def __init__(
        self,
        *,
        connections: int,
        connect_timeout: timedelta,
        send_timeout: timedelta,
        clock: Clock = utc_now,
    ) -> None:
        self.timeouts = Timeouts(connect_timeout.total_seconds(), send_timeout.total_seconds())
        self.clock = clock
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connections,
                    keepalive_timeout=_KEEP_ALIVE_SECONDS,
                    ttl_dns_cache=_DNS_CACHE_SECONDS,
                ),
                timeout=aiohttp.ClientTimeout(total=self.timeouts.total, sock_connect=self.timeouts.connect),
                cookie_jar=aiohttp.DummyCookieJar(),
                # A few bytes may unpack to gigabytes; errors are short enough to come as they are.
                auto_decompress=False,
                headers={
                    "Accept-Encoding": "identity",
                    "User-Agent": f"certctl-mcp/{certctl_mcp.__version__}",
                },
            )
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


class Endpoint:
    """One URL that JSON bodies are posted to. Everything that is the same for every post is made once."""

    def __init__(
        self,
        client: HttpClient,
        url: str,
        confidential: Iterable[str],
        *,
        headers: Mapping[str, str] | None = None,
        gone_is_permanent: bool = False,
        tls: ssl.SSLContext | bool = True,
    ) -> None:
        self._client = client
        # Sent as it was configured: a signature in a query must not be encoded anew.
        self._url = URL(url, encoded=True)
        self._host = _shown(self._url)
        self._address = f"{self._url.host_subcomponent}:{self._url.port}"
        self._confidential = tuple(confidential)
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._gone_is_permanent = gone_is_permanent
        self._tls = tls

    async def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Deliver `body`; any 2xx is a success.

        Raises:
            DeliveryFailedError: refused, redirected elsewhere, or no answer.
        """
        url = self._url
        for _ in range(_MAX_REDIRECTS + 1):
            onward = await self._request(url, body, headers)
            if onward is None:
                return
            url = onward
        raise self._failed(f"{self._host} redirected more than {_MAX_REDIRECTS} times")

    async def _request(self, url: URL, body: bytes, headers: Mapping[str, str]) -> URL | None:
        """Post once. None: delivered. A URL: where the receiver wants it posted instead."""
        try:
            async with self._client.session.post(
                url, data=body, headers={**self._headers, **headers}, allow_redirects=False, ssl=self._tls
            ) as response:
                if 200 <= response.status < 300:
                    # A connection whose answer was read whole serves the next post.
                    if not response.content.is_eof():
                        await _start_of_body(response)
                    return None
                if response.status in _REDIRECTS:
                    return self._redirect(url, response)
                raise await self._refused(response)
        except RequestError as error:
            message, kind = explain(error, self._address, self._client.timeouts)
            raise self._failed(message, kind) from None

    def _redirect(self, url: URL, response: aiohttp.ClientResponse) -> URL:
        location = response.headers.get("Location", "")
        try:
            target = url.join(URL(location))
            same_origin = target.origin() == url.origin()
        except ValueError:
            raise self._failed(f"{self._host} redirected to what is no URL") from None
        if not same_origin:
            raise self._failed(f"{self._host} redirected to {_shown(target)}, which is not followed")
        if not _REDIRECTS[response.status]:
            raise self._failed(f"{self._host} redirected with {response.status}, which can't repeat a POST")
        return target

    async def _refused(self, response: aiohttp.ClientResponse) -> DeliveryFailedError:
        answer = HttpResponse(
            status=response.status,
            content_type=response.content_type,
            compressed=response.headers.get("Content-Encoding", "identity").lower() != "identity",
            body=await _start_of_body(response),
            retry_after=parse_retry_after(response.headers.get("Retry-After"), self._client.clock()),
        )
        return answer.failure(self._host, self._confidential, gone_is_permanent=self._gone_is_permanent)

    def _failed(self, message: str, kind: FailureKind = FailureKind.GONE) -> DeliveryFailedError:
        return delivery_failed(message, self._confidential, kind=kind)


async def _start_of_body(response: aiohttp.ClientResponse) -> bytes:
    """At most the bound, and what has arrived in time: the status counts whatever becomes of the body."""
    body = bytearray()
    with suppress(*RequestError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            while len(body) < _ANSWER_BYTES:
                chunk = await response.content.read(_ANSWER_BYTES - len(body))
                if not chunk:
                    break
                body += chunk
    return bytes(body)


def _shown(url: URL) -> str:
    """The host, with its port where that is not the usual one. The rest of a webhook's URL is a secret."""
    host = url.host_subcomponent or "nowhere"
    return host if url.is_default_port() else f"{host}:{url.explicit_port}"
