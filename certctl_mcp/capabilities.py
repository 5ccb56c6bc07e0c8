"""Which parts of the protocol are advertised? Only those that are served."""

from dataclasses import dataclass
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import METHOD_NOT_FOUND

_GREETINGS = frozenset({"initialize", "server/discover"})


@dataclass(frozen=True, slots=True)
class Without:
    """Middleware that leaves out capabilities, such as `prompts`, and the methods that belong to them.

    The SDK's server answers for all of them, with nothing where nothing is registered.
    """

    capabilities: frozenset[str]

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method.partition("/")[0] in self.capabilities:
            raise MCPError(code=METHOD_NOT_FOUND, message="Method not found", data=ctx.method)
        result = await call_next(ctx)
        if ctx.method in _GREETINGS and isinstance(result, dict):
            advertised = result["capabilities"].items()
            result["capabilities"] = {
                name: detail for name, detail in advertised if name not in self.capabilities
            }
        return result
