"""Traces by OpenTelemetry, with the extra `otel` and the standard variables. The MCP SDK creates the spans of
calls; this module creates those of accepts and attempts.

Without the variables nothing is imported.
"""

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from certctl_mcp import __version__
from certctl_mcp.delivery.sender import Answer
from certctl_mcp.delivery.tracing import AttemptSpan, Tracing
from certctl_mcp.notifiers.failure_kinds import FailureKind
from storage.models import Claim, NewNotification

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

logger = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Tracing is on if one of these is set."""

_FLUSH_TIMEOUT = timedelta(seconds=3)


@asynccontextmanager
async def tracing(environ: Mapping[str, str]) -> AsyncIterator[Tracing | None]:
    """The tracing that the variables configure; None if they configure none. Leaving the context sends the
    remaining spans."""
    if not _is_wanted(environ):
        yield None
        return
    if find_spec("opentelemetry.sdk") is None or find_spec("opentelemetry.exporter") is None:
        logger.warning("%s is set, but the extra otel is not installed: nothing is traced", ENDPOINTS[1])
        yield None
        return
    provider = _provider()
    try:
        yield OpenTelemetryTracing(provider)
    finally:
        with anyio.move_on_after(_FLUSH_TIMEOUT.total_seconds(), shield=True):
            await anyio.to_thread.run_sync(provider.shutdown, abandon_on_cancel=True)


def _is_wanted(environ: Mapping[str, str]) -> bool:
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    off = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"
    return not disabled and not off and any(environ.get(name, "").strip() for name in ENDPOINTS)


def _provider() -> "TracerProvider":
    """A provider that the MCP SDK uses too. It and the exporter read the other standard variables."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.version": __version__})
    # The defaults without OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "certctl-mcp"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


class OpenTelemetryTracing:
    """Creates spans with a provider."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._tracer = provider.get_tracer("certctl_mcp", __version__)

    @contextmanager
    def accepting(self, new: NewNotification) -> Iterator[str]:
        from opentelemetry.trace import SpanKind

        attributes = {"certctl.notification.channel": new.channel, "certctl.notification.type": new.type}
        with self._tracer.start_as_current_span(
            "accept notification",
            context=_context(new.traceparent),
            kind=SpanKind.PRODUCER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield _traceparent(span)
            except Exception as failure:
                _failed(span, type(failure).__name__)
                raise

    @contextmanager
    def attempting(self, claim: Claim) -> Iterator[AttemptSpan]:
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, SpanKind, get_current_span

        notification = claim.notification
        attributes: dict[str, str | int] = {
            "certctl.notification.id": notification.id,
            "certctl.notification.channel": notification.channel,
            "certctl.notification.type": notification.type,
            "certctl.attempt.number": claim.number,
        }
        # In the trace of the accept, and linked to it, because attempts may come long after it has ended.
        accepted = _context(notification.traceparent) or Context()
        context = get_current_span(accepted).get_span_context()
        with self._tracer.start_as_current_span(
            "deliver notification",
            context=accepted,
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=[Link(context)] if context.is_valid else [],
            record_exception=False,
        ) as span:
            yield _OpenTelemetrySpan(span)


class _OpenTelemetrySpan:
    def __init__(self, span: "Span") -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        return _traceparent(self._span)

    def ended(self, answer: Answer) -> None:
        if answer.failure is not None:
            _failed(self._span, answer.failure.kind or FailureKind.UNKNOWN)


def _context(traceparent: str | None) -> "Context | None":
    """The trace to continue; None for the current one."""
    if traceparent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent})


def _failed(span: "Span", kind: str) -> None:
    """Only the kind, because the text of an error may come from outside."""
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def _traceparent(span: "Span") -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
