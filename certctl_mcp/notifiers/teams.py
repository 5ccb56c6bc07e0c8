"""Teams: an Adaptive Card to a Workflows webhook, which responds with 202 as soon as it has the card."""

from certctl_mcp.config.destinations import TeamsDestination
from certctl_mcp.notifiers.content import Content, ContentWriter
from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.http.endpoint import Endpoint
from certctl_mcp.notifiers.http.json_body import Json, encode
from certctl_mcp.notifiers.http.notifier import IDEMPOTENCY_HEADER, HttpNotifier, Post
from certctl_mcp.notifiers.http.success import teams_objection
from certctl_mcp.notifiers.idempotency import idempotency_key
from certctl_mcp.notifiers.truncation import fit
from storage.models import Notification

_LONGEST_BODY = 27 * 1024
"""Teams drops messages over 28 KB, measured after the flow has encoded the card again."""


class TeamsNotifier(HttpNotifier):
    """Shows the message verbatim: a card's rich text, unlike its text block, ignores Markdown.

    Teams has no idempotency key; `Idempotency-Key` is sent for a flow that reads it.
    """

    def __init__(
        self, destination: TeamsDestination, client: HttpClient, content: ContentWriter | None = None
    ) -> None:
        endpoint = Endpoint(
            client,
            destination.webhook_url.get_secret_value(),
            destination.confidential,
            network=destination,
            check=teams_objection,
        )
        super().__init__(endpoint, content)

    def write(self, notification: Notification) -> Post:
        content = self._content.content(notification)
        body = fit(content.body, lambda kept: _card(content, kept), _size_in_flow, _LONGEST_BODY)
        return Post(body, {IDEMPOTENCY_HEADER: idempotency_key(notification)})


def _card(content: Content, text: str) -> bytes:
    blocks: list[Json] = [_text(content.title, size="Medium", weight="Bolder"), _text(text)]
    if content.certificate_id:
        blocks.append(_text(f"Certificate: {content.certificate_id}", isSubtle=True))
    card: dict[str, Json] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": blocks,
    }
    if content.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open", "url": content.link}]
    attachment: Json = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return encode({"type": "message", "attachments": [attachment]})


def _size_in_flow(body: bytes) -> int:
    return len(encode(body.decode()))


def _text(text: str, **style: str | bool) -> Json:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
