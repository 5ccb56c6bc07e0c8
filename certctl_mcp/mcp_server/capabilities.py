"""The protocol capabilities that the server advertises: exactly those that it serves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import METHOD_NOT_FOUND

_HANDSHAKES = frozenset({"initialize", "server/discover"})
_CAPABILITIES = {
    "tools": "tools",
    "prompts": "prompts",
    "resources": "resources",
    "subscriptions": "resources",
    "completion": "completions",
}
"""The capability to which a method belongs, by the part of its name before the slash."""

_FOR_THE_PROCESS_LIFETIME = CacheHint(ttl_ms=3_600_000, scope="private")
"""Lists never change while the process runs, but differ between callers with different permissions."""

CACHE_HINTS: Mapping[CacheableMethod, CacheHint] = {
    "server/discover": _FOR_THE_PROCESS_LIFETIME,
    "tools/list": _FOR_THE_PROCESS_LIFETIME,
    "prompts/list": _FOR_THE_PROCESS_LIFETIME,
    "resources/list": _FOR_THE_PROCESS_LIFETIME,
    "resources/templates/list": _FOR_THE_PROCESS_LIFETIME,
    "resources/read": CacheHint(ttl_ms=0, scope="private"),
}


@dataclass(frozen=True, slots=True)
class CapabilityFilter:
    """Middleware that hides the capabilities that aren't served, and rejects their methods.

    The SDK's server answers most methods with an empty result if nothing is registered, and advertises
    `listChanged` for every list. Here lists never change while the process runs.
    """

    served: frozenset[str]

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        capability = _CAPABILITIES.get(ctx.method.partition("/")[0])
        if capability is not None and capability not in self.served:
            raise MCPError(code=METHOD_NOT_FOUND, message="Method not found", data=ctx.method)
        result = await call_next(ctx)
        if ctx.method in _HANDSHAKES and isinstance(result, dict):
            result["capabilities"] = {
                name: _without_list_changes(detail)
                for name, detail in result["capabilities"].items()
                if name not in _CAPABILITIES.values() or name in self.served
            }
        return result


def _without_list_changes(detail: object) -> object:
    if not isinstance(detail, dict):
        return detail
    return {key: value for key, value in detail.items() if key != "listChanged"}
