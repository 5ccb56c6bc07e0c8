"""Slack: a plain text to an incoming webhook."""

from certctl_mcp.config.destinations import SlackDestination
from certctl_mcp.notifiers.content import ContentWriter
from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.http.endpoint import Endpoint
from certctl_mcp.notifiers.http.json_body import Json, encode
from certctl_mcp.notifiers.http.notifier import IDEMPOTENCY_HEADER, HttpNotifier, Post
from certctl_mcp.notifiers.http.success import slack_objection
from certctl_mcp.notifiers.idempotency import idempotency_key
from certctl_mcp.notifiers.truncation import fit
from storage.models import Notification

_LONGEST_TEXT = 40_000
"""Slack truncates longer texts, escapes included."""

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class SlackNotifier(HttpNotifier):
    """Shows the message verbatim: text in it can't become a mention, a link or emphasis.

    Slack has no idempotency key; `Idempotency-Key` is sent for a proxy that knows it.
    """

    def __init__(
        self, destination: SlackDestination, client: HttpClient, content: ContentWriter | None = None
    ) -> None:
        endpoint = Endpoint(
            client,
            destination.webhook_url.get_secret_value(),
            destination.confidential,
            network=destination,
            check=slack_objection,
        )
        super().__init__(endpoint, content)
        overrides = {"channel": destination.channel, "username": destination.username}
        self._fixed: dict[str, Json] = {
            # Certificate names contain asterisks and underscores, which would become emphasis.
            "mrkdwn": False,
            "parse": "none",
            "link_names": False,
            "unfurl_links": False,
            "unfurl_media": False,
            **{name: value for name, value in overrides.items() if value},
        }

    def write(self, notification: Notification) -> Post:
        content = self._content.content(notification)
        end = f"\nCertificate: {content.certificate_id}" if content.certificate_id else ""
        # `<!channel>` and `<@user>` are commands only while their brackets are not escaped.
        end = end.translate(_ESCAPES) + (f"\n<{content.link}>" if content.link else "")
        text = fit(
            f"{content.title}: {content.body}",
            lambda kept: kept.translate(_ESCAPES) + end,
            len,
            _LONGEST_TEXT,
        )
        body = encode({"text": text, **self._fixed})
        return Post(body, {IDEMPOTENCY_HEADER: idempotency_key(notification)})
