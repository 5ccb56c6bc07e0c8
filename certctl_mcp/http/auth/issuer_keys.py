"""The public keys of a token issuer, cached, and fetched once for all requests that need them.

While the issuer hangs, tokens signed with a cached key are accepted at once.
"""

import logging
import time

import aiohttp
import anyio
import jwt
from mcp.client.auth.utils import build_oauth_authorization_server_metadata_discovery_urls
from pydantic import BaseModel, ValidationError

logger = logging.getLogger(__name__)

FRESH = 300.0
"""Seconds after which the keys are fetched again, which is how a withdrawn key becomes invalid."""

STALE = 3600.0
"""Seconds for which keys are used while the issuer can't be reached."""

COOLDOWN = 30.0
"""The least number of seconds between two fetches, whatever tokens claim."""

_REQUEST_TIMEOUT = 10
_FETCH_TIMEOUT = 15
_REFRESH_TIMEOUT = 2
"""Seconds that a request with a known key may spend on fetching newer ones."""
_MAX_DOCUMENT = 1024 * 1024


class IssuerUnavailableError(Exception):
    """The issuer's keys can't be fetched, so the token can't be verified."""


class IssuerKeys:
    """The keys that an issuer publishes, by their ids."""

    def __init__(self, issuer: str, jwks_url: str | None) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = -STALE
        self._tried_at = -COOLDOWN
        self._failed = False
        self._fetching = anyio.Lock()

    async def find(self, kid: str, *, may_fetch: bool) -> jwt.PyJWK | None:
        """The key, or None if the issuer has no key with this id.

        Raises:
            IssuerUnavailableError: the key is not known, and the keys can't be fetched.
        """
        known = self._keys.get(kid)
        age = time.monotonic() - self._fetched_at
        if known is not None and age < STALE:
            if age >= FRESH and may_fetch and self._may_try() and not self._fetching.locked():
                with anyio.move_on_after(_REFRESH_TIMEOUT):
                    await self._fetch_if_possible()
                known = self._keys.get(kid)
            return known
        if may_fetch:
            with anyio.move_on_after(_FETCH_TIMEOUT):
                async with self._fetching:
                    # Another request may have fetched it meanwhile.
                    if kid not in self._keys or time.monotonic() - self._fetched_at >= STALE:
                        await self._fetch_if_possible()
        found = self._keys.get(kid) if time.monotonic() - self._fetched_at < STALE else None
        if found is None and self._failed:
            raise IssuerUnavailableError
        return found

    def _may_try(self) -> bool:
        return time.monotonic() - self._tried_at >= COOLDOWN

    async def _fetch_if_possible(self) -> None:
        if not self._may_try():
            return
        self._tried_at = time.monotonic()
        self._failed = True
        timeout = aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session:
                if self._jwks_url is None:
                    self._jwks_url = await _discovered(self._issuer, session)
                keys = jwt.PyJWKSet.from_json((await _body_of(self._jwks_url, session)).decode())
        except IssuerUnavailableError:
            return
        except (aiohttp.ClientError, TimeoutError, jwt.PyJWTError, ValueError) as failure:
            reason = str(failure) or type(failure).__name__
            logger.warning("can't fetch the keys of %s: %s", self._issuer, reason)
            return
        usable = {key.key_id: key for key in keys.keys if key.public_key_use in ("sig", None)}
        self._keys = {kid: key for kid, key in usable.items() if kid is not None}
        self._fetched_at = time.monotonic()
        self._failed = False


class _Metadata(BaseModel):
    """The part of the issuer's metadata that is used here."""

    issuer: str
    jwks_uri: str


async def _discovered(issuer: str, session: aiohttp.ClientSession) -> str:
    """The JWKS URL from the issuer's metadata. Raises: IssuerUnavailableError."""
    for url in build_oauth_authorization_server_metadata_discovery_urls(issuer, issuer):
        try:
            metadata = _Metadata.model_validate_json(await _body_of(url, session))
        except (aiohttp.ClientError, TimeoutError, ValidationError) as failure:
            logger.warning("can't use the metadata at %s: %s", url, type(failure).__name__)
            continue
        if metadata.issuer == issuer:
            return metadata.jwks_uri
        logger.warning("the metadata at %s name another issuer than %s", url, issuer)
    raise IssuerUnavailableError


async def _body_of(url: str, session: aiohttp.ClientSession) -> bytes:
    async with session.get(url, allow_redirects=False, raise_for_status=True) as response:
        body = await response.content.read(_MAX_DOCUMENT)
        while len(body) < _MAX_DOCUMENT and (more := await response.content.read(_MAX_DOCUMENT - len(body))):
            body += more
        return body
