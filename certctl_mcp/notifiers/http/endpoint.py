"""Posts a body to a fixed URL, for all HTTP channels.

A receiver determines only the outcome: it can't redirect us to another host, make us read endlessly, or put a
secret into an error text.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import aiohttp
from yarl import URL

from certctl_mcp.config.network import NetworkSettings
from certctl_mcp.notifiers.base import DeliveryFailedError, delivery_failed
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.http.failures import RequestError, Timeouts, explain
from certctl_mcp.notifiers.http.observed_connection import Exchange, current_exchange
from certctl_mcp.notifiers.http.response import HttpResponse, parse_retry_after
from certctl_mcp.notifiers.network.tls import client_context
from certctl_mcp.text.redaction import redact

_BODY_BYTES = 16 * 1024
"""How much of a response is read; if there is more, the connection is closed."""

_BODY_SECONDS = 1.0
"""How long to wait for the rest of a response, after the status has determined the outcome."""

_MAX_REDIRECTS = 3
_REDIRECTS = {301: False, 302: False, 303: False, 307: True, 308: True}
"""Redirects after which the same request is repeated; with others a POST would become a GET."""

SuccessCheck = Callable[[HttpResponse], str | None]
"""Returns why a 2xx response is not a success after all; None if it is one."""


class Endpoint:
    """A URL to which JSON bodies are posted. Whatever is the same for every post is prepared once."""

    def __init__(
        self,
        client: HttpClient,
        url: str,
        confidential: Iterable[str],
        *,
        headers: Mapping[str, str] | None = None,
        network: NetworkSettings | None = None,
        check: SuccessCheck | None = None,
        gone_is_permanent: bool = False,
    ) -> None:
        """`check` examines 2xx responses; without it, each of them is a success.

        Raises:
            OSError: a certificate file of `network` can't be used.
        """
        network = network or NetworkSettings()
        self._client = client
        # Sent as configured, because a signature in a query must not be encoded again.
        self._url = URL(url, encoded=True)
        self._host = _display_host(self._url)
        self._address = f"{self._url.host_subcomponent}:{self._url.port}"
        self._confidential = tuple(confidential)
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._check = check
        self._gone_is_permanent = gone_is_permanent
        # A channel without its own settings shares the default context, and so its connections.
        self._tls = client_context(network) if network.ca_file or network.client_cert else True
        self._proxy = URL(network.proxy_url) if network.proxy_url else None
        connect = client.timeouts.connect
        if "connect_timeout" in network.model_fields_set:
            connect = min(network.connect_timeout.total_seconds(), client.timeouts.total)
        self._timeouts = Timeouts(connect, client.timeouts.total)
        self._connect_timeout = aiohttp.ClientTimeout(sock_connect=connect)

    async def post(self, body: bytes, headers: Mapping[str, str], *, suffix: str = "") -> None:
        """Deliver `body`. A 2xx status is a success, however the response continues.

        `suffix` is appended to the URL, and must already be percent-encoded.

        Raises:
            DeliveryFailedError: refused, redirected elsewhere, or not answered.
        """
        exchange = Exchange()
        current_exchange.set(exchange)
        url = self._url if not suffix else URL(str(self._url).rstrip("/") + suffix, encoded=True)
        try:
            async with asyncio.timeout(self._timeouts.deadline):
                await self._post_to(url, exchange, body, {**self._headers, **headers})
        except TimeoutError as error:
            if exchange.status is None:
                raise self._unanswered(error) from None
            if not _is_success(exchange.status):
                raise self._refusal(HttpResponse(exchange.status)) from None

    def redacted(self, text: str) -> str:
        """`text` without the secrets of this endpoint."""
        return redact(text, self._confidential)

    async def _post_to(self, url: URL, exchange: Exchange, body: bytes, headers: Mapping[str, str]) -> None:
        for _ in range(_MAX_REDIRECTS + 1):
            redirect = await self._request(url, exchange, body, headers)
            if redirect is None:
                return
            url = redirect
        raise self._failed(f"{self._host} redirected more than {_MAX_REDIRECTS} times")

    async def _request(
        self,
        url: URL,
        exchange: Exchange,
        body: bytes,
        headers: Mapping[str, str],
        *,
        fresh: bool = False,
    ) -> URL | None:
        """Post once. Returns None if delivered, or the URL to which the receiver redirects the post."""
        exchange.begin(None)
        try:
            async with self._client.session(fresh=fresh).post(
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                ssl=self._tls,
                proxy=self._proxy,
                timeout=self._connect_timeout,
            ) as response:
                try:
                    return await self._outcome(url, response, exchange)
                finally:
                    exchange.end()
        except RequestError as error:
            if exchange.status is not None:
                # Nothing but the status could be read.
                if not _is_success(exchange.status):
                    raise self._refusal(HttpResponse(exchange.status)) from None
                return None
            if exchange.reused_connection_failed and not fresh and not isinstance(error, TimeoutError):
                # The receiver closed an idle connection just as we used it, or is sending the rest of an
                # earlier response. If it has read this request after all, it recognises the repeat by its
                # key.
                return await self._request(url, exchange, body, headers, fresh=True)
            raise self._unanswered(error) from None

    async def _outcome(self, url: URL, response: aiohttp.ClientResponse, exchange: Exchange) -> URL | None:
        if response.status in _REDIRECTS:
            return self._redirect(url, response)
        if _is_success(response.status) and self._check is None:
            # If the response was read to its end, the connection can serve the next post.
            if not response.content.is_eof():
                await _start_of_body(response, exchange)
            return None
        body, cut_short = await _start_of_body(response, exchange)
        answer = HttpResponse(
            status=response.status,
            content_type=response.content_type,
            compressed=response.headers.get("Content-Encoding", "identity").lower() != "identity",
            body=body,
            cut_short=cut_short,
            retry_after=parse_retry_after(response.headers.get("Retry-After"), self._client.clock()),
        )
        if not _is_success(answer.status):
            raise self._refusal(answer)
        objection = self._check(answer) if self._check else None
        if objection is not None:
            raise answer.unsuccessful(self._host, objection, self._confidential)
        return None

    def _redirect(self, url: URL, response: aiohttp.ClientResponse) -> URL:
        location = response.headers.get("Location", "")
        try:
            target = url.join(URL(location))
            same_origin = target.origin() == url.origin()
        except ValueError:
            raise self._failed(f"{self._host} redirected to something that is not a URL") from None
        if not same_origin:
            source, destination = self._host, _display_host(target)
            if target.scheme != url.scheme:
                source, destination = f"{url.scheme}://{source}", f"{target.scheme}://{destination}"
            raise self._failed(f"{source} redirected to {destination}, which is not followed")
        if not _REDIRECTS[response.status]:
            raise self._failed(f"{self._host} redirected with {response.status}, which can't repeat a POST")
        return target

    def _refusal(self, answer: HttpResponse) -> DeliveryFailedError:
        return answer.failure(self._host, self._confidential, gone_is_permanent=self._gone_is_permanent)

    def _unanswered(self, error: Exception) -> DeliveryFailedError:
        proxy = f"{self._proxy.host}:{self._proxy.port}" if self._proxy else None
        message, kind = explain(error, self._address, self._timeouts, proxy)
        return delivery_failed(message, self._confidential, kind=kind)

    def _failed(self, message: str) -> DeliveryFailedError:
        return delivery_failed(message, self._confidential, kind=FailureKind.GONE)


async def _start_of_body(response: aiohttp.ClientResponse, exchange: Exchange) -> tuple[bytes, bool]:
    """What has arrived in time, up to the limit; nothing of a body that can't be parsed.

    Also returns whether something is missing.
    """
    body = bytearray()
    cut_short = True
    with suppress(*RequestError):
        async with asyncio.timeout(_BODY_SECONDS):
            while len(body) < _BODY_BYTES:
                chunk = await response.content.read(_BODY_BYTES - len(body))
                if not chunk:
                    break
                body += chunk
        cut_short = False
    return (b"", True) if exchange.malformed else (bytes(body), cut_short)


def _is_success(status: int) -> bool:
    return 200 <= status < 300


def _display_host(url: URL) -> str:
    """The host, with its port unless that is the default. The rest of a webhook's URL is secret."""
    host = url.host_subcomponent or "nowhere"
    return host if url.is_default_port() else f"{host}:{url.explicit_port}"
