"""The cookie that keeps a browser signed in, so that it need not store the API key.

A cookie holds the name of a key, when it expires, and a signature made from that key. It needs no store: it
is valid in every process that has the key, after a restart too, and ends when the key is withdrawn.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from certctl_mcp.config.api_keys import ApiKey
from certctl_mcp.http.auth.principal import Caller
from certctl_mcp.http.origins import is_same_origin
from storage.clock import Clock

COOKIE: Final = "certctl_session"
LIFETIME: Final = timedelta(days=14)

PAGE_HEADER: Final = ("x-requested-with", "certctl-page")
"""The page sends this header with each request. A form or link on another site can't send it, and so can't
use the cookie."""

_SALT = b"certctl-mcp browser session"
_SECONDS = re.compile("[0-9]{1,12}", re.ASCII)
_WORK = 2**13
"""The cost of scrypt: guessing a weak key from a stolen cookie must be slow."""


class _Signer:
    """Signs and verifies the cookies of one key."""

    def __init__(self, key: ApiKey) -> None:
        self.caller = Caller(key.name, key.role)
        self._key = key.key

    @cached_property
    def _secret(self) -> bytes:
        # Derived on first use: most servers never have a browser that stays signed in.
        return hashlib.scrypt(self._key.get_secret_value().encode(), salt=_SALT, n=_WORK, r=8, p=1)

    def has(self, key: str) -> bool:
        return hmac.compare_digest(self._key.get_secret_value().encode(), key.encode())

    def sign(self, text: str) -> str:
        return hmac.digest(self._secret, text.encode(), "sha256").hex()


class BrowserSessions:
    """Issues and verifies the cookies of browsers."""

    def __init__(self, keys: Sequence[ApiKey], clock: Clock) -> None:
        self._clock = clock
        self.accept(keys)

    def accept(self, keys: Sequence[ApiKey]) -> None:
        """From now on, accept the cookies of these keys and no others."""
        self._signers = [_Signer(key) for key in keys]

    def issue(self, key: str) -> str | None:
        """The value of a cookie for the holder of this API key; None if there is no such key."""
        signer = next((signer for signer in self._signers if signer.has(key)), None)
        if signer is None:
            return None
        text = f"{signer.caller.name}.{int((self._clock() + LIFETIME).timestamp())}"
        return f"{text}.{signer.sign(text)}"

    def caller(self, headers: Headers) -> Caller | None:
        """The caller whose valid cookie the page sent with this request; None for any other request."""
        name, value = PAGE_HEADER
        if headers.get(name) != value or not is_same_origin(headers):
            return None
        return self._verified(cookie_parser(headers.get("cookie", "")).get(COOKIE, ""))

    def _verified(self, cookie: str) -> Caller | None:
        text, _, signature = cookie.rpartition(".")
        name, _, expires = text.partition(".")
        if not _SECONDS.fullmatch(expires) or not signature.isascii():
            return None
        if int(expires) <= self._clock().timestamp():
            return None
        for signer in self._signers:
            if signer.caller.name == name and hmac.compare_digest(signer.sign(text), signature):
                return signer.caller
        return None
