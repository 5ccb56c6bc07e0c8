"""How a channel reaches its receiver: proxy, trusted authorities, client certificate, connect timeout."""

from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from certctl_mcp.config.durations import Duration
from certctl_mcp.text.redaction import url_secrets

NO_PROXY = "direct"
"""The proxy setting of a channel that ignores the proxy variables."""


def usable_proxy(proxy: SecretStr) -> SecretStr:
    """Raises: ValueError: it is neither an HTTP proxy nor `direct`."""
    text = proxy.get_secret_value().strip()
    if text == NO_PROXY:
        return SecretStr(text)
    try:
        parts = urlsplit(text)
        usable = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        # The parser's own message would repeat part of the URL.
        usable = False
    if not usable or not text.isascii():
        raise ValueError(
            f"must be an HTTP proxy such as http://proxy.example.com:3128, or {NO_PROXY}; SOCKS and https:// "
            "proxies are not supported"
        )
    return SecretStr(text)


ProxyUrl = Annotated[SecretStr, AfterValidator(usable_proxy)]


class NetworkSettings(BaseModel):
    """What the operator's network requires of a channel's connections."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    proxy: ProxyUrl | None = None
    """An HTTP proxy, `http://user:password@host:port`; `direct` for none. None: as HTTPS_PROXY, HTTP_PROXY,
    ALL_PROXY and NO_PROXY say."""
    ca_file: str | None = None
    """PEM file of the authorities to trust instead of the system's."""
    client_cert: str | None = None
    """PEM file with our client certificate and its chain."""
    client_key: str | None = None
    """PEM file of its private key, if that is in a separate file."""
    connect_timeout: Annotated[Duration, Field(gt=timedelta(0))] = timedelta(seconds=10)
    """How long a connection may take, TLS included. A relay's TLS and greeting may take as long as a send."""

    @model_validator(mode="after")
    def _key_has_a_certificate(self) -> "NetworkSettings":
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key needs client_cert")
        return self

    @property
    def proxy_url(self) -> str | None:
        """The proxy to use; None for a direct connection."""
        proxy = None if self.proxy is None else self.proxy.get_secret_value()
        return None if proxy == NO_PROXY else proxy

    @property
    def network_secrets(self) -> tuple[str, ...]:
        """The values in these settings that must not appear in an error."""
        return () if self.proxy_url is None else url_secrets(self.proxy_url)
