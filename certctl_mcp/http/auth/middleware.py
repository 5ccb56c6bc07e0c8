"""Who is calling? Told by the key in the Authorization header, before anything else is done for them."""

import hashlib
import hmac
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from certctl_mcp.config.api_keys import ApiKey, Role
from certctl_mcp.http.api.problem_details import problem
from certctl_mcp.http.auth.oauth import READ, SCOPES, IssuerUnavailableError, ProtectedResource, caller_by
from certctl_mcp.http.auth.principal import Caller, set_caller
from certctl_mcp.http.client_address import address_of
from certctl_mcp.http.limits import MOST_REMEMBERED, Buckets, retry_after

logger = logging.getLogger(__name__)

ANYBODY = Caller("anonymous", Role.OPERATOR)
"""Where there are no keys, which is on loopback only. What can't be undone is for named people."""

FAILURES_AT_ONCE = 10
FAILURES_A_SECOND = 1 / 6
"""Wrong keys from one address."""

_UNAVAILABLE_FOR = 5
"""Seconds after which to try again."""

_OPEN = frozenset({"/", "/health", "/ready", "/api/v1/auth/info"})
_OPEN_BELOW = ("/ui/", "/.well-known/oauth-protected-resource")
"""Hold nothing that is not everybody's."""

TOKENS_FOR = "/mcp"
"""Access tokens are issued for MCP, and open nothing else."""


class Keys:
    """The keys, of which only digests are kept."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._callers = [(_digest(key.key.get_secret_value()), Caller(key.name, key.role)) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._callers)

    def owner(self, given: str) -> Caller | None:
        """Whose key it is. Takes as long whichever key it is, or none."""
        digest = _digest(given)
        found: Caller | None = None
        for known, caller in self._callers:
            if hmac.compare_digest(known, digest):
                found = caller
        return found


class Logins:
    """Addresses that gave wrong keys too often are not listened to for a while.

    But for callers who have been let in from there before: a whole site may be behind one address.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures = Buckets(FAILURES_A_SECOND, FAILURES_AT_ONCE, clock)
        self._let_in: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait(self, address: str, caller: Caller | None) -> float:
        """Seconds until what `address` gives is looked at again; 0 if it is now."""
        if caller is not None and (address, caller.name) in self._let_in:
            return 0
        return self._failures.wait(address)

    def succeeded(self, address: str, caller: Caller) -> None:
        self._let_in[address, caller.name] = None
        self._let_in.move_to_end((address, caller.name))
        if len(self._let_in) > MOST_REMEMBERED:
            self._let_in.popitem(last=False)

    def failed(self, address: str) -> None:
        self._failures.take(address)


class Authentication:
    """Middleware that lets nobody in but callers it knows, and tells what is inside who it is."""

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys,
        resource: ProtectedResource | None = None,
    ) -> None:
        self._app = app
        self._keys = keys
        self._resource = resource
        self._logins = Logins()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._keys and self._resource is None:
            set_caller(scope, ANYBODY)
        elif not _is_open(scope["path"]):
            refused = await self._refusal(scope)
            if refused is not None:
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _refusal(self, scope: Scope) -> ASGIApp | None:
        """None, with the caller made known, where they may come in."""
        given = Headers(scope=scope).get("authorization")
        if given is None:
            return self._who(scope, "Authorization header required: Bearer and a key.")
        scheme, _, token = given.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return self._who(scope, "Invalid Authorization header, expected: Bearer and a key.")
        caller, verified = self._keys.owner(token), None
        if caller is None and self._resource is not None and scope["path"] == TOKENS_FOR:
            try:
                verified = await self._resource.tokens.verify_token(token)
            except IssuerUnavailableError:
                message = "Who issued the token can't be asked now."
                return problem(scope, 503, message, retry_after(_UNAVAILABLE_FOR))
            caller = None if verified is None else caller_by(verified)
        address = address_of(scope)
        wait = self._logins.wait(address, caller)
        if wait:
            message = "Too many wrong keys came from your address; wait."
            return problem(scope, 429, message, retry_after(wait))
        if verified is not None and caller is None:
            message = f"The token allows nothing here: it must have one of the scopes {', '.join(SCOPES)}."
            return self._who(scope, message, "insufficient_scope", 403)
        if caller is None:
            self._logins.failed(address)
            logger.info("a wrong key came from %s", address)
            return self._who(scope, "Invalid API key.", "invalid_token")
        self._logins.succeeded(address, caller)
        set_caller(scope, caller)
        if verified is not None:
            # By this the SDK knows whose a session is.
            scope["user"] = AuthenticatedUser(verified)
        return None

    def _who(self, scope: Scope, message: str, error: str | None = None, status: int = 401) -> ASGIApp:
        challenge = 'Bearer realm="certctl"'
        if error is not None:
            challenge += f', error="{error}"'
        if self._resource is not None and scope["path"] == TOKENS_FOR:
            challenge += f', resource_metadata="{self._resource.metadata_url}", scope="{READ}"'
        return problem(scope, status, message, {"WWW-Authenticate": challenge})


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_BELOW)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
