"""Who is calling? Told by the key in the Authorization header, before anything else is done for them."""

import hashlib
import hmac
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from certctl_mcp.http.addresses import address_of
from certctl_mcp.http.callers import Caller, set_caller
from certctl_mcp.http.keys import ApiKey, Role
from certctl_mcp.http.limits import MOST_REMEMBERED, Buckets, retry_after
from certctl_mcp.http.problems import problem

logger = logging.getLogger(__name__)

ANYBODY = Caller("anonymous", Role.OPERATOR)
"""Where there are no keys, which is on loopback only. What can't be undone is for named people."""

FAILURES_AT_ONCE = 10
FAILURES_A_SECOND = 1 / 6
"""Wrong keys from one address."""

_OPEN = frozenset({"/", "/health", "/ready", "/api/v1/auth/info"})
_OPEN_BELOW = ("/ui/", "/.well-known/oauth-protected-resource")
"""Hold nothing that is not everybody's."""

Challenge = Callable[[Scope], str]
Verify = Callable[[Scope, str], Awaitable[Caller | None]]
"""Finds out who a token belongs to that is no key; None where it is good for nothing here."""


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
        *,
        verify: Verify | None = None,
        challenge: Challenge | None = None,
        logins: Logins | None = None,
    ) -> None:
        self._app = app
        self._keys = keys
        self._verify = verify
        self._challenge = challenge or _challenge
        self._logins = logins or Logins()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._keys and self._verify is None:
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
        caller = self._keys.owner(token)
        if caller is None and self._verify is not None:
            caller = await self._verify(scope, token)
        address = address_of(scope)
        wait = self._logins.wait(address, caller)
        if wait:
            message = "Too many wrong keys came from your address; wait."
            return problem(scope, 429, message, retry_after(wait))
        if caller is None:
            self._logins.failed(address)
            logger.info("a wrong key came from %s", address)
            return self._who(scope, "Invalid API key.", error="invalid_token")
        self._logins.succeeded(address, caller)
        set_caller(scope, caller)
        return None

    def _who(self, scope: Scope, message: str, error: str | None = None) -> ASGIApp:
        challenge = self._challenge(scope)
        if error is not None:
            challenge += f', error="{error}"'
        return problem(scope, 401, message, {"WWW-Authenticate": challenge})


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_BELOW)


def _challenge(_: Scope) -> str:
    return 'Bearer realm="certctl"'


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
