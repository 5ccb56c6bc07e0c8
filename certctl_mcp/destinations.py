"""Where may notifications go? One model for each kind of destination an operator can configure.

Only these are ever sent to: an assistant picks among channel names, never a URL or a host.
"""

import base64
import binascii
import re
from abc import abstractmethod
from email.utils import parseaddr
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    NonNegativeInt,
    SecretStr,
    model_validator,
)

from certctl_mcp.redaction import url_secrets

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")

_OUR_HEADERS = ("content-type", "content-length", "transfer-encoding", "host", "connection")
_SIGNATURE_HEADERS = "webhook-"

_SIGNING_SECRET_PREFIX = "whsec_"


def _http_url(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("must be a URL of printable ASCII; percent-encode the rest")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL such as https://host/path")
    # Raises by itself for a port that is none.
    if parts.port == 0:
        raise ValueError("port 0 can't be sent to")
    return url


def _header_value(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().isprintable():
        raise ValueError("a header's value is one line of printable text")
    return value


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header")
    if name.lower() in _OUR_HEADERS or name.lower().startswith(_SIGNATURE_HEADERS):
        raise ValueError(f"{name} is set by the notifier itself")
    return name


def _signing_secret(secret: SecretStr) -> SecretStr:
    _signing_key(secret.get_secret_value())
    return secret


def _signing_key(secret: str) -> bytes:
    """The key that a Standard Webhooks library takes from the same text: base64, `whsec_` before it or not.

    A text that is no base64 stands for its own bytes.

    Raises:
        ValueError: nothing is left of it, or there is no base64 after `whsec_`.
    """
    encoded = secret.removeprefix(_SIGNING_SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        if encoded != secret:
            raise ValueError(f"after {_SIGNING_SECRET_PREFIX} must follow base64") from None
        key = secret.encode()
    if not key:
        raise ValueError("a signing secret can't be empty")
    return key


def _mail_address(text: str) -> str:
    _, address = parseaddr(text)
    if not text.isprintable() or not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
        raise ValueError("must be an address such as alerts@example.com or Alerts <alerts@example.com>")
    return text


def _place(url: SplitResult) -> str:
    """Host, and port where the URL names one: what of a webhook's URL is no secret."""
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else str(url.hostname)
    return f"{host}:{url.port}" if url.port else host


HttpUrlSecret = Annotated[SecretStr, AfterValidator(_http_url)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[SecretStr, AfterValidator(_header_value)]
SigningSecret = Annotated[SecretStr, AfterValidator(_signing_secret)]


class _Configured(BaseModel):
    # A wrong URL or password must not show up in the message that refuses it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class _Destination(_Configured):
    @property
    @abstractmethod
    def description(self) -> str:
        """What an assistant and a log may read: the kind and the host, nothing secret."""

    @property
    @abstractmethod
    def secrets(self) -> tuple[str, ...]:
        """Every text that must not appear in an error."""


class EmailDestination(_Destination):
    """An SMTP relay. The recipient of each notification is one address or several, separated by commas."""

    kind: Literal["email"] = "email"
    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    username: str | None = None
    password: SecretStr | None = None
    from_address: Annotated[str, AfterValidator(_mail_address)] = Field(max_length=320)
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`tls` speaks TLS from the first byte (port 465)."""
    ca_file: str | None = None
    """PEM file of the authorities to trust instead of the system's."""
    html: bool = True
    """Send a simple HTML form of the text beside it."""

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> "EmailDestination":
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together: set both or neither")
        if self.username is not None and self.security == "none":
            raise ValueError("a password is not sent over an unencrypted connection: use starttls or tls")
        return self

    @property
    def description(self) -> str:
        protection = {"starttls": "STARTTLS", "tls": "TLS", "none": "not encrypted"}[self.security]
        return f"SMTP relay {self.host}:{self.port} ({protection})"

    @property
    def secrets(self) -> tuple[str, ...]:
        if self.username is None or self.password is None:
            return ()
        password = self.password.get_secret_value()
        # AUTH PLAIN and LOGIN, as a server may repeat them.
        plain = base64.b64encode(f"\0{self.username}\0{password}".encode()).decode()
        return (password, plain, base64.b64encode(password.encode()).decode())


class WebhookDestination(_Destination):
    """An HTTP receiver of JSON bodies, signed by the Standard Webhooks specification when secrets are set."""

    kind: Literal["webhook"] = "webhook"
    url: HttpUrlSecret
    secrets_: tuple[SigningSecret, ...] = Field(default=(), alias="secrets")
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)


class SlackDestination(_Destination):
    """A Slack incoming webhook."""

    kind: Literal["slack"] = "slack"
    webhook_url: HttpUrlSecret
    channel: str | None = None
    username: str | None = None
