"""The usual proxy variables, for channels without their own proxy setting."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import SecretStr

from certctl_mcp.config.network import NO_PROXY, usable_proxy


class UnusableProxyError(ValueError):
    """A proxy variable names a kind of proxy that is not supported. The message says which variable."""


def environment_proxy(environ: Mapping[str, str], url: str) -> SecretStr | None:
    """The HTTP proxy that `environ` names for connections to `url`; None for a direct connection.

    HTTP and HTTPS channels follow HTTP_PROXY and HTTPS_PROXY, every channel ALL_PROXY; NO_PROXY lists hosts,
    domains, networks, or `*`.

    Raises:
        UnusableProxyError: it is another kind of proxy, such as SOCKS. Connecting without it would bypass the
        operator's network.
    """
    target = urlsplit(url)
    if _is_exempt(target.hostname or "", target.port, _variable(environ, "no_proxy")):
        return None
    for name in (f"{target.scheme}_proxy", "all_proxy"):
        if proxy := _variable(environ, name):
            try:
                whole = "://" in proxy or proxy == NO_PROXY
                return usable_proxy(SecretStr(proxy if whole else f"http://{proxy}"))
            except ValueError as error:
                raise UnusableProxyError(f"{name.upper()} {error}") from None
    return None


def _variable(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def _is_exempt(host: str, port: int | None, no_proxy: str) -> bool:
    host = host.lower()
    for entry in (part.strip().lower() for part in no_proxy.split(",")):
        name = entry.removesuffix(f":{port}").removeprefix("*.").lstrip(".")
        if entry == "*" or (name and (host == name or host.endswith(f".{name}"))) or _holds(name, host):
            return True
    return False


def _holds(network: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
