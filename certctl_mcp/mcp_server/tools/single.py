"""The tools that act on one notification, and the one that retries what is due at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NotRequired

from mcp_types import CallToolResult
from pydantic import Field, ValidationError
from typing_extensions import TypedDict

from certctl_mcp.mcp_server.caller import actor_of
from certctl_mcp.mcp_server.tools.arguments import ArgumentError, NotificationId
from certctl_mcp.mcp_server.tools.details import FULL_TEXT, UntrustedError
from certctl_mcp.mcp_server.tools.results import ToolContext, answer
from certctl_mcp.mcp_server.tools.rows import StatusName
from certctl_mcp.services.delivery_roles import Deliverer
from certctl_mcp.services.next_steps import after_acceptance, after_requeue
from certctl_mcp.text.untrusted import clean_excerpt, encode_id
from storage.models import STANDSTILL, NewNotification, NotificationStatus, SweepReport


class Accepted(TypedDict):
    """An alert that was stored durably."""

    id: str
    status: StatusName
    created: Annotated[bool, Field(description="False: the idempotency key was used before; nothing new")]
    next: Annotated[NotRequired[str], Field(description="Why it is not attempted at once")]


class Changed(TypedDict):
    """A notification's new state."""

    id: str
    status: StatusName
    next: Annotated[str, Field(description="What comes next")]


async def send_notification(
    ctx: ToolContext,
    type: Annotated[
        str,
        Field(min_length=1, max_length=255, description="The subject, such as ExpirationWarning."),
    ],
    channel: Annotated[
        str,
        Field(min_length=1, max_length=255, description="A configured channel's name; see list_channels."),
    ],
    message: Annotated[str, Field(min_length=1, max_length=1_000_000, description="The body.")],
    recipient: Annotated[
        str, Field(max_length=255, description="Address within the channel, if it takes one; never a URL.")
    ] = "",
    certificate_id: Annotated[
        str | None, Field(min_length=1, max_length=255, description="The certificate that it is about.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        Field(min_length=1, max_length=255, description="Repeating a call with the same key sends once."),
    ] = None,
) -> Annotated[CallToolResult, Accepted]:
    """Send an alert to real people over a configured channel.

    It is accepted durably, then delivered; get_notification shows the outcome. Don't resend a dead one:
    requeue it.
    """
    with _argument_errors():
        new = NewNotification(
            type=type,
            channel=channel,
            message=message,
            recipient=recipient,
            certificate_id=certificate_id,
            idempotency_key=idempotency_key,
        )
    application = await ctx.request_context.lifespan_context.application()
    # Read first, so that nothing can fail after the alert has been accepted.
    channels = application.notifications.channels
    deliverer = await channels.deliverer(channel, serving=True)
    closed = await channels.closure(channel)
    accepted = await application.notifications.send(new, actor=actor_of(ctx), assistant=True)
    document: Accepted = {
        "id": encode_id(accepted.notification.id),
        "status": accepted.notification.status,
        "created": accepted.created,
    }
    waits = closed is not None and closed.state in STANDSTILL
    if accepted.created and (waits or deliverer in (Deliverer.NOBODY, Deliverer.CERTCTL)):
        document["next"] = after_acceptance(deliverer, closed)
    return answer(document)


class Tested(TypedDict):
    """The result of a test."""

    delivered: bool
    seconds: float
    untrusted: NotRequired[UntrustedError]


async def send_test_notification(
    ctx: ToolContext,
    channel: Annotated[str, Field(description="A configured channel's name.")],
    recipient: Annotated[
        str, Field(max_length=255, description="Address within the channel, if it takes one.")
    ] = "",
) -> Annotated[CallToolResult, Tested]:
    """Test a channel now: one attempt of a fixed text that says it is a test, without retries or a record."""
    application = await ctx.request_context.lifespan_context.application()
    with _argument_errors():
        result = await application.notifications.send_test(
            channel, recipient, actor=actor_of(ctx), assistant=True
        )
    tested: Tested = {
        "delivered": result.failure is None,
        "seconds": round(result.duration.total_seconds(), 3),
    }
    if result.failure is not None:
        tested["untrusted"] = {"error": clean_excerpt(result.failure, FULL_TEXT).text}
    return answer(tested)


async def requeue_notification(ctx: ToolContext, id: NotificationId) -> Annotated[CallToolResult, Changed]:
    """Put a dead, failed or undelivered notification back in the queue, with no failures counted.

    Do it once the cause is fixed. The result says what attempts it, and when.
    """
    application = await ctx.request_context.lifespan_context.application()
    requeued = await application.notifications.requeue_notification(id, actor=actor_of(ctx))
    channels = application.notifications.channels
    deliverer = await channels.deliverer(requeued.channel, serving=True)
    closed = await channels.closure(requeued.channel)
    comes_next = after_requeue(deliverer, application.settings.max_attempts, closed)
    return answer(_changed(requeued.id, requeued.status, comes_next))


async def mark_notification_read(ctx: ToolContext, id: NotificationId) -> Annotated[CallToolResult, Changed]:
    """Settle a notification. If not delivered yet, it will NOT be, and it can no longer be requeued."""
    application = await ctx.request_context.lifespan_context.application()
    read = await application.notifications.mark_as_read(id, actor=actor_of(ctx))
    what = "It had been delivered." if read.delivered else "It will not be delivered."
    return answer(_changed(read.id, read.status, f"Nothing more happens. {what}"))


async def retry_due_notifications(ctx: ToolContext) -> Annotated[CallToolResult, SweepReport]:
    """Attempt everything due now and report the outcomes, within 45 seconds.

    Rarely needed: due ones are attempted automatically. Not for dead ones or failed ones with a future
    next_retry_at: use requeue_notification.
    """
    application = await ctx.request_context.lifespan_context.application()
    report = await application.notifications.retry_failed_notifications()
    return answer(report.model_dump(mode="json"))


@contextmanager
def _argument_errors() -> Iterator[None]:
    """Turns a validation error into one that names the argument."""
    try:
        yield
    except ValidationError as refused:
        first = refused.errors()[0]
        raise ArgumentError(f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}") from None


def _changed(notification_id: str, status: NotificationStatus, comes_next: str) -> Changed:
    return {"id": encode_id(notification_id), "status": status, "next": comes_next}
