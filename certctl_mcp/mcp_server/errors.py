"""What does a client hear of a request that can't be met? What was wrong, as an error of the protocol.

Tools answer for themselves: what a call got wrong is its answer.
"""

import logging
from datetime import timedelta
from typing import Any

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from certctl_mcp.mcp_server.resources import UnknownResourceError
from certctl_mcp.services.errors import RequestError
from certctl_mcp.services.explanations import LONGEST, explained
from certctl_mcp.text.untrusted import clean_excerpt
from storage.errors import NotificationError, NotificationNotFoundError, StorageError

logger = logging.getLogger(__name__)

CALL_TIMEOUT = timedelta(seconds=55)
"""Hosts give a call up after a minute. A sweep, the longest call, ends after 45 seconds."""

RESOURCE_NOT_FOUND = -32002
"""The code of the revisions up to 2025-11-25; later ones have INVALID_PARAMS for it."""

_NOT_LIMITED = frozenset({"tools/call", "subscriptions/listen"})
"""The first has a limit of its own, the second lasts as long as the client likes."""


async def explain_refusals(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware that turns what is raised into an error that says what to do, and nothing of the inside."""
    limit = None if ctx.method in _NOT_LIMITED else CALL_TIMEOUT.total_seconds()
    try:
        with anyio.fail_after(limit):
            return await call_next(ctx)
    except (MCPError, ValidationError):
        raise
    except TimeoutError:
        message = f"No answer within {CALL_TIMEOUT.total_seconds():g} s; nothing was changed."
        logger.warning("%s: %s", ctx.method, message)
        raise MCPError(INTERNAL_ERROR, message, _named(ctx)) from None
    except StorageError as failure:
        logger.warning("%s: %s", ctx.method, failure)
        raise MCPError(INTERNAL_ERROR, str(explained(failure)), _named(ctx)) from failure
    except (NotificationError, RequestError) as failure:
        message = str(explained(failure))
        logger.info("%s: %s", ctx.method, message)
        raise MCPError(_code(failure, ctx), message, _named(ctx)) from failure
    except Exception as defect:
        # The edge of the protocol: the older revisions' dispatcher would show it as it is.
        logger.exception("%s failed", ctx.method)
        raise MCPError(INTERNAL_ERROR, "Internal error; the server's log says more.", _named(ctx)) from defect


def _code(failure: Exception, ctx: ServerRequestContext[Any, Any]) -> int:
    missing = isinstance(failure, UnknownResourceError | NotificationNotFoundError)
    older = ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS
    return RESOURCE_NOT_FOUND if missing and older else INVALID_PARAMS


def _named(ctx: ServerRequestContext[Any, Any]) -> dict[str, str] | None:
    """The resource that was asked for, if its address can be shown as it is."""
    uri = (ctx.params or {}).get("uri")
    return {"uri": uri} if isinstance(uri, str) and clean_excerpt(uri, LONGEST) == (uri, 0) else None
