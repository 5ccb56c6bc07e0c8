"""One trace from the accept to the receiver, and no text of an alert in it."""

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from certctl_mcp.notifiers.base import DeliveryFailedError
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.runtime.open_telemetry import OpenTelemetryTracing, tracing
from certctl_mcp.services.notifications import NotificationService
from storage.database import Database
from storage.errors import IdempotencyConflictError
from storage.repository import NotificationRepository
from tests.builders import SettableClock, new_notification
from tests.certctl_mcp.fake_notifiers import FailingNotifier, WorkingNotifier
from tests.certctl_mcp.retry_loops import retry_loop

SECRET = "text of an alert"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


class Traced:
    """Tracing that keeps its spans."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracing = OpenTelemetryTracing(provider)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._kept.get_finished_spans()


async def test_an_attempt_is_in_the_trace_of_the_accept_and_linked_to_it(
    database: Database, clock: SettableClock
) -> None:
    traced, channel = Traced(), WorkingNotifier()
    async with retry_loop(database, {"Webhook": channel}, tracing=traced.tracing) as loop:
        repository = NotificationRepository(database)
        service = NotificationService(repository, loop, {"Webhook": ""}, clock, tracing=traced.tracing)
        outside = f"00-{'a' * 32}-{'b' * 16}-01"
        await service.send(new_notification(message=SECRET, traceparent=outside), actor=None)
        await loop.sweep()
    accept, attempt = traced.spans
    assert accept.context is not None
    assert attempt.context is not None
    assert f"{accept.context.trace_id:032x}" == "a" * 32
    assert attempt.context.trace_id == accept.context.trace_id
    assert [link.context.span_id for link in attempt.links] == [accept.context.span_id]
    # The receiver gets the span of the attempt; the span of the accept is stored.
    (received,) = channel.received
    assert received.traceparent == f"00-{'a' * 32}-{attempt.context.span_id:016x}-01"
    stored = await repository.get(received.id)
    assert stored.traceparent == f"00-{'a' * 32}-{accept.context.span_id:016x}-01"
    assert SECRET not in "".join(span.to_json() for span in traced.spans)


async def test_an_alert_accepted_without_a_trace_is_attempted_in_its_own_trace(
    database: Database, clock: SettableClock
) -> None:
    traced, channel = Traced(), WorkingNotifier()
    await NotificationRepository(database).accept(new_notification())
    async with retry_loop(database, {"Webhook": channel}, tracing=traced.tracing) as loop:
        assert (await loop.sweep()).sent == 1
    (attempt,) = traced.spans
    assert not attempt.links
    assert attempt.parent is None


async def test_a_failure_is_recorded_only_by_its_kind(database: Database, clock: SettableClock) -> None:
    traced = Traced()
    channel = FailingNotifier(clock, DeliveryFailedError(SECRET, kind=FailureKind.OUTAGE))
    async with retry_loop(database, {"Webhook": channel}, tracing=traced.tracing) as loop:
        repository = NotificationRepository(database)
        service = NotificationService(repository, loop, {"Webhook": ""}, clock, tracing=traced.tracing)
        await service.send(new_notification(idempotency_key="k"), actor=None)
        with pytest.raises(IdempotencyConflictError):
            await service.send(new_notification(idempotency_key="k", message=SECRET), actor=None)
        await loop.sweep()
    errors = [(span.status.status_code, (span.attributes or {}).get("error.type")) for span in traced.spans]
    assert errors == [
        (StatusCode.UNSET, None),
        (StatusCode.ERROR, "IdempotencyConflictError"),
        (StatusCode.ERROR, "outage"),
    ]
    assert SECRET not in "".join(span.to_json() for span in traced.spans)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        ENDPOINT | {"OTEL_SDK_DISABLED": "true"},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_SERVICE_NAME": "alerts"},
    ],
)
async def test_nothing_is_traced_unless_the_variables_enable_it(environ: dict[str, str]) -> None:
    async with tracing(environ) as found:
        assert found is None


async def test_a_missing_extra_causes_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("certctl_mcp.runtime.open_telemetry.find_spec", lambda name: None)
    async with tracing(ENDPOINT) as found:
        assert found is None
    assert "the extra otel is not installed" in caplog.text
