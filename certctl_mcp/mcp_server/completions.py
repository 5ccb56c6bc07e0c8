"""Completions for the arguments of prompts and the variables of resource templates."""

from collections.abc import Iterable
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp_types import (
    CompleteRequestParams,
    CompleteResult,
    Completion,
    PromptReference,
    ResourceTemplateReference,
)

from certctl_mcp.mcp_server.prompts import CHANNEL, SINCE, Prompts
from certctl_mcp.mcp_server.resources import LIST_PARTS, LIST_TEMPLATE, NOTIFICATION_TEMPLATE
from certctl_mcp.mcp_server.tools.arguments import ArgumentError
from certctl_mcp.runtime.lifespan import Opening
from certctl_mcp.services.explanations import unknown_name
from certctl_mcp.text.untrusted import decode_id, encode_id
from storage.models import NotificationStatus, NotificationType

MAX_VALUES = 100
"""The protocol's limit for the values in one response."""

_PERIODS = ("1h", "6h", "24h", "7d", "30d")

Context = ServerRequestContext[Opening, Any]


class Completions:
    """Completes resource templates and prompts."""

    def __init__(self, prompts: Prompts) -> None:
        self._prompts = prompts

    def register(self, server: Server[Opening]) -> None:
        """Register the handler for completions with `server`."""
        server.add_request_handler("completion/complete", CompleteRequestParams, self._complete)

    async def _complete(self, ctx: Context, params: CompleteRequestParams) -> CompleteResult:
        opening, name, typed = ctx.lifespan_context, params.argument.name, params.argument.value
        match params.ref:
            case PromptReference(name=prompt):
                _check("argument", name, self._prompts.arguments(prompt))
                # Only configured channels: the prompt rejects the others.
                offered = {SINCE: _PERIODS, CHANNEL: opening.channels}[name]
                return _matching(typed, offered)
            case ResourceTemplateReference(uri=template):
                _check("resource template", template, (NOTIFICATION_TEMPLATE, LIST_TEMPLATE))
                if template == NOTIFICATION_TEMPLATE:
                    _check("part", name, ("id",))
                    return await _ids(opening, typed)
                _check("part", name, LIST_PARTS)
                return _matching(typed, _values(opening)[name])


def _values(opening: Opening) -> dict[str, tuple[str, ...]]:
    """Values by the part of a template. Names from outside are not offered, because nothing would mark them
    as untrusted."""
    return {
        "status": tuple(NotificationStatus),
        "channel": opening.channels,
        "type": tuple(NotificationType),
    }


def _check(what: str, given: str, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise ArgumentError(unknown_name(what, given, allowed))


async def _ids(opening: Opening, typed: str) -> CompleteResult:
    repository = (await opening.application()).repository
    found = await repository.ids_beginning(decode_id(typed), MAX_VALUES + 1)
    more = len(found) > MAX_VALUES
    # An id that is too long or contains a secret is displayed differently, and couldn't be passed on.
    values = [word for one in found[:MAX_VALUES] if decode_id(word := encode_id(one)) == one]
    return _answer(values, None if more else len(values), more=more)


def _matching(typed: str, values: Iterable[str]) -> CompleteResult:
    """Values that begin with the typed text, then those that contain it elsewhere; case is ignored."""
    wanted = typed.casefold()
    found = [value for value in dict.fromkeys(map(str, values)) if wanted in value.casefold()]
    found.sort(key=lambda value: not value.casefold().startswith(wanted))
    return _answer(found, len(found), more=len(found) > MAX_VALUES)


def _answer(values: list[str], total: int | None, *, more: bool) -> CompleteResult:
    return CompleteResult(completion=Completion(values=values[:MAX_VALUES], total=total, has_more=more))
