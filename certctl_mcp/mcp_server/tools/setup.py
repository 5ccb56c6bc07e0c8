"""The tool that checks the setup."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, NotRequired

import anyio
from mcp_types import CallToolResult
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from certctl_mcp.mcp_server.tools.results import ToolContext, answer
from certctl_mcp.text.untrusted import EXCERPT_LENGTH, clean_excerpt, escape_hidden
from storage.errors import StorageError

if TYPE_CHECKING:
    from certctl_mcp.checks.results import CheckResult
    from certctl_mcp.runtime.application import Application


_START = timedelta(seconds=2)


class UntrustedFound(TypedDict):
    """Text from a receiver's response."""

    found: str


class CheckRow(TypedDict):
    """A check: ok, warn or fail."""

    name: str
    verdict: str
    found: NotRequired[str]
    help: NotRequired[str]
    untrusted: NotRequired[UntrustedFound]


class Setup(TypedDict):
    """The results of all checks."""

    failed: int
    warned: int
    # Self-explanatory in a result, so not worth its tokens in the schema.
    checks: Annotated[list[CheckRow], WithJsonSchema({"type": "array"})]


async def check_setup(ctx: ToolContext) -> Annotated[CallToolResult, Setup]:
    """Check settings, files, database, deliveries and each channel's connection: ok, warn or fail, with a
    remedy. Use it when nothing is delivered. Sends nothing; send_test_notification does."""
    # Imported here, because the mail client alone would delay the start by a tenth of a second.
    from certctl_mcp.checks import checklist

    opening = ctx.request_context.lifespan_context

    @asynccontextmanager
    async def opened() -> "AsyncIterator[Application | None]":
        yield await opening.application()

    # A server that has just started may still be creating its database.
    with anyio.move_on_after(_START.total_seconds()), suppress(StorageError):
        await opening.application()
    report = await checklist.check_setup(opening.settings, opened)
    setup: Setup = {
        "failed": report.failed,
        "warned": report.warned,
        "checks": [_row(check) for check in report.checks],
    }
    return answer(setup)


def _row(check: "CheckResult") -> CheckRow:
    row: CheckRow = {"name": check.name, "verdict": check.verdict.value}
    if check.quotes_receiver:
        row["untrusted"] = {"found": clean_excerpt(check.found, EXCERPT_LENGTH).text}
    else:
        row["found"] = escape_hidden(check.found)
    if check.help is not None:
        row["help"] = escape_hidden(check.help)
    return row
