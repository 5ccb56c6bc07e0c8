"""The content of a notification's message: subject, body and link, before the channel's own formatting."""

from collections.abc import Mapping
from string import Template
from urllib.parse import quote

from certctl_mcp.config.message_templates import DEFAULT, MessageTemplate
from certctl_mcp.notifiers.excerpt import single_line
from certctl_mcp.text.untrusted import encode_id
from storage.models import Notification
from storage.structs import struct

_LONGEST_NAME = 500
"""The most characters of a certificate or recipient: ids from other programs are arbitrary text."""

_LONGEST_SUMMARY = 120

_CUT = "..."


@struct
class Content:
    """Texts from outside, not yet escaped for any channel."""

    title: str
    """The type, unless a template says otherwise."""
    body: str
    certificate_id: str | None
    recipient: str
    link: str | None
    given_subject: str | None = None
    """The text from a template."""

    @property
    def subject(self) -> str:
        """One line that distinguishes notifications in a list. Created on demand, because few channels use
        it."""
        if self.given_subject is not None:
            return self.given_subject
        subject = f"{single_line(self.title)}: {single_line(self.body[: 4 * _LONGEST_SUMMARY])}"
        return shorten(subject, _LONGEST_SUMMARY + len(self.title))


_NO_TEMPLATE = MessageTemplate()


def _values(notification: Notification, link: str | None) -> dict[str, str]:
    """The values of a template's placeholders."""
    return {
        "type": notification.type,
        "message": notification.message,
        "certificate_id": notification.certificate_id or "",
        "recipient": notification.recipient,
        "channel": notification.channel,
        "id": notification.id,
        "created_at": notification.created_at.isoformat(),
        "link": link or "",
    }


class ContentWriter:
    """Applies the operator's templates, by substitution only, so that a message can't run anything."""

    def __init__(
        self, templates: Mapping[str, MessageTemplate] | None = None, public_url: str | None = None
    ) -> None:
        self._templates = templates or {}
        self._public_url = public_url

    def content(self, notification: Notification) -> Content:
        link = None
        if self._public_url is not None:
            link = f"{self._public_url.rstrip('/')}/n/{quote(encode_id(notification.id), safe='')}"
        template = self._templates.get(notification.type) or self._templates.get(DEFAULT) or _NO_TEMPLATE
        # Most posts have no template, and don't need the values.
        values = {} if template is _NO_TEMPLATE else _values(notification, link)
        body, subject = notification.message, None
        if template.body is not None:
            body = Template(template.body).substitute(values)
        if template.subject is not None:
            subject = shorten(single_line(Template(template.subject).substitute(values)), _LONGEST_NAME)
        return Content(
            title=subject if subject is not None else shorten(notification.type, _LONGEST_NAME),
            body=body,
            given_subject=subject,
            certificate_id=shorten(notification.certificate_id, _LONGEST_NAME)
            if notification.certificate_id
            else None,
            recipient=shorten(notification.recipient, _LONGEST_NAME),
            link=link,
        )


def shorten(text: str, characters: int) -> str:
    """The text, truncated to at most this many characters. A truncated text ends with dots."""
    return text if len(text) <= characters else text[: characters - len(_CUT)] + _CUT
