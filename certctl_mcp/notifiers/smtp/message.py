"""A notification as an e-mail."""

from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from html import escape

from certctl_mcp.notifiers.content import Content
from certctl_mcp.notifiers.excerpt import single_line
from certctl_mcp.notifiers.idempotency import idempotency_key
from certctl_mcp.notifiers.recipients import sender_address, split_address
from storage.models import Notification


def compose(
    notification: Notification,
    content: Content,
    sender: str,
    recipients: Sequence[str],
    date: datetime,
    *,
    html: bool,
) -> EmailMessage:
    """The content as text and, if `html`, also as simple HTML.

    Its Message-ID is derived from the notification's id, so that all attempts have the same. No text of the
    notification can add a header: subjects are one line, and addresses have been checked.
    """
    text = content.body.encode("utf-8", "replace").decode()
    if content.certificate_id:
        text += f"\n\nCertificate: {single_line(content.certificate_id)}"
    if content.link:
        text += f"\n\n{content.link}"
    mail = EmailMessage(policy=SMTP)
    mail["From"] = _sender(sender)
    mail["To"] = [_recipient(recipient) for recipient in recipients]
    mail["Subject"] = single_line(content.subject)
    mail["Date"] = date
    mail["Message-ID"] = f"<{idempotency_key(notification)}@{sender_address(sender).rpartition('@')[2]}>"
    # Keeps out-of-office notices from being sent back (RFC 3834).
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    if html:
        mail.add_alternative(_page(content.title, text), subtype="html")
    return mail


def _sender(from_address: str) -> Address:
    local, _, domain = sender_address(from_address).rpartition("@")
    return Address(parseaddr(from_address)[0], local, domain)


def _recipient(address: str) -> Address:
    local, domain = split_address(address)
    return Address(username=local, domain=domain)


def _page(subject: str, text: str) -> str:
    return (
        '<!DOCTYPE html>\n<html><head><meta charset="utf-8"></head><body>\n'
        f"<h3>{escape(single_line(subject))}</h3>\n"
        f'<p style="white-space: pre-wrap">{escape(text)}</p>\n'
        "</body></html>\n"
    )
