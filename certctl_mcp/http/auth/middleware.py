"""Authentication: identifies the caller by the bearer token in the Authorization header, or by a cookie."""

import hashlib
import hmac
import logging
from collections.abc import Sequence

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from certctl_mcp.config.api_keys import ApiKey, Role
from certctl_mcp.http.auth.browser_sessions import BrowserSessions
from certctl_mcp.http.auth.issuer_keys import IssuerUnavailableError
from certctl_mcp.http.auth.oauth import (
    READ,
    SCOPES,
    ProtectedResource,
    caller_from_token,
)
from certctl_mcp.http.auth.principal import Caller, set_caller
from certctl_mcp.http.client_address import client_address
from certctl_mcp.http.limits import TokenBuckets, retry_after
from certctl_mcp.http.problem_details import problem_response

logger = logging.getLogger(__name__)

ANONYMOUS = Caller("anonymous", Role.OPERATOR)
"""The caller if there are no keys, which is only allowed on loopback. Deletion needs a named key."""

FAILURES_AT_ONCE = 10
FAILURES_A_SECOND = 1 / 6
"""How many wrong keys an address may send before it gets 429."""

_RETRY_AFTER = 5
"""Seconds until a retry, while the issuer's keys can't be fetched."""

_PUBLIC = frozenset({"/", "/health", "/ready", "/api/v1/auth/info", "/api/v1/version"})
_PUBLIC_PREFIXES = ("/ui/", "/n/", "/.well-known/oauth-protected-resource")
"""Paths that need no key: nothing there is confidential."""

MCP_PATH = "/mcp"
"""The only path for which OAuth access tokens are valid."""


class Keys:
    """The API keys; only their digests are kept."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._callers = [(_digest(key.key.get_secret_value()), Caller(key.name, key.role)) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._callers)

    def find_caller(self, given: str) -> Caller | None:
        """The caller that the key belongs to, found in constant time."""
        digest = _digest(given)
        found: Caller | None = None
        for known, caller in self._callers:
            if hmac.compare_digest(known, digest):
                found = caller
        return found


class Authentication:
    """Middleware that authenticates the caller and records it in the scope."""

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys,
        resource: ProtectedResource | None = None,
        sessions: BrowserSessions | None = None,
    ) -> None:
        self._app = app
        self._keys = keys
        self._sessions = sessions
        self._resource = resource
        self._failures = TokenBuckets(FAILURES_A_SECOND, FAILURES_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._keys and self._resource is None:
            set_caller(scope, ANONYMOUS)
        elif not _is_public(scope["path"]):
            response = await self._refusal(scope)
            if response is not None:
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _refusal(self, scope: Scope) -> ASGIApp | None:
        """The response that refuses the request; None if the caller is authenticated."""
        headers = Headers(scope=scope)
        given = headers.get("authorization")
        if given is None:
            signed_in = None if self._sessions is None else self._sessions.caller(headers)
            if signed_in is not None:
                set_caller(scope, signed_in)
                return None
            # An expired cookie is not a guess, and must not count as a wrong key.
            return self._challenge(scope, "Authorization header required: Bearer <key>.")
        scheme, _, token = given.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return self._challenge(scope, "Invalid Authorization header; expected: Bearer <key>.")
        caller, verified = self._keys.find_caller(token), None
        address = client_address(scope)
        if caller is None and self._resource is not None and scope["path"] == MCP_PATH:
            # Fetching keys for a token is work that only an address in good standing may cause.
            may_fetch = not self._failures.wait(address)
            try:
                verified = await self._resource.tokens.verify(token, may_fetch=may_fetch)
            except IssuerUnavailableError:
                self._failures.take(address)
                message = "The keys of the token's issuer can't be fetched."
                return problem_response(scope, 503, message, retry_after(_RETRY_AFTER))
            caller = None if verified is None else caller_from_token(verified)
        if verified is not None and caller is None:
            message = f"Insufficient scope: the token needs one of {', '.join(SCOPES)}."
            return self._challenge(scope, message, "insufficient_scope", 403)
        if caller is None:
            # Right keys are accepted from such an address too, because many callers may share it.
            wait = self._failures.take(address)
            if wait:
                message = "Too many wrong keys from your address; wait."
                return problem_response(scope, 429, message, retry_after(wait))
            logger.info("a wrong key came from %s", address)
            return self._challenge(scope, "Invalid API key.", "invalid_token")
        set_caller(scope, caller)
        if verified is not None:
            # The SDK binds sessions to this user.
            scope["user"] = AuthenticatedUser(verified)
        return None

    def _challenge(self, scope: Scope, message: str, error: str | None = None, status: int = 401) -> ASGIApp:
        challenge = 'Bearer realm="certctl"'
        if error is not None:
            challenge += f', error="{error}"'
        if self._resource is not None and scope["path"] == MCP_PATH:
            challenge += f', resource_metadata="{self._resource.metadata_url}", scope="{READ}"'
        return problem_response(scope, status, message, {"WWW-Authenticate": challenge})


def _is_public(path: str) -> bool:
    return path in _PUBLIC or path.startswith(_PUBLIC_PREFIXES)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
