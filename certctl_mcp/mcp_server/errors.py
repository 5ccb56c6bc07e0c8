"""Translates exceptions into protocol errors that say what was wrong.

Tools return their errors as results instead, because that is what a model reads.
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
from certctl_mcp.mcp_server.tools.results import untrusted_suggestion
from certctl_mcp.services.errors import RequestError
from certctl_mcp.services.explanations import LONGEST, explained, similar_name
from certctl_mcp.text.untrusted import clean_excerpt
from storage.errors import NotificationError, NotificationNotFoundError, StorageError

logger = logging.getLogger(__name__)

ErrorData = dict[str, str | dict[str, str]]

CALL_TIMEOUT = timedelta(seconds=55)
"""Hosts time out after a minute. A sweep, the longest call, ends after 45 seconds."""

RESOURCE_NOT_FOUND = -32002
"""The error code in revisions up to 2025-11-25; later revisions use INVALID_PARAMS."""

_WITHOUT_TIMEOUT = frozenset({"tools/call", "subscriptions/listen"})
"""Methods without a timeout: tools have their own, and a subscription lasts as long as the client wants."""


async def translate_errors(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware that turns exceptions into errors that say what to do, without revealing internals."""
    limit = None if ctx.method in _WITHOUT_TIMEOUT else CALL_TIMEOUT.total_seconds()
    try:
        with anyio.fail_after(limit):
            return await call_next(ctx)
    except (MCPError, ValidationError):
        raise
    except TimeoutError:
        message = f"No answer within {CALL_TIMEOUT.total_seconds():g} s; nothing was changed."
        logger.warning("%s: %s", ctx.method, message)
        raise MCPError(INTERNAL_ERROR, message, _error_data(ctx)) from None
    except StorageError as failure:
        logger.warning("%s: %s", ctx.method, failure)
        raise MCPError(INTERNAL_ERROR, str(explained(failure)), _error_data(ctx)) from failure
    except (NotificationError, RequestError) as failure:
        message = str(explained(failure))
        logger.info("%s: %s", ctx.method, message)
        raise MCPError(_code(failure, ctx), message, _error_data(ctx, similar_name(failure))) from failure
    except Exception as bug:
        # The older revisions' dispatcher would send the exception's text to the client.
        logger.exception("%s failed", ctx.method)
        message = "Internal error; see the server's log for details."
        raise MCPError(INTERNAL_ERROR, message, _error_data(ctx)) from bug


def _code(failure: Exception, ctx: ServerRequestContext[Any, Any]) -> int:
    missing = isinstance(failure, UnknownResourceError | NotificationNotFoundError)
    older = ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS
    return RESOURCE_NOT_FOUND if missing and older else INVALID_PARAMS


def _error_data(ctx: ServerRequestContext[Any, Any], similar: str | None = None) -> ErrorData | None:
    """The requested URI, if it can be shown unchanged, and a name that may have been meant."""
    data: ErrorData = {} if similar is None else {**untrusted_suggestion(similar)}
    uri = (ctx.params or {}).get("uri")
    if isinstance(uri, str) and clean_excerpt(uri, LONGEST) == (uri, 0):
        data["uri"] = uri
    return data or None
