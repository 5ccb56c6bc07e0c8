"""Teams: an Adaptive Card to a Workflows webhook, which answers 202 as soon as it has the card."""

from certctl_mcp.config.destinations import TeamsDestination
from certctl_mcp.notifiers.http import Endpoint
from certctl_mcp.notifiers.http_client import HttpClient
from certctl_mcp.notifiers.http_notifier import IDEMPOTENCY_HEADER, HttpNotifier, Post
from certctl_mcp.notifiers.idempotency import idempotency_key
from certctl_mcp.notifiers.json_body import Json, encode
from certctl_mcp.notifiers.success import teams_objection
from certctl_mcp.text.redaction import truncate
from storage.models import Notification

_LONGEST_TEXT_BYTES = 12 * 1024
"""Teams takes 28 KB in all; JSON may double what is written in quotes and line breaks."""


class TeamsNotifier(HttpNotifier):
    """Shows the message verbatim: a card's rich text, unlike its text block, ignores Markdown.

    Teams has no idempotency key; `Idempotency-Key` is sent for a flow that reads it.
    """

    def __init__(self, destination: TeamsDestination, client: HttpClient) -> None:
        super().__init__(
            Endpoint(
                client,
                destination.webhook_url.get_secret_value(),
                destination.confidential,
                network=destination,
                check=teams_objection,
            )
        )

    def write(self, notification: Notification) -> Post:
        blocks: list[Json] = [
            _text(notification.type, size="Medium", weight="Bolder"),
            _text(truncate(notification.message, _LONGEST_TEXT_BYTES)),
        ]
        if notification.certificate_id:
            blocks.append(_text(f"Certificate: {notification.certificate_id}", isSubtle=True))
        card: Json = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "msteams": {"width": "Full"},
            "body": blocks,
        }
        attachment: Json = {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": None,
            "content": card,
        }
        body = encode({"type": "message", "attachments": [attachment]})
        return Post(body, {IDEMPOTENCY_HEADER: idempotency_key(notification)})


def _text(text: str, **style: str | bool) -> Json:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
