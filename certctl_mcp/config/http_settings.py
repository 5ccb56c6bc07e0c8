"""The settings for serving HTTP: the table `http` of the settings file."""

import ipaddress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from certctl_mcp.config.api_keys import ApiKey, check_strength, parse_named_keys, parse_secret


def _split_list(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split_list)]
"""Comma-separated in the environment."""


class HttpSettings(BaseModel):
    """The address, the callers that are allowed, and their limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8080, ge=0, le=65535)
    """0 picks a free port."""
    tls_cert: Path | None = None
    """A PEM file with the certificate and its chain."""
    tls_key: Path | None = None
    api_keys_named: SecretStr | None = None
    """`name:key`, `name:key:admin` or `name:key:read-only`, comma-separated."""
    auth_secret: SecretStr | None = None
    """Keys without names; ignored if there are named keys."""
    allowed_hosts: Names = ()
    """Host names under which clients reach the server, besides the one it listens on."""
    allowed_origins: Names = ()
    """Other origins whose web pages may call."""
    trusted_proxies: Names = ()
    """Addresses or CIDR blocks of reverse proxies whose X-Forwarded-For names the client."""
    max_body_size: int = Field(default=1024 * 1024, ge=1024)
    """The largest body of a request, in bytes."""
    rate_limit_enabled: bool = True
    rate_limit_rps: float = Field(default=50, gt=0)
    """Requests per second for each key, or for each address if there are no keys."""
    rate_limit_burst: int = Field(default=100, ge=1)
    oauth_issuer: str | None = None
    """The authorization server whose access tokens are accepted for MCP."""
    oauth_resource: str | None = None
    """The URL of `/mcp` as clients see it; tokens must be issued for it."""
    oauth_jwks_url: str | None = None
    """The URL of the issuer's keys; by default the one in its metadata."""

    @property
    def keys(self) -> tuple[ApiKey, ...]:
        if self.api_keys_named is not None:
            return parse_named_keys(self.api_keys_named.get_secret_value())
        return () if self.auth_secret is None else parse_secret(self.auth_secret.get_secret_value())

    @property
    def authenticates(self) -> bool:
        return bool(self.keys) or self.oauth_issuer is not None

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @field_validator("api_keys_named")
    @classmethod
    def _is_readable(cls, written: SecretStr | None) -> SecretStr | None:
        if written is not None:
            keys = parse_named_keys(written.get_secret_value())
            if not keys:
                raise ValueError("must hold a key, such as alice:KEY")
            check_strength(keys)
        return written

    @field_validator("auth_secret")
    @classmethod
    def _holds_a_key(cls, written: SecretStr | None) -> SecretStr | None:
        if written is not None:
            keys = parse_secret(written.get_secret_value())
            if not keys:
                raise ValueError("must hold a key")
            check_strength(keys)
        return written

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            if not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
                raise ValueError(f"{origin!r} is not an origin such as https://console.example.com")
        return origins

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError(
                    f"{network!r} must be an address such as 10.0.0.1 or a network such as 10.0.0.0/24"
                ) from None
        return networks

    @field_validator("oauth_issuer", "oauth_resource", "oauth_jwks_url")
    @classmethod
    def _is_safe(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is not None:
            parts = urlsplit(url)
            local = parts.hostname in ("localhost", "127.0.0.1", "::1")
            if not parts.hostname or parts.scheme not in (("http", "https") if local else ("https",)):
                raise ValueError("must be a URL that begins with https://")
            if parts.fragment or (parts.query and info.field_name != "oauth_jwks_url"):
                raise ValueError("must have no query and no fragment")
        return url

    @model_validator(mode="after")
    def _are_complete(self) -> "HttpSettings":
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: set both or neither")
        if (self.oauth_issuer is None) != (self.oauth_resource is None):
            raise ValueError("oauth_issuer and oauth_resource go together: set both or neither")
        if self.oauth_jwks_url is not None and self.oauth_issuer is None:
            raise ValueError("oauth_jwks_url needs oauth_issuer")
        return self
