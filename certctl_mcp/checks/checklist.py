"""The checks of the setup that the command `doctor` and the tool `check_setup` share.

They run concurrently, each with a time limit.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial

import anyio

from certctl_mcp.checks.connections import check_connection
from certctl_mcp.checks.database import check_database
from certctl_mcp.checks.deliveries import OpenApplication, check_deliveries
from certctl_mcp.checks.files import check_files
from certctl_mcp.checks.results import CheckReport, CheckResult, fail, warn
from certctl_mcp.checks.settings import check_settings
from certctl_mcp.config.destinations import Channel
from certctl_mcp.config.durations import format_duration
from certctl_mcp.config.settings import Settings

TIME_LIMIT = timedelta(seconds=10)
"""The time limit of each check."""

Check = Callable[[], Awaitable[Sequence[CheckResult]]]


async def check_setup(
    settings: Settings, open_application: OpenApplication, *, time_limit: timedelta = TIME_LIMIT
) -> CheckReport:
    """Check everything that can be checked without changing or sending anything. Never raises."""
    checks = list(_checks(settings, open_application))
    results: list[Sequence[CheckResult]] = [()] * len(checks)

    async def run(number: int, name: str, check: Check) -> None:
        with anyio.move_on_after(time_limit.total_seconds()) as limit:
            results[number] = await check()
        if limit.cancelled_caught:
            results[number] = (fail(name, f"not finished within {format_duration(time_limit)}"),)

    async with anyio.create_task_group() as tasks:
        for number, (name, check) in enumerate(checks):
            tasks.start_soon(run, number, name, check)
    return CheckReport.of(tuple(result for found in results for result in found))


def _checks(settings: Settings, open_application: OpenApplication) -> Iterator[tuple[str, Check]]:
    yield "settings", partial(check_settings, settings)
    yield "files", partial(check_files, settings)
    yield "database", partial(check_database, settings)
    yield "deliveries", partial(check_deliveries, open_application)
    for channel in settings.channels:
        yield f"channel {channel.name}", partial(_connection, channel)
    if not settings.channels:
        yield "channels", _no_channel


async def _connection(channel: Channel) -> Sequence[CheckResult]:
    return (await check_connection(channel),)


async def _no_channel() -> Sequence[CheckResult]:
    remedy = "run `certctl-mcp init`, or set a variable such as CERTCTL_SLACK_WEBHOOK_URL"
    return (warn("channels", "none is configured, so nothing can be delivered", remedy),)
