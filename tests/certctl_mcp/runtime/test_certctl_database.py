"""On certctl's own database, an assistant sees its notifications straight away."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from mcp import Client

from certctl_mcp.cli.main import run
from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.settings import load_settings
from certctl_mcp.mcp_server.server import build_server
from certctl_mcp.runtime.application import Application, open_application
from certctl_mcp.runtime.renewal_policies import RenewalPolicies
from certctl_mcp.services.errors import DeliveriesOffError
from storage.alert_tiers import AlertTier
from storage.database import Database
from storage.errors import SchemaIncompleteError
from storage.maintenance.migrate import migrated, planned
from storage.models import NotificationStatus, Retained
from storage.operations.retention import Expiry, RetentionRun
from storage.repository import NotificationRepository
from storage.schema.migrations import Migrate
from tests import certctl_schema, postgresql
from tests.builders import LEASE, TOOK, UNLIMITED, WAIT, notification, request
from tests.in_process_server import answer
from tests.postgresql import Server
from tests.storage.raw_sql import rows

EVERYTHING = "SELECT * FROM notification_events ORDER BY id"
SCHEMA = """
SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Certctl:
    """A database of certctl's."""

    url: str
    server: Server

    def of(self, role: str) -> str:
        """The database's URL for another user."""
        return self.server.url(self.url.rpartition("/")[2], role)

    async def execute(self, *statements: str) -> None:
        await postgresql.execute(self.url, *statements)


@pytest.fixture
def certctl(empty_database: str, postgresql_server: Server) -> Certctl:
    asyncio.run(postgresql.execute(empty_database, *certctl_schema.NEWEST, *certctl_schema.ROWS))
    return Certctl(empty_database, postgresql_server)


@pytest.fixture
async def reader(certctl: Certctl) -> AsyncIterator[str]:
    """The URL for a user that may read certctl's tables and nothing else."""
    role = f"reader_{certctl.url.rpartition('/')[2]}"
    await certctl.execute(
        f"CREATE ROLE {role} LOGIN", f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    )
    yield certctl.of(role)
    await certctl.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@asynccontextmanager
async def opened(url: str, **options: object) -> AsyncIterator[Application]:
    environ = {"CERTCTL_DATABASE_URL": url, "CERTCTL_WEBHOOK_URL": "http://127.0.0.1:9/"}
    async with open_application(load_settings(None, environ, **options)) as application:
        yield application


@asynccontextmanager
async def assistant(url: str, **options: object) -> AsyncIterator[Client]:
    environ = {"CERTCTL_DATABASE_URL": url, "CERTCTL_WEBHOOK_URL": "http://127.0.0.1:9/"}
    async with Client(build_server(load_settings(None, environ, **options))) as client:
        yield client


@pytest.mark.parametrize("how", ["a user that may only read", "--no-migrate"])
async def test_without_permission_to_migrate_the_queue_is_readable_and_missing_features_are_listed(
    certctl: Certctl, reader: str, how: str
) -> None:
    before = rows(certctl.url, EVERYTHING), rows(certctl.url, SCHEMA)
    url, options = (certctl.url, {"database_migrate": False}) if how.startswith("--") else (reader, {})
    async with assistant(url, **options) as client:
        listed = await answer(client, "list_notifications")
        assert [row["id"] for row in listed["notifications"]] == ["n-waiting", "n-sent", "n-failed", "n-dead"]
        found = await answer(client, "get_notification", id="n-dead")
        assert found["notification"]["status"] == "dead"
        assert "sent_at" not in found["notification"]
        summary = await answer(client, "dashboard_summary")
        assert summary["notifications"] == {"pending": 1, "failed": 1, "sent": 1, "dead": 1, "read": 0}
        assert "deliveries, sending, requeueing" in summary["off"][0]
        assert "certctl-mcp migrate" in summary["off"][0]
        diagnosed = await answer(client, "diagnose_dead_letters")
        assert diagnosed["dead"] == 1
        refused = await client.call_tool("requeue_notification", {"id": "n-dead"})
        assert refused.is_error
        assert "certctl-mcp migrate" in refused.content[0].text  # type: ignore[union-attr]
    assert (rows(certctl.url, EVERYTHING), rows(certctl.url, SCHEMA)) == before


async def test_a_read_only_server_leaves_its_schema_alone(certctl: Certctl) -> None:
    before = rows(certctl.url, EVERYTHING), rows(certctl.url, SCHEMA)
    async with assistant(certctl.url, read_only=True) as client:
        assert (await answer(client, "list_notifications"))["total"] == 4
    assert (rows(certctl.url, EVERYTHING), rows(certctl.url, SCHEMA)) == before


def test_commands_that_read_leave_its_schema_alone(
    certctl: Certctl, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CERTCTL_DATABASE_URL", certctl.url)
    before = rows(certctl.url, EVERYTHING), rows(certctl.url, SCHEMA)
    for arguments in (["list"], ["summary"], ["show", "n-dead"], ["channels"]):
        assert run(arguments) == 0
    assert "n-failed" in capsys.readouterr().out
    assert (rows(certctl.url, EVERYTHING), rows(certctl.url, SCHEMA)) == before


async def test_certctls_certificates_agents_and_jobs_are_counted(certctl: Certctl) -> None:
    async with opened(certctl.url) as application:
        summary = await application.stats.dashboard_summary()
    assert summary.unreadable == ()
    assert (summary.total_certificates, summary.expiring_certificates) == (4, 1)
    assert (summary.expired_certificates, summary.revoked_certificates) == (1, 1)
    assert (summary.total_agents, summary.active_agents, summary.offline_agents) == (3, 1, 2)
    assert (summary.pending_jobs, summary.failed_jobs, summary.complete_jobs) == (1, 1, 1)


def test_a_migration_adds_only_what_its_dry_run_shows(
    certctl: Certctl, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CERTCTL_DATABASE_URL", certctl.url)
    schema, before = rows(certctl.url, SCHEMA), rows(certctl.url, EVERYTHING)
    assert run(["migrate", "--dry-run"]) == 0
    dry = capsys.readouterr().out
    assert "would add column notification_events.lease_owner\n" in dry
    assert "would add trigger certctl_mcp_accepted on notification_events\n" in dry
    assert "retry_count" not in dry
    assert rows(certctl.url, SCHEMA) == schema

    assert run(["migrate"]) == 0
    assert capsys.readouterr().out == dry.replace("would go ", "").replace("would add", "added")
    assert set(schema) < set(rows(certctl.url, SCHEMA))
    width = len(before[0])
    assert [row[:width] for row in rows(certctl.url, EVERYTHING)] == before
    assert asyncio.run(planned(certctl.url)).added == ()


async def test_ten_hosts_that_start_at_once_migrate_once(certctl: Certctl) -> None:
    with ThreadPoolExecutor(10) as hosts:
        done = list(hosts.map(lambda _: asyncio.run(migrated(certctl.url)), range(10)))
    assert len(done) == 10
    assert rows(certctl.url, "SELECT count(*) FROM certctl_mcp_version") == [(1,)]


async def test_a_user_without_permission_to_migrate_gets_a_clear_error(reader: str) -> None:
    with pytest.raises(SchemaIncompleteError, match="lacks"):
        await migrated(reader)


async def test_notifications_that_certctl_left_without_a_retry_time_are_claimed(certctl: Certctl) -> None:
    async with Database.open(certctl.url) as database:
        repository = NotificationRepository(database)
        claims = {
            claim.notification.id: claim
            for claim in (await repository.claim(request("w", LEASE, 10, UNLIMITED))).claims
        }
        assert claims.keys() == {"n-waiting", "n-failed"}
        assert not claims["n-failed"].notification.delivered
        await repository.record_failed_attempt(claims["n-failed"], TOOK, "HTTP 503", WAIT)
        assert (await repository.get("n-failed")).status is NotificationStatus.FAILED
        requeued = await repository.requeue("n-dead")
        assert (requeued.status, requeued.sent_at) == (NotificationStatus.PENDING, None)


async def test_certctl_can_still_write_to_its_table(certctl: Certctl) -> None:
    await migrated(certctl.url)
    await certctl.execute(
        "INSERT INTO notification_events (id, type, channel, recipient, message, status)"
        " VALUES ('n-new', 'Revocation', 'Email', 'ops', 'new', 'pending')",
        "UPDATE notification_events SET status = 'failed', sent_at = '0001-01-01Z' WHERE id = 'n-new'",
        "DELETE FROM managed_certificates WHERE id = 'mc-soon'",
    )
    async with Database.open(certctl.url) as database:
        claims = (await NotificationRepository(database).claim(request("w", LEASE, 10, UNLIMITED))).claims
    assert {claim.notification.id for claim in claims} == {"n-new", "n-failed"}


@pytest.mark.parametrize("said", [{}, {"deliver": False}, {"deliver": "watch"}], ids=str)
async def test_in_watch_mode_requeues_are_left_to_certctl_and_nothing_is_attempted(
    certctl: Certctl, said: dict[str, object]
) -> None:
    await migrated(certctl.url)
    async with assistant(certctl.url, **said) as client:
        summary = await answer(client, "dashboard_summary")
        assert "deliveries by this process" in summary["off"][0]
        requeued = await answer(client, "requeue_notification", id="n-dead")
        assert requeued["status"] == "pending"
        assert requeued["next"].startswith("certctl's server sends it within a minute, once")
        refused = await client.call_tool("retry_due_notifications", {})
        assert refused.is_error
        assert "certctl's server delivers" in refused.content[0].text  # type: ignore[union-attr]
    async with opened(certctl.url, **said) as application:
        assert not application.delivers
        with pytest.raises(DeliveriesOffError):
            await application.notifications.retry_failed_notifications()
    assert rows(certctl.url, "SELECT id FROM notification_events WHERE attempt_count > 0") == []
    assert rows(certctl.url, "SELECT status FROM notification_events WHERE id = 'n-dead'") == [("pending",)]


async def test_in_deliver_mode_we_deliver_everything(certctl: Certctl) -> None:
    await migrated(certctl.url)
    async with opened(certctl.url, deliver=True) as application:
        assert application.delivers
        summary = await application.stats.dashboard_summary()
        assert summary.off == ()
        assert summary.delivery is not None
        assert summary.delivery.startswith("deliver: certctl-mcp delivers everything")
        assert (await application.notifications.retry_failed_notifications()).failed == 2


@pytest.mark.parametrize("mode", ["rescue", "deliver"])
async def test_nothing_is_attempted_before_an_explicit_migration(certctl: Certctl, mode: str) -> None:
    before = rows(certctl.url, EVERYTHING), rows(certctl.url, SCHEMA)
    async with opened(certctl.url, deliver=mode) as application:
        with pytest.raises(DeliveriesOffError, match="certctl-mcp migrate"):
            await application.notifications.retry_failed_notifications()
    assert (rows(certctl.url, EVERYTHING), rows(certctl.url, SCHEMA)) == before
    async with opened(certctl.url, deliver=mode, database_migrate=True) as application:
        assert application.delivers


async def test_in_rescue_mode_alerts_that_certctl_may_be_sending_are_left_alone(certctl: Certctl) -> None:
    await migrated(certctl.url)
    await certctl.execute("UPDATE notification_events SET created_at = created_at - interval '6 minutes'")
    await certctl.execute(
        "INSERT INTO notification_events (id, type, channel, recipient, message)"
        " VALUES ('n-new', 'Revocation', 'Webhook', 'ops', 'new')"
    )
    async with opened(certctl.url, deliver="rescue") as application:
        assert (await application.notifications.retry_failed_notifications()).failed == 1
    left = "SELECT id, status FROM notification_events WHERE attempt_count = 0 ORDER BY id"
    assert rows(certctl.url, left) == [
        ("n-dead", "dead"), ("n-new", "pending"), ("n-sent", "sent"), ("n-waiting", "failed")
    ]  # fmt: skip


async def test_rescue_mode_requires_certctls_database(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="certctl's own database"):
        async with opened(f"sqlite:///{tmp_path / 'ours.db'}", deliver="rescue"):
            pass


SENT_LONG_AGO = """
INSERT INTO notification_events
  (id, type, certificate_id, channel, recipient, message, status, sent_at, created_at) VALUES
  ('w-soon', 'ExpirationWarning', 'mc-soon', 'Email', 'o', E'7 days\\n[threshold:7]', 'sent', {0}, {0}),
  ('w-fine', 'ExpirationWarning', 'mc-fine', 'Email', 'o', E'7 days\\n[threshold:7]', 'sent', {0}, {0}),
  ('w-gone', 'ExpirationWarning', 'mc-gone', 'Email', 'o', E'7 days\\n[threshold:7]', 'sent', {0}, {0}),
  ('w-words', 'ExpirationWarning', 'mc-soon', 'Email', 'o', 'written by hand', 'sent', {0}, {0}),
  ('renewal', 'RenewalSuccess', 'mc-soon', 'Email', 'o', 'renewed [threshold:7]', 'sent', {0}, {0})
""".format("now() - interval '100 days'")


async def test_a_purge_keeps_notifications_without_which_certctl_would_alert_again(certctl: Certctl) -> None:
    await certctl.execute(SENT_LONG_AGO)
    options = {"deliver": "deliver", "tools": "triage,purge", "database_migrate": True}
    async with assistant(certctl.url, **options) as client:
        preview = await answer(client, "purge_notifications", created_before="90d")
        assert preview["would_change"] == 4
        assert "1 more are kept: certctl remembers its alerts by them" in preview["next"]
        token = preview["confirmation"]
        done = await answer(client, "purge_notifications", created_before="90d", confirmation=token)
        assert done["changed"] == 4
        named = await answer(client, "purge_notifications", ids=["w-soon"])
        assert named["would_change"] == 0
    assert {row[0] for row in rows(certctl.url, EVERYTHING)} & {"w-soon", "w-fine", "w-gone"} == {"w-soon"}


async def test_a_purge_without_a_preview_keeps_them_too(certctl: Certctl) -> None:
    await certctl.execute(SENT_LONG_AGO)
    async with Database.open(certctl.url) as database:
        report = await NotificationRepository(database).purge_all(
            ["w-soon", "w-fine"], statuses=(NotificationStatus.SENT,), created_until=database.clock()
        )
    assert (report.changed, report.other_status) == (1, 1)


async def test_retention_keeps_them_too(certctl: Certctl) -> None:
    await certctl.execute(SENT_LONG_AGO)
    async with Database.open(certctl.url) as database:
        before = database.clock() - timedelta(days=90)
        run = RetentionRun("retention")
        await NotificationRepository(database).delete_expired(Expiry(Retained.SENT, before, run))
    left = {row[0] for row in rows(certctl.url, EVERYTHING)}
    assert left == {"w-soon", "n-waiting", "n-failed", "n-sent", "n-dead"}


async def test_the_urgency_of_dead_letters_is_that_of_their_certificates(certctl: Certctl) -> None:
    await certctl.execute(
        "UPDATE notification_events SET status = 'dead', certificate_id = 'mc-gone' WHERE id = 'n-sent'",
        "UPDATE managed_certificates SET expires_at = now() + interval '5 days 1 hour' WHERE id = 'mc-soon'",
    )
    async with assistant(certctl.url) as client:
        diagnosed = await answer(client, "diagnose_dead_letters")
        assert diagnosed["urgency"] == (
            "Of 2 dead letters, 1 is about certificates renewed or revoked since; 1 still expires, 1 of them "
            "within a day or already."
        )
        listed = await answer(client, "list_notifications")
        certificates = {row["id"]: row.get("certificate") for row in listed["notifications"]}
        assert certificates == {
            "n-waiting": "expires in 5 days",
            "n-dead": "expired 1 day ago",
            "n-sent": "revoked",
            "n-failed": None,
        }
        urgent = await answer(client, "list_notifications", urgency="urgent")
        assert [row["id"] for row in urgent["notifications"]] == ["n-dead"]
        settled = await answer(client, "list_notifications", status=["dead"], urgency="settled")
        assert ([row["id"] for row in settled["notifications"]], settled["total"]) == (["n-sent"], 1)


async def test_a_renewal_policy_sets_the_tier_of_a_threshold(certctl: Certctl) -> None:
    policies = RenewalPolicies()
    warning = notification(certificate_id="mc-soon")
    assert await policies.tier(warning, 7) is None
    await certctl.execute(
        """INSERT INTO renewal_policies VALUES
        ('strict', '{"7": "critical", "3": "critical", "2": "loud", "x": "warning"}'), ('plain', '{}')""",
        "UPDATE managed_certificates SET renewal_policy_id = 'strict' WHERE id = 'mc-soon'",
        "UPDATE managed_certificates SET renewal_policy_id = 'plain' WHERE id = 'mc-late'",
    )
    async with Database.open(certctl.url, migrate=Migrate.NEVER) as database:
        policies.read_from(database)
        assert await policies.tier(warning, 7) is AlertTier.CRITICAL
        assert await policies.tier(warning, 2) is None
        assert await policies.tier(notification(certificate_id="mc-late"), 7) is None
        assert await policies.tier(notification(certificate_id="gone"), 7) is None


async def test_a_certctl_version_without_tiers_has_none(certctl: Certctl) -> None:
    await certctl.execute("DROP TABLE renewal_policies")
    policies = RenewalPolicies()
    async with Database.open(certctl.url, migrate=Migrate.NEVER) as database:
        policies.read_from(database)
        assert await policies.tier(notification(certificate_id="mc-soon"), 7) is None
