"""The checks of a setup: settings, files, database and running processes, within a time limit."""

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Connection, text

from certctl_mcp.checks.checklist import check_setup
from certctl_mcp.checks.results import CheckReport, CheckResult, Verdict
from certctl_mcp.config.settings import Settings, load_settings
from certctl_mcp.runtime.application import Application, open_application
from storage.database import Database
from storage.engine.sqlite.database_file import LOW_SPACE
from storage.maintenance.migrate import migrated
from storage.platform import DiskSpace
from storage.schema.migrations import REVISIONS
from tests.builders import Queue
from tests.storage.raw_sql import run

NOBODY_LISTENS = {"CERTCTL_WEBHOOK_URL": "http://127.0.0.1:9/"}


@asynccontextmanager
async def no_queue() -> AsyncIterator[Application | None]:
    yield None


def queue_of(settings: Settings) -> Callable[[], AbstractAsyncContextManager[Application | None]]:
    return lambda: open_application(settings)


async def checked(settings: Settings, name: str) -> list[CheckResult]:
    report = await check_setup(settings, no_queue)
    return [check for check in report.checks if check.name == name]


async def only(settings: Settings, name: str) -> CheckResult:
    (found,) = await checked(settings, name)
    return found


def only_now(settings: Settings, name: str) -> CheckResult:
    return anyio.run(only, settings, name)


def settings_with(url: str, **variables: str) -> Settings:
    return load_settings(None, {"CERTCTL_DATABASE_URL": url, **variables})


async def test_the_source_of_the_settings_and_their_problems_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('max_attempts = 3\n[channels.PagerDuty]\nrouting_key = "your-routing-key"\n')
    environ = {
        "CERTCTL_DATABASE_URL": f"sqlite:///{tmp_path}/q.db",
        "CERTCTL_NOTIFICATION_MAX_ATEMPTS": "9",
        "CERTCTL_API_KEYS_NAMED": "ops:change-me,board:aaaaaaaaaa",
    }
    sources, *problems = await checked(load_settings(file, environ), "settings")
    assert sources.found == (
        "from the environment: CERTCTL_DATABASE_URL, CERTCTL_API_KEYS_NAMED; "
        f"from {file}: max_attempts, channels.PagerDuty; everything else is at its default"
    )
    assert [(problem.verdict.value, problem.found.split()[0]) for problem in problems] == [
        ("warn", "the"),
        ("fail", "CERTCTL_API_KEYS_NAMED"),
        ("fail", "channels.PagerDuty.routing_key"),
        ("warn", "the"),
    ]
    assert "did you mean CERTCTL_NOTIFICATION_MAX_ATTEMPTS?" in problems[0].found
    assert problems[3].found == "the API key of board is easy to guess"


async def test_files_must_be_private_and_readable(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        f'[channels.Slack]\nwebhook_url = "https://x.invalid/"\nca_file = "{tmp_path}/none.pem"\n'
    )
    file.chmod(0o644)
    settings = load_settings(file, {})
    config = await only(settings, "settings file")
    assert (config.verdict, config.help) == (Verdict.WARN, f"chmod 600 {file}")
    authority = await only(settings, "files of Slack")
    assert (authority.verdict, authority.found) == (
        Verdict.FAIL,
        f"{tmp_path}/none.pem can't be used: No such file or directory",
    )
    file.chmod(0o600)
    assert (await only(settings, "settings file")).verdict is Verdict.OK


async def test_a_missing_database_is_not_created(tmp_path: Path) -> None:
    path = tmp_path / "none" / "q.db"
    found = await only(settings_with(f"sqlite:///{path}"), "database")
    assert (found.verdict, found.found) == (
        Verdict.WARN,
        f"there is no database yet at {path} (from CERTCTL_DATABASE_URL)",
    )
    assert not path.parent.exists()


def test_a_healthy_database_is_described_and_not_changed(fresh_url: str, database_path: Path) -> None:
    database_path.chmod(0o600)
    before = database_path.read_bytes()
    report = anyio.run(check_setup, settings_with(fresh_url), no_queue)
    found = {check.name: check for check in report.checks}
    assert report.failed == 0
    assert found["database"].found.startswith(f"{database_path}, ")
    assert ", mode 600 (from CERTCTL_DATABASE_URL)" in found["database"].found
    assert found["database schema"].found == f"revision {REVISIONS[-1]}, the newest"
    assert {
        name: found[name].verdict.value for name in ("database", "database schema", "database disk", "clock")
    } == {
        "database": "ok",
        "database schema": "ok",
        "database disk": "ok",
        "clock": "ok",
    }
    assert database_path.read_bytes() == before


def test_problems_of_a_database_are_reported(
    fresh_url: str, database_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_with(fresh_url)
    database_path.chmod(0o644)
    assert (only_now(settings, "database")).help == f"chmod 600 {database_path}"
    tomorrow = time.time() + 86_400
    os.utime(database_path, (tomorrow, tomorrow))
    assert (only_now(settings, "clock")).verdict is Verdict.WARN
    space = "storage.maintenance.database_state.disk_space"
    monkeypatch.setattr(space, lambda path: DiskSpace(LOW_SPACE - 1, 1 << 40))
    assert (only_now(settings, "database disk")).verdict is Verdict.FAIL
    monkeypatch.setattr("storage.maintenance.database_state.is_owned_by_another", lambda path: True)
    assert "it belongs to another user" in (only_now(settings, "database")).found
    database_path.write_text("not a database, whatever its name says" * 20)
    assert (only_now(settings, "database")).verdict is Verdict.FAIL


async def test_an_older_and_a_newer_schema_are_distinguished(fresh_url: str) -> None:
    async def set_revision(revision: str) -> None:
        def update(connection: Connection) -> None:
            connection.execute(text("UPDATE certctl_mcp_version SET version_num = :v"), {"v": revision})
            connection.commit()

        async with Database.open(fresh_url) as database:
            await database.read(update)

    await set_revision("0008")
    older = await only(settings_with(fresh_url), "database schema")
    assert older.found == f"revision 0008, and {REVISIONS[-1]} is the newest"
    assert older.verdict is Verdict.WARN


async def test_a_schema_that_lost_a_part_is_reported_until_it_is_migrated_again(
    fresh_url: str, database_path: Path
) -> None:
    run(database_path, "DROP TRIGGER certctl_mcp_count_delete")
    found = await only(settings_with(fresh_url), "database schema")
    assert found.verdict is Verdict.WARN
    assert found.found.endswith("without trigger certctl_mcp_count_delete on notification_events")
    run(database_path, "DELETE FROM certctl_mcp_version")
    await migrated(fresh_url)
    assert (await only(settings_with(fresh_url), "database schema")).verdict is Verdict.OK


@pytest.mark.postgresql
async def test_on_postgresql_the_clocks_are_compared(database_url: str) -> None:
    report = await check_setup(settings_with(database_url), no_queue)
    found = {check.name: check for check in report.checks}
    assert found["database"].verdict is Verdict.OK
    assert found["clock"].found.startswith("the database's and this machine's differ by ")
    assert found["clock"].verdict is Verdict.OK
    assert "database disk" not in found


async def test_served_and_unserved_channels_are_reported(fresh_url: str, queue: Queue) -> None:
    await queue.pending(channel="Fax")
    settings = settings_with(fresh_url, **NOBODY_LISTENS)

    async def deliveries() -> list[str]:
        report = await check_setup(settings, queue_of(settings))
        return [check.found for check in report.checks if check.name == "deliveries"]

    waiting = "1 notifications are waiting for 1 channels that no running process has"
    assert await deliveries() == ["no running process delivers", waiting]
    async with open_application(settings) as application:
        assert application.presence is not None
        async with anyio.create_task_group() as tasks:
            version = application.repository.changes.version
            tasks.start_soon(application.presence.run)
            await application.repository.changes.wait_beyond(version)
            assert await deliveries() == ["running processes that have each channel: Webhook (1)", waiting]
            tasks.cancel_scope.cancel()


async def test_a_hanging_check_times_out_and_the_others_continue(fresh_url: str) -> None:
    @asynccontextmanager
    async def hanging() -> AsyncIterator[Application | None]:
        await anyio.sleep_forever()
        yield None

    report = await check_setup(settings_with(fresh_url), hanging, time_limit=timedelta(seconds=0.3))
    (hung,) = (check for check in report.checks if check.name == "deliveries")
    assert (hung.verdict, hung.found) == (Verdict.FAIL, "not finished within 300ms")
    assert report.failed == 1


async def test_without_a_channel_nothing_can_be_delivered(fresh_url: str) -> None:
    assert (await only(settings_with(fresh_url), "channels")).verdict is Verdict.WARN


def test_a_report_counts_failures_and_warnings(fresh_url: str) -> None:
    checks = [CheckResult(name="x", verdict=verdict, found="") for verdict in Verdict]
    report = CheckReport.of(tuple(checks))
    assert (report.failed, report.warned) == (1, 1)
