"""A test of a channel: a notification that is sent once without entering the queue."""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from storage.ids import new_notification_id
from storage.models import NewNotification, Notification
from storage.operations.accept import pending

TYPE = "ChannelTest"


class TrialResult(BaseModel):
    """The result of a test notification."""

    model_config = ConfigDict(frozen=True)

    duration: timedelta
    failure: str | None
    """Why it was not delivered, without secrets; None if it was."""


def trial_notification(channel: str, recipient: str, now: datetime, *, type: str = TYPE) -> Notification:
    """A notification that identifies itself as a test; `type` selects its template.

    Its text is fixed, so it can't be used to send another message.
    """
    message = (
        f"This is a test of the channel {channel} by certctl-mcp, sent {now:%Y-%m-%d %H:%M:%S} UTC. "
        "Nothing has happened, and nothing needs to be done."
    )
    new = NewNotification(type=type, channel=channel, recipient=recipient, message=message)
    return pending(new, new_notification_id(), now)
