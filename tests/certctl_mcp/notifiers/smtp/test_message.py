import email
from dataclasses import replace
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from certctl_mcp.notifiers.content import ContentWriter
from certctl_mcp.notifiers.smtp.message import compose
from tests.builders import NOON, notification


def mail(*, html: bool = True, sender: str = "alerts@example.com", **contents: Any) -> EmailMessage:
    """The message as its reader gets it: composed, serialized and parsed."""
    sent = notification(**contents)
    content = ContentWriter().content(sent)
    composed = compose(sent, content, sender, ("ada@example.com",), NOON, html=html)
    read = email.message_from_bytes(composed.as_bytes(), policy=default)
    assert isinstance(read, EmailMessage)
    assert read.defects == []
    return read


def text(read: EmailMessage, kind: str) -> str:
    part = read.get_body((kind,))
    assert part is not None
    content = part.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


def test_the_type_is_the_subject_and_the_message_the_text() -> None:
    read = mail(html=False, certificate_id="mc-api")
    assert read["Subject"] == "ExpirationWarning: api.example.com expires in 7 days"
    assert read["Date"].datetime == NOON
    assert read["Auto-Submitted"] == "auto-generated"
    assert read.get_content_type() == "text/plain"
    assert text(read, "plain") == "api.example.com expires in 7 days\n\nCertificate: mc-api\n"


@pytest.mark.parametrize("message", ["ü \U0001f512 日本", "x" * 5000, "a\n.\nb", "a\r\nb", "tab\there"])
def test_any_text_arrives_unchanged(message: str) -> None:
    read = mail(message=message)
    assert text(read, "plain").rstrip("\n") == message.replace("\r\n", "\n")


def test_a_lone_surrogate_does_not_stop_an_email() -> None:
    sent = replace(notification(), message="a\ud800b")
    composed = compose(sent, ContentWriter().content(sent), "a@b", ("c@d",), NOON, html=True)
    assert b"a?b" in composed.as_bytes()


def test_the_html_part_shows_the_text_unchanged() -> None:
    page = text(mail(message="<script>alert(1)</script> & 'x'", type="<b>"), "html")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#x27;x&#x27;" in page
    assert "<h3>&lt;b&gt;</h3>" in page


@pytest.mark.parametrize("evil", ["x\r\nBcc: eve@evil.example", "x\nBcc: eve@evil.example", "x\r\n\r\nbody"])
def test_notification_text_cannot_add_a_header(evil: str) -> None:
    read = mail(type=evil, certificate_id=evil, id=evil)
    assert read["Bcc"] is None
    assert read["Subject"].startswith(" ".join(evil.split()) + ": ")
    assert len(read["Message-ID"].splitlines()) == 1


def test_the_message_id_ends_in_the_senders_domain() -> None:
    read = mail(id="notif-17", sender="Certificate alerts <alerts@pki.example.org>")
    assert read["Message-ID"] == "<notif-17@pki.example.org>"
    assert read["From"] == "Certificate alerts <alerts@pki.example.org>"
