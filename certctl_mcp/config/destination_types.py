"""The types of a destination's fields, each with its own check.

An error message says what a value must be but never repeats the value, because it may contain a secret.
"""

import base64
import binascii
import re
from email.utils import parseaddr
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo

from certctl_mcp.config.domain_names import ascii_domain

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")

_OUR_HEADERS = ("content-type", "content-length", "transfer-encoding", "host", "connection")
_SIGNATURE_HEADERS = "webhook-"

_SIGNING_SECRET_PREFIX = "whsec_"

_IMPLICIT_TLS_PORT = 465

_SECURITIES = {
    **{name: name for name in ("starttls", "tls", "none")},
    **dict.fromkeys(("true", "yes", "on", "1"), None),
    **dict.fromkeys(("false", "no", "off", "0"), "none"),
}
"""None means the usual one for the port."""


def _http_url(url: SecretStr) -> SecretStr:
    text = _with_ascii_host(url.get_secret_value())
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("must be a URL of printable ASCII, the rest percent-encoded")
    if not _is_http_url(text):
        raise ValueError("must be a URL such as https://host/path")
    if ":" in unquote(urlsplit(text).username or ""):
        raise ValueError("must have no colon in its user name, not even as %3A: HTTP can't send one")
    return SecretStr(text)


def _with_ascii_host(url: str) -> str:
    """Only the host may have non-ASCII characters; the rest of a URL must be percent-encoded."""
    try:
        parts = urlsplit(url)
        credentials, at, place = parts.netloc.rpartition("@")
        host, colon, port = place.partition(":")
        if host.isascii():
            return url
        return parts._replace(netloc=f"{credentials}{at}{ascii_domain(host)}{colon}{port}").geturl()
    except ValueError:
        return url


def _host_name(host: str) -> str:
    """A name or an address, without brackets."""
    try:
        host = ascii_domain(host.strip())
    except ValueError:
        raise ValueError("must be a host name such as mail.example.com, or an IP address") from None
    if not re.fullmatch(r"[A-Za-z0-9._:%-]+|\[[0-9A-Fa-f:.]+\]", host):
        raise ValueError("must be a host name such as mail.example.com, or an IP address")
    return host


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        # The parser's own message would repeat part of the URL.
        return False


def _header_value(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().isprintable():
        raise ValueError("must be one line of printable text")
    return value


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name")
    if name.lower() in _OUR_HEADERS or name.lower().startswith(_SIGNATURE_HEADERS):
        raise ValueError(f"{name} is set by the notifier itself")
    return name


def _signing_secret(secret: SecretStr) -> SecretStr:
    signing_key(secret.get_secret_value())
    return secret


def signing_key(secret: str) -> bytes:
    """The key that a Standard Webhooks library reads from the same text: base64, with or without `whsec_`.

    A text that is not base64 is used as it is.

    Raises:
        ValueError: it is empty, or `whsec_` is not followed by base64.
    """
    encoded = secret.removeprefix(_SIGNING_SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        if encoded != secret:
            raise ValueError(f"must be base64 after {_SIGNING_SECRET_PREFIX}") from None
        key = secret.encode()
    if not key:
        raise ValueError("must not be empty")
    return key


def _mail_address(text: str) -> str:
    _, address = parseaddr(text)
    if not text.isprintable() or not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
        raise ValueError("must be an address such as alerts@example.com or Alerts <alerts@example.com>")
    ascii_domain(address.rpartition("@")[2])
    return text


def _apprise_url(url: SecretStr) -> SecretStr:
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", url.get_secret_value()):
        raise ValueError("must be an Apprise URL such as discord://id/token")
    return url


def _security(value: object, info: ValidationInfo) -> object:
    """certctl's `USE_TLS` is a boolean; the port determines which kind of TLS it means."""
    if isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or (security := value.strip().lower()) not in _SECURITIES:
        raise ValueError("must be starttls, tls, none, true or false")
    return _SECURITIES[security] or ("tls" if info.data.get("port") == _IMPLICIT_TLS_PORT else "starttls")


def _recipient_patterns(value: object) -> object:
    """Separated by commas in the environment."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _recipient_pattern(pattern: str) -> str:
    local, at, domain = pattern.rpartition("@")
    if not (local and at and re.fullmatch(r"[^\s@\[\]?]{1,255}", domain)) or set(local) & set("[]? "):
        raise ValueError("must be a pattern such as *@example.com or ops@example.com")
    return f"{local}@{domain if '*' in domain else ascii_domain(domain)}"


RecipientPatterns = Annotated[
    tuple[Annotated[str, Field(max_length=320), AfterValidator(_recipient_pattern)], ...],
    BeforeValidator(_recipient_patterns),
]
HttpUrlSecret = Annotated[SecretStr, AfterValidator(_http_url)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[SecretStr, AfterValidator(_header_value)]
SigningSecret = Annotated[SecretStr, AfterValidator(_signing_secret)]
Key = Annotated[SecretStr, Field(min_length=1), AfterValidator(_header_value)]
AppriseUrl = Annotated[SecretStr, AfterValidator(_apprise_url)]
HostName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_host_name)]
MailAddress = Annotated[str, Field(max_length=320), AfterValidator(_mail_address)]
Security = Annotated[Literal["starttls", "tls", "none"], BeforeValidator(_security)]
