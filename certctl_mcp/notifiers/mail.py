"""A notification as an e-mail."""

from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from html import escape

from certctl_mcp.config.domain_names import ascii_domain
from certctl_mcp.notifiers.excerpt import single_line
from certctl_mcp.notifiers.idempotency import idempotency_key
from certctl_mcp.notifiers.recipients import split_address
from storage.models import Notification


def compose(
    notification: Notification, sender: str, recipients: Sequence[str], date: datetime, *, html: bool
) -> EmailMessage:
    """The type as subject, the message as text, and as simple HTML beside it if `html`.

    Its Message-ID is made of the notification's id, so that every attempt has the same. No text of the
    notification can add a header: subjects are one line, and addresses are checked before.
    """
    text = notification.message.encode("utf-8", "replace").decode()
    if notification.certificate_id:
        text += f"\n\nCertificate: {single_line(notification.certificate_id)}"
    mail = EmailMessage(policy=SMTP)
    mail["From"] = _sender(sender)
    mail["To"] = [_recipient(recipient) for recipient in recipients]
    mail["Subject"] = single_line(notification.type)
    mail["Date"] = date
    mail["Message-ID"] = f"<{idempotency_key(notification)}@{sender_address(sender).rpartition('@')[2]}>"
    # Keeps out-of-office notices from being sent back (RFC 3834).
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    if html:
        mail.add_alternative(_page(notification.type, text), subtype="html")
    return mail


def sender_address(from_address: str) -> str:
    """The bare address of the sender, with its domain in ASCII."""
    local, _, domain = parseaddr(from_address)[1].rpartition("@")
    return f"{local}@{ascii_domain(domain)}"


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
