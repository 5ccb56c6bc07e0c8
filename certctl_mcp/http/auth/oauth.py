"""OAuth 2.1 access tokens for MCP, verified with the issuer's published keys.

This is a resource server: it verifies tokens but doesn't issue them. A token must have been issued for this
resource, and its scopes determine what its caller may do.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from mcp.server.auth.settings import AuthSettings
from starlette.routing import Route

from certctl_mcp.config.api_keys import Role
from certctl_mcp.config.http_settings import HttpSettings
from certctl_mcp.http.auth.issuer_keys import IssuerKeys
from certctl_mcp.http.auth.principal import Caller

logger = logging.getLogger(__name__)

READ, WRITE, ADMIN = "notifications:read", "notifications:write", "notifications:admin"
SCOPES = (READ, WRITE, ADMIN)

_ROLES = ((ADMIN, Role.ADMIN), (WRITE, Role.OPERATOR), (READ, Role.READER))
"""The first scope in this order that a token has determines its role."""

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Only asymmetric algorithms: with HS256 the public key, which anyone can fetch, would be the signing
secret."""

_CLOCK_SKEW = 30
_MAX_TOKEN = 16_384
_MAX_NAME = 100


class IssuedTokens(TokenVerifier):
    """Verifies the tokens of one issuer for one resource."""

    def __init__(self, issuer: str, resource: str, jwks_url: str | None) -> None:
        self._issuer = issuer
        self._resource = resource
        self._keys = IssuerKeys(issuer, jwks_url)

    async def verify_token(self, token: str) -> AccessToken | None:
        return await self.verify(token)

    async def verify(self, token: str, *, may_fetch: bool = True) -> AccessToken | None:
        """The verified token, or None if it is not valid here.

        `may_fetch`: whether keys may be fetched for a token that names an unknown one.

        Raises:
            IssuerUnavailableError: the issuer's keys can't be fetched.
        """
        if len(token) > _MAX_TOKEN or token.count(".") != 2:
            return None
        try:
            named = jwt.get_unverified_header(token).get("kid")
            key = await self._keys.find(named, may_fetch=may_fetch) if isinstance(named, str) else None
            if key is None:
                logger.info("rejected an access token: it names no key of the issuer")
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=list(_ALGORITHMS),
                audience=self._resource,
                issuer=self._issuer,
                leeway=_CLOCK_SKEW,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, ValueError) as error:
            logger.info("rejected an access token: %s", error)
            return None
        return self._access_token(token, claims)

    def _access_token(self, token: str, claims: dict[str, Any]) -> AccessToken:
        subject = claims.get("sub")
        client = claims.get("client_id") or claims.get("azp") or subject or "unknown"
        return AccessToken(
            token=token,
            client_id=str(client),
            scopes=_scopes(claims),
            # The SDK checks the expiry again, without leeway.
            expires_at=int(claims["exp"]) + _CLOCK_SKEW,
            resource=self._resource,
            subject=None if subject is None else str(subject),
            claims={"iss": self._issuer},
        )


def caller_from_token(token: AccessToken) -> Caller | None:
    """The caller; None if the token has none of our scopes."""
    role = next((role for scope, role in _ROLES if scope in token.scopes), None)
    if role is None:
        return None
    who = (
        token.client_id if token.subject in (None, token.client_id) else f"{token.client_id}/{token.subject}"
    )
    # Key names have no colon, so this can't be one.
    return Caller(f"oauth:{who}"[:_MAX_NAME], role)


@dataclass(frozen=True, slots=True)
class ProtectedResource:
    """`/mcp` as a protected resource (RFC 9728): its verifier, metadata URL and metadata routes."""

    tokens: IssuedTokens
    metadata_url: str
    routes: Sequence[Route]


def protected_resource(http: HttpSettings) -> ProtectedResource | None:
    """None if no issuer is configured."""
    if http.oauth_issuer is None or http.oauth_resource is None:
        return None
    settings = AuthSettings.model_validate(
        {
            "issuer_url": http.oauth_issuer,
            "resource_server_url": http.oauth_resource,
            # `IssuedTokens` checks the audience.
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
    """The scopes from `scope`, as in the standard, or from `scp`, which some issuers use."""
    found = claims.get("scope", claims.get("scp", ""))
    names = found.split() if isinstance(found, str) else found
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
