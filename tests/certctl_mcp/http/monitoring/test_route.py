"""The metrics have certctl's names, pass Prometheus's linter, and never report an unchecked value as good."""

import asyncio
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from certctl_mcp.config.retention import RetentionSettings
from certctl_mcp.config.settings import Settings, load_settings
from certctl_mcp.delivery.metrics import AttemptMeter
from certctl_mcp.delivery.retention import Retention
from certctl_mcp.http.app import http_server
from certctl_mcp.http.monitoring.prometheus import Snapshot, expose
from certctl_mcp.http.monitoring.requests import RequestMetrics
from certctl_mcp.http.monitoring.snapshots import Snapshots
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.runtime.application import Application, open_application
from storage.errors import StorageError
from storage.models import AttemptOutcome
from tests.builders import LEASE, NOON, Queue, SettableClock, new_notification, request
from tests.certctl_mcp.fake_notifiers import PATIENCE
from tests.certctl_mcp.http.conftest import OPERATOR, READER, Served
from tests.certctl_mcp.http.monitoring.scrape import METRICS, Scrape, scrape
from tests.certctl_mcp.http.test_mcp import MODERN, MODERN_HEADERS, post
from tests.certctl_mcp.services.test_stats import write_table
from tests.context_in_task import ContextInTask
from tests.e2e.http_receiver import Receiver
from tests.promtool import promtool
from tests.storage.raw_sql import connected

ATTEMPTS = "certctl_notification_attempts_total"
TOOK = "certctl_notification_attempt_duration_seconds"


def write_tables_of_certctl(database_url: str) -> None:
    month = timedelta(days=30)
    expiries = [
        ("Active", NOON + 2 * month),
        ("Active", NOON + 3 * month),
        ("Active", NOON + month / 2),
        ("Active", NOON - month),
        ("Revoked", NOON + month),
    ]
    write_table(database_url, "managed_certificates", ["status", "expires_at"], expiries)
    write_table(database_url, "agents", ["last_heartbeat_at"], [(NOON,), (NOON - month,)])
    write_table(database_url, "jobs", ["status"], [("Pending",), ("Failed",), ("Completed",), ("Completed",)])


async def test_promtool_finds_no_problems(served: Served, queue: Queue, database_url: str) -> None:
    write_tables_of_certctl(database_url)
    await queue.dead()
    await scrape(served)
    text = (await scrape(served)).text
    # In certctl these are gauges, despite their names.
    text = re.sub(r"certctl_(agent|certificate)_total", r"certctl_\1s", text)
    assert promtool("check", "metrics", given=text) == ""


async def test_certctls_metrics_have_certctls_types_and_values(
    served: Served, queue: Queue, database_url: str
) -> None:
    write_tables_of_certctl(database_url)
    await queue.dead()
    found = await scrape(served)
    expected = {
        "certctl_notification_dead_total": ("counter", 1),
        "certctl_certificate_total": ("gauge", 5),
        "certctl_agent_total": ("gauge", 2),
        "certctl_certificate_active": ("gauge", 2),
        "certctl_certificate_expiring_soon": ("gauge", 1),
        "certctl_certificate_expired": ("gauge", 1),
        "certctl_certificate_revoked": ("gauge", 1),
        "certctl_agent_online": ("gauge", 1),
        "certctl_job_pending": ("gauge", 1),
        "certctl_job_completed_total": ("counter", 2),
        "certctl_job_failed_total": ("counter", 1),
    }
    assert {name: (found.types[name], found(name)) for name in expected} == expected
    assert found.types["certctl_uptime_seconds"] == "gauge"


async def test_metrics_show_the_current_queue(served: Served, queue: Queue, clock: SettableClock) -> None:
    dead = await queue.dead()
    await queue.skipped()
    clock.advance(timedelta(hours=1))
    await queue.claimed(lease=LEASE)
    clock.advance(LEASE / 3)
    await queue.pending()
    clock.advance(LEASE / 3)
    found = await scrape(served)
    told = {status: found("certctl_notifications", status=status) for status in ("pending", "sent", "dead")}
    assert told == {"pending": 2, "sent": 1, "dead": 1}
    assert found("certctl_notification_dead_total") == 1
    assert found("certctl_notifications_undelivered") == 1
    assert found("certctl_notification_oldest_dead_age_seconds") == 3600 + 30
    assert found("certctl_notification_oldest_due_age_seconds") == 15
    assert found("certctl_notification_leases_held") == 1
    assert found("certctl_database_up") == 1
    await queue.repository.requeue(dead.id)
    assert (await scrape(served))("certctl_notification_dead_total") == 0


async def test_an_empty_queue_has_zero_ages_and_no_certificate_metrics(served: Served) -> None:
    found = await scrape(served)
    assert found("certctl_notification_oldest_due_age_seconds") == 0
    assert found("certctl_notification_oldest_dead_age_seconds") == 0
    assert found("certctl_notifications", status="dead") == 0
    assert not any(name.startswith(("certctl_cert", "certctl_agent", "certctl_job")) for name in found.names)


async def test_an_unreadable_queue_has_no_queue_metrics(served: Served, database_path: Path) -> None:
    assert (await scrape(served))("certctl_database_up") == 1
    with connected(database_path) as other:
        other.execute("ALTER TABLE notification_events RENAME TO gone")
    found = await scrape(served)
    assert found("certctl_database_up") == 0
    told = {name for name in found.names if name.startswith("certctl_notification")}
    of_the_queue = {name for name in told if not name.startswith("certctl_notification_attempt")}
    assert of_the_queue == {"certctl_notification_dead_letter_alerts_total"}
    assert ATTEMPTS in told


async def test_a_scrape_does_not_wait_for_a_slow_database(clock: SettableClock) -> None:
    async def never() -> Application:
        await asyncio.Event().wait()
        raise AssertionError

    async def broken() -> Application:
        raise StorageError("the database /x.db can't be opened")

    for find in (never, broken):
        reading = await Snapshots(find, RequestMetrics(), clock).take(within=timedelta(milliseconds=10))
        found = Scrape(expose(reading, "").body.decode())
        assert found("certctl_database_up") == 0
        assert ATTEMPTS not in found.names
        assert found("certctl_uptime_seconds") >= 0.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


async def test_attempts_are_counted_and_timed_by_configured_channels(
    queue: Queue, database_url: str, receiver: Receiver
) -> None:
    hostile = 'Fax"} 1\n'
    for channel in ("Webhook", hostile, hostile + "2"):
        await queue.pending(channel=channel)
    settings = load_settings(
        None,
        {
            "CERTCTL_DATABASE_URL": database_url,
            "CERTCTL_WEBHOOK_URL": f"http://127.0.0.1:{receiver.server_port}/",
            "CERTCTL_SLACK_WEBHOOK_URL": "http://127.0.0.1:9/",
        },
    )
    context = ContextInTask(http_server(settings))
    server = await context.enter()
    application = await server.state.opened.application()
    assert await asyncio.to_thread(receiver.asked.wait, PATIENCE.total_seconds())
    assert await application.retry_loop.wait_for_completion(PATIENCE)
    found = await scrape(Served(server))
    await context.exit()
    assert found(ATTEMPTS, channel="Webhook", outcome="sent", kind="") == 1
    assert found(ATTEMPTS, channel="other", outcome="skipped", kind="") == 0
    # Present from the start: otherwise the first failure would not show as an increase.
    assert found(ATTEMPTS, channel="Slack", outcome="failed", kind="outage") == 0
    assert found.labels(ATTEMPTS, "channel") == {"Webhook", "Slack", "other"}
    assert found(f"{TOOK}_count", channel="Webhook") == 1
    assert found(f"{TOOK}_count", channel="other") == 0
    assert "Fax" not in found.text


async def test_retention_counts_deletions_by_kind_and_records_its_completion_time(
    queue: Queue, clock: SettableClock
) -> None:
    await queue.sent()
    clock.advance(timedelta(days=2))
    settings = RetentionSettings(sent=timedelta(days=1), audit=timedelta(days=1))
    retention = Retention(queue.repository, settings, actor="worker-1", clock=clock)

    def exposed() -> Scrape:
        return Scrape(expose(Snapshot(NOON, 1, retention=retention), "").body.decode())

    name = "certctl_notification_retention_deleted_total"
    completed = "certctl_notification_retention_completed_timestamp_seconds"
    assert (exposed()(name, kind="sent"), exposed()(completed)) == (0, 0)
    await retention.delete_expired()
    assert (exposed()(name, kind="sent"), exposed()(name, kind="audit")) == (1, 0)
    assert exposed()(completed) == clock.now.timestamp()
    assert name not in Scrape(expose(Snapshot(NOON, 1), "").body.decode()).names


@pytest.mark.parametrize("deliver", [True, False])
async def test_only_a_process_that_delivers_has_retention_metrics(database_url: str, deliver: bool) -> None:
    settings = Settings.model_validate(
        {"database_url": database_url, "deliver": deliver, "retention": {"sent": "90d"}}
    )
    async with open_application(settings) as application:
        assert (application.retention is not None) is deliver


async def test_fallbacks_and_dead_letter_alerts_are_counted_when_accepted(
    database_url: str, queue: Queue
) -> None:
    settings = Settings.model_validate(
        {
            "database_url": database_url,
            "channels": {
                "Webhook": {"url": "http://127.0.0.1:9/", "fallback": "Slack"},
                "Slack": {"webhook_url": "http://127.0.0.1:9/"},
            },
            "dead_letters": {"alert": "Slack"},
        }
    )
    async with open_application(settings) as application:
        for _ in range(2):
            await application.repository.accept(new_notification(channel="Webhook"))
        for claimed in (await application.repository.claim(request())).claims:
            await application.repository.mark_as_dead(
                claimed, timedelta(seconds=1), "no connection to 127.0.0.1 within 1 s"
            )
        snapshot = Snapshot(NOON, 1, attempts=application.retry_loop.meter, successors=application.successors)
    found = Scrape(expose(snapshot, "").body.decode())
    # One alert for both: they died of the same cause.
    assert found("certctl_notification_dead_letter_alerts_total") == 1
    assert found("certctl_notification_fallbacks_total", channel="Slack") == 2
    assert found("certctl_notification_fallbacks_total", channel="Webhook") == 0


def test_attempts_are_counted_in_each_bucket_that_they_fit_in() -> None:
    meter = AttemptMeter(["Webhook"])
    for milliseconds in (40, 200, 30_001):
        meter.ended("Webhook", AttemptOutcome.SENT, timedelta(milliseconds=milliseconds))
    meter.ended("Webhook", None, None)
    found = Scrape(expose(Snapshot(NOON, 1, attempts=meter), "").body.decode())
    buckets = {
        le: found(f"{TOOK}_bucket", channel="Webhook", le=le)
        for le in ("0.05", "0.1", "0.25", "30.0", "60.0", "+Inf")
    }
    assert buckets == {"0.05": 1, "0.1": 1, "0.25": 2, "30.0": 2, "60.0": 3, "+Inf": 3}
    assert found(f"{TOOK}_sum", channel="Webhook") == pytest.approx(30.241)
    assert found(ATTEMPTS, channel="Webhook", outcome="unrecorded", kind="") == 1
    assert found.types[TOOK] == "histogram"


async def test_requests_are_counted_by_route_and_not_by_what_clients_write(served: Served) -> None:
    async with served.client(OPERATOR) as client:
        for path in ("/api/v1/notifications/a", "/api/v1/notifications/b", "/made/up"):
            assert (await client.get(path)).status_code == 404
        await client.request("INVENTED", "/health")
        await client.post("/mcp", content="")
    found = await scrape(served)
    requests = "certctl_http_requests_total"
    assert found(requests, route="/api/v1/notifications/{id}", method="GET", code="404") == 2
    assert found(requests, route="none", method="GET", code="404") == 1
    assert found("certctl_http_request_duration_seconds_count", route="/api/v1/notifications/{id}") == 2
    assert found.labels(requests, "method") == {"GET", "POST", "other"}
    assert "/mcp" in found.labels(requests, "route")
    assert "/made/up" not in found.text


async def test_failed_attempts_are_counted_by_kind_of_failure(clock: SettableClock) -> None:
    meter = AttemptMeter(["Webhook"])
    meter.ended("Webhook", AttemptOutcome.FAILED, timedelta(seconds=1), FailureKind.OUTAGE)
    meter.ended("Webhook", AttemptOutcome.DEAD, timedelta(seconds=1), FailureKind.RECIPIENT)
    found = Scrape(expose(Snapshot(clock(), 0, attempts=meter), "").body.decode())
    assert found(ATTEMPTS, channel="Webhook", outcome="failed", kind="outage") == 1
    assert found(ATTEMPTS, channel="Webhook", outcome="dead", kind="recipient") == 1
    assert found(ATTEMPTS, channel="Webhook", outcome="dead", kind="outage") == 0


async def test_tool_calls_are_counted_by_outcome(served: Served) -> None:
    async with served.client(OPERATOR) as client:
        for tool, arguments in (
            ("list_notifications", {}),
            ("list_notifications", {"limit": 0}),
            ("made_up", {}),
            ("made_up_too", {}),
        ):
            params = MODERN["params"] | {"name": tool, "arguments": arguments}
            headers = MODERN_HEADERS | {"mcp_method": "tools/call", "mcp_name": tool}
            await post(client, MODERN | {"method": "tools/call", "params": params}, **headers)
    found = await scrape(served)
    calls = "certctl_mcp_calls_total"
    assert found(calls, tool="list_notifications", outcome="answered") == 1
    assert found(calls, tool="list_notifications", outcome="refused") == 1
    assert found(calls, tool="unknown", outcome="refused") == 2
    assert found("certctl_mcp_call_duration_seconds_count", tool="list_notifications") == 2
    assert "made_up" not in found.text


@pytest.mark.parametrize("path", [METRICS, "/metrics"])
async def test_metrics_require_a_key_and_a_read_only_one_suffices(served: Served, path: str) -> None:
    async with served.client() as client:
        assert (await client.get(path)).status_code == 401
        assert (await client.get("/health")).status_code == 200
    async with served.client(READER) as client:
        answered = await client.get(path)
        refused = await client.post(path)
    assert answered.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "certctl_build_info{" in answered.text
    assert refused.status_code == 405


async def test_openmetrics_is_returned_on_request(served: Served, queue: Queue, database_url: str) -> None:
    write_tables_of_certctl(database_url)
    await queue.dead()
    # As Prometheus asks.
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    async with served.client(READER, Accept=accept) as client:
        answered = await client.get(METRICS)
    assert answered.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0;")
    parsed = parse_openmetrics(answered.text)  # type: ignore[no-untyped-call]
    families = {family.name: family.type for family in parsed}
    assert families["certctl_notification_dead"] == "counter"
    assert families["certctl_certificate_total"] == "unknown"
    assert families["certctl_build"] == "info"


@pytest.mark.parametrize("version", ["abc", "2.0.x", "1.0.0.beta", ""])
async def test_an_invalid_version_in_the_accept_header_is_ignored(served: Served, version: str) -> None:
    for kind in ("text/plain", "application/openmetrics-text"):
        async with served.client(READER, Accept=f"{kind};version={version}") as client:
            answered = await client.get(METRICS)
        assert answered.status_code == 200
        assert "certctl_database_up 1.0\n" in answered.text
