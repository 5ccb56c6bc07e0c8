"""certctl delivers and certctl-mcp watches: it changes nothing, and its statements about certctl are true."""

import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from mcp import Client

from certctl_mcp.cli.main import run
from certctl_mcp.config.settings import load_settings
from certctl_mcp.config.tool_groups import TOOLS, ToolGroup
from certctl_mcp.mcp_server.server import build_server
from tests import certctl_schema, postgresql
from tests.in_process_server import answer

READING_TOOLS: dict[str, dict[str, object]] = {
    "list_notifications": {"status": ["failed"]},
    "get_notification": {"id": "n-failed"},
    "delivery_report": {"chart": True},
    "diagnose_dead_letters": {},
    "dashboard_summary": {},
    "list_channels": {},
    "check_setup": {},
    "audit_log": {},
}
READING_COMMANDS = (
    "list",
    "list --status failed --json",
    "show n-failed",
    "summary",
    "channels",
    "diagnose",
    "report",
    "audit",
    "config",
    "requeue --status dead --dry-run",
    "migrate --dry-run",
)


@pytest.fixture
async def url(certctl_url: str) -> str:
    await postgresql.execute(certctl_url, *certctl_schema.ROWS)
    # certctl has left n-waiting too: its loop should have sent it long ago.
    await postgresql.execute(
        certctl_url, "UPDATE notification_events SET created_at = now() - interval '6 minutes'"
    )
    return certctl_url


@pytest.fixture(params=["as certctl made it", "migrated"])
def watched_url(request: pytest.FixtureRequest, url: str) -> str:
    if request.param == "migrated":
        request.getfixturevalue("migrated_url")
    return url


def environ(url: str, **more: str) -> dict[str, str]:
    return {"CERTCTL_DATABASE_URL": url, "CERTCTL_WEBHOOK_URL": "http://127.0.0.1:9/", **more}


@asynccontextmanager
async def assistant(url: str, **more: str) -> AsyncIterator[Client]:
    async with Client(build_server(load_settings(None, environ(url, **more)))) as client:
        yield client


def dump(url: str) -> str:
    """The schema and the rows, as written by `pg_dump`."""
    done = subprocess.run(
        [postgresql.programs() / "pg_dump", "--dbname", url], capture_output=True, text=True, check=True
    )
    # Newer versions of pg_dump write a random word.
    return "\n".join(line for line in done.stdout.splitlines() if "restrict" not in line)


async def test_no_reading_tool_changes_schema_or_rows(watched_url: str) -> None:
    assert READING_TOOLS.keys() == set(TOOLS[ToolGroup.TRIAGE])
    before = dump(watched_url)
    async with assistant(watched_url) as client:
        for tool, arguments in READING_TOOLS.items():
            await answer(client, tool, **arguments)
        for resource in (await client.list_resources()).resources:
            await client.read_resource(str(resource.uri))
    assert dump(watched_url) == before


def test_no_reading_command_changes_schema_or_rows(
    watched_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = dump(watched_url)
    for name in [name for name in os.environ if name.startswith("CERTCTL_")]:
        monkeypatch.delenv(name)
    for name, value in environ(watched_url).items():
        monkeypatch.setenv(name, value)
    for command in READING_COMMANDS:
        assert run(command.split()) == 0, command
    assert run(["--no-migrate", "summary"]) == 0
    capsys.readouterr()
    # The channel's receiver doesn't exist; that certctl delivers is no failure.
    assert run(["doctor"]) == 1
    checked = capsys.readouterr().out
    assert checked.endswith(" 1 failed\n")
    assert re.search(r"^ok +database schema: ", checked, re.MULTILINE)
    assert dump(watched_url) == before


async def test_alerts_that_certctl_leaves_are_found_counted_and_explained(watched_url: str) -> None:
    async with assistant(watched_url) as client:
        summary = await answer(client, "dashboard_summary")
        assert (summary["notifications_stuck"], summary["waiting_unserved"]) == (2, 0)
        assert summary["delivery"].startswith("watch: certctl's server delivers.")
        channels = await answer(client, "list_channels")
        assert channels["delivery"] == summary["delivery"]
        assert channels["nobody_delivers"] == [{"waiting": 2, "untrusted": {"channel": "Webhook"}}]
        failed = (await answer(client, "get_notification", id="n-failed"))["account"]
        assert "It is stuck: certctl's server delivers on this database and never retries" in failed
        waiting = (await answer(client, "get_notification", id="n-waiting"))["account"]
        assert "It is stuck: certctl's server" in waiting
        sent = (await answer(client, "get_notification", id="n-sent"))["account"]
        assert "also when it has no notifier for the channel" in sent
        dead = (await answer(client, "get_notification", id="n-dead"))["account"]
        assert "certctl's server sends it within a minute, once" in dead
        diagnosed = await answer(client, "diagnose_dead_letters")
        actions = {group["untrusted"]["channel"]: group["action"] for group in diagnosed["groups"]}
        assert "certctl's server never retries them: requeue" in actions["Webhook"]
        assert "once requeued, certctl's server sends each once" in actions["Slack"]
        report = await answer(client, "delivery_report")
        assert "certctl's server delivers and records none of its own" in report["note"]
        assert "1 failed" in report["note"]


async def test_a_requeued_alert_is_left_for_certctl_to_send(url: str, migrated_url: str) -> None:
    async with assistant(url) as client:
        requeued = await answer(client, "requeue_notification", id="n-dead")
        assert requeued["next"].startswith("certctl's server sends it within a minute, once")
        preview = await answer(client, "requeue_notifications", status=["failed"])
        assert "not configured" not in preview["next"]
        confirmed = await answer(
            client, "requeue_notifications", status=["failed"], confirmation=preview["confirmation"]
        )
        assert "certctl's server sends 50 a minute, each once" in confirmed["next"]
        sent = await answer(client, "send_notification", type="Test", channel="Slack", message="hello")
        assert sent["status"] == "pending"


async def test_a_rescuing_process_says_so(url: str, migrated_url: str) -> None:
    async with assistant(url, CERTCTL_NOTIFICATION_DELIVER="rescue") as client:
        while not (summary := await answer(client, "dashboard_summary"))["processes_alive"]:
            pass
        assert summary["delivery"].startswith("rescue: certctl's server delivers. certctl-mcp takes over")
        assert summary["notifications_stuck"] == 0
        sent = await answer(client, "send_notification", type="Test", channel="Webhook", message="hello")
        story = (await answer(client, "get_notification", id=sent["id"]))["account"]
        assert "certctl's server" not in story
        waiting = (await answer(client, "get_notification", id="n-waiting"))["account"]
        assert "is automatic; 5 more attempts" in waiting


async def test_a_certctl_that_delivers_when_it_must_not_is_reported(url: str, migrated_url: str) -> None:
    async with assistant(url, CERTCTL_NOTIFICATION_DELIVER="deliver") as client:
        while not (summary := await answer(client, "dashboard_summary"))["processes_alive"]:
            pass
        assert summary["delivery"] == (
            "deliver: certctl-mcp delivers everything, and certctl's server must not run."
        )
        await postgresql.execute(
            url,
            "INSERT INTO notification_events (id, type, channel, recipient, message, status, sent_at)"
            " VALUES ('n-new', 'Revocation', 'Email', 'ops', 'new', 'sent', now())",
        )
        assert "it has settled 1 itself" in (await answer(client, "list_channels"))["delivery"]
