"""Whose is an access token? An issuer's keys tell, which are fetched from where its metadata say.

The server is a resource server of OAuth 2.1: it verifies tokens for MCP and issues none. A token must have
been issued for this very resource, and what its caller may do is what its scopes say.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import anyio
import anyio.to_thread
import jwt
from mcp.client.auth.utils import build_oauth_authorization_server_metadata_discovery_urls
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from mcp.server.auth.settings import AuthSettings
from pydantic import BaseModel, ValidationError
from starlette.routing import Route

from certctl_mcp.config.api_keys import Role
from certctl_mcp.config.http_settings import HttpSettings
from certctl_mcp.http.auth.principal import Caller

logger = logging.getLogger(__name__)

READ, WRITE, ADMIN = "notifications:read", "notifications:write", "notifications:admin"
SCOPES = (READ, WRITE, ADMIN)

_ROLES = ((ADMIN, Role.ADMIN), (WRITE, Role.OPERATOR), (READ, Role.READER))
"""The first scope that a token has tells."""

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those with a public key. With a shared secret, the key that everybody may fetch would sign too."""

_CLOCKS_DIFFER_BY = 30
_ANSWERS_WITHIN = 10
_WAITED_FOR = 15
_LONGEST_TOKEN = 16_384
_LONGEST_NAME = 100


class IssuerUnavailableError(Exception):
    """Its keys can't be had now, so that nobody knows whether the token is good."""


class IssuedTokens(TokenVerifier):
    """Verifies the tokens of one issuer for one resource."""

    def __init__(self, issuer: str, resource: str, jwks_url: str | None) -> None:
        self._issuer = issuer
        self._resource = resource
        self._jwks_url = jwks_url
        self._keys: jwt.PyJWKClient | None = None
        self._fetching = anyio.Lock()

    async def verify_token(self, token: str) -> AccessToken | None:
        """The token with what it says, or None where it is good for nothing here.

        Raises:
            IssuerUnavailableError: the issuer's keys can't be had.
        """
        if len(token) > _LONGEST_TOKEN or token.count(".") != 2:
            return None
        try:
            # An unknown key has the keys fetched, which is to happen once for all who wait for it.
            with anyio.fail_after(_WAITED_FOR):
                async with self._fetching:
                    keys = await self._issuer_s_keys()
                    key = await anyio.to_thread.run_sync(
                        keys.get_signing_key_from_jwt, token, abandon_on_cancel=True
                    )
            claims = jwt.decode(
                token,
                key,
                algorithms=list(_ALGORITHMS),
                audience=self._resource,
                issuer=self._issuer,
                leeway=_CLOCKS_DIFFER_BY,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWKClientConnectionError, TimeoutError) as failure:
            logger.warning("the keys of %s can't be fetched: %s", self._issuer, failure)
            raise IssuerUnavailableError from failure
        except (jwt.PyJWTError, ValueError) as refused:
            logger.info("an access token is refused: %s", refused)
            return None
        return self._told_by(token, claims)

    def _told_by(self, token: str, claims: dict[str, Any]) -> AccessToken:
        subject = claims.get("sub")
        client = claims.get("client_id") or claims.get("azp") or subject or "unknown"
        return AccessToken(
            token=token,
            client_id=str(client),
            scopes=_scopes(claims),
            # Within what clocks may differ by it counts as good, also for the SDK.
            expires_at=int(claims["exp"]) + _CLOCKS_DIFFER_BY,
            resource=self._resource,
            subject=None if subject is None else str(subject),
            claims={"iss": self._issuer},
        )

    async def _issuer_s_keys(self) -> jwt.PyJWKClient:
        if self._keys is None:
            url = self._jwks_url or await _discovered(self._issuer)
            self._keys = jwt.PyJWKClient(url, timeout=_ANSWERS_WITHIN)
        return self._keys


def caller_by(token: AccessToken) -> Caller | None:
    """Who calls; None where no scope of ours allows anything."""
    role = next((role for scope, role in _ROLES if scope in token.scopes), None)
    if role is None:
        return None
    who = (
        token.client_id if token.subject in (None, token.client_id) else f"{token.client_id}/{token.subject}"
    )
    # No key's name has a colon.
    return Caller(f"oauth:{who}"[:_LONGEST_NAME], role)


@dataclass(frozen=True, slots=True)
class ProtectedResource:
    """`/mcp`, as clients learn of it that look for somebody who gives them a token."""

    tokens: TokenVerifier
    metadata_url: str
    routes: Sequence[Route]


def protected_resource(http: HttpSettings) -> ProtectedResource | None:
    """None where no issuer is configured."""
    if http.oauth_issuer is None or http.oauth_resource is None:
        return None
    settings = AuthSettings.model_validate(
        {
            "issuer_url": http.oauth_issuer,
            "resource_server_url": http.oauth_resource,
            # Whom a token was issued for is looked at with all else in it.
            "validate_token_resource": False,
        }
    )
    assert settings.resource_server_url is not None
    routes = create_protected_resource_routes(
        settings.resource_server_url,
        [settings.issuer_url],
        scopes_supported=list(SCOPES),
        resource_name="certctl notifications",
    )
    return ProtectedResource(
        IssuedTokens(http.oauth_issuer, http.oauth_resource, http.oauth_jwks_url),
        str(build_resource_metadata_url(settings.resource_server_url)),
        routes,
    )


def _scopes(claims: dict[str, Any]) -> list[str]:
    """As the standard has them, or as some issuers write them."""
    found = claims.get("scope", claims.get("scp", ""))
    names = found.split() if isinstance(found, str) else found
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


class _Metadata(BaseModel):
    """Of an issuer's metadata what is asked here."""

    issuer: str
    jwks_uri: str


async def _discovered(issuer: str) -> str:
    """Where the issuer's metadata say its keys are. Raises: IssuerUnavailableError."""
    timeout = aiohttp.ClientTimeout(total=_ANSWERS_WITHIN)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for url in build_oauth_authorization_server_metadata_discovery_urls(issuer, issuer):
            try:
                async with session.get(url, allow_redirects=False) as answer:
                    if answer.status != 200:
                        continue
                    metadata = _Metadata.model_validate_json(await answer.read())
            except (aiohttp.ClientError, TimeoutError, ValidationError) as failure:
                logger.warning("the metadata at %s can't be used: %s", url, type(failure).__name__)
                continue
            if metadata.issuer == issuer:
                return metadata.jwks_uri
            logger.warning("the metadata at %s are not those of %s", url, issuer)
    raise IssuerUnavailableError
