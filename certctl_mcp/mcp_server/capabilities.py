"""Which parts of the protocol are advertised? Only those that are served, as they are served."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import METHOD_NOT_FOUND

_GREETINGS = frozenset({"initialize", "server/discover"})
_CAPABILITIES = {
    "tools": "tools",
    "prompts": "prompts",
    "resources": "resources",
    "subscriptions": "resources",
    "completion": "completions",
}
"""What a method belongs to, by the part of its name before the slash."""

_AS_LONG_AS_THE_PROCESS = CacheHint(ttl_ms=3_600_000, scope="private")
"""It never changes, but a caller that may only read has another than one that may act."""

CACHE_HINTS: Mapping[CacheableMethod, CacheHint] = {
    "server/discover": _AS_LONG_AS_THE_PROCESS,
    "tools/list": _AS_LONG_AS_THE_PROCESS,
    "prompts/list": _AS_LONG_AS_THE_PROCESS,
    "resources/list": _AS_LONG_AS_THE_PROCESS,
    "resources/templates/list": _AS_LONG_AS_THE_PROCESS,
    "resources/read": CacheHint(ttl_ms=0, scope="private"),
}


@dataclass(frozen=True, slots=True)
class Advertised:
    """Middleware that leaves out all capabilities but those served, and the methods that belong to them.

    The SDK's server answers for most of them, with nothing where nothing is registered, and promises to
    tell of changes of every list where it tells of any change. Here lists last as long as the process.
    """

    served: frozenset[str]

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        capability = _CAPABILITIES.get(ctx.method.partition("/")[0])
        if capability is not None and capability not in self.served:
            raise MCPError(code=METHOD_NOT_FOUND, message="Method not found", data=ctx.method)
        result = await call_next(ctx)
        if ctx.method in _GREETINGS and isinstance(result, dict):
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
