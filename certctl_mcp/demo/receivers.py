"""The receivers of the demo, and how each of them fails."""

import base64
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from standardwebhooks import Webhook, WebhookVerificationError

from certctl_mcp.demo.alerts import GONE_CHANNEL, MAILBOX, RETRY_AFTER
from certctl_mcp.demo.http_receiver import Answer, ForgedRequestError, HttpReceiver, ReadKey
from certctl_mcp.demo.ledger import Ledger
from certctl_mcp.demo.mail_receiver import MailReceiver

_SECONDS = f"{RETRY_AFTER.total_seconds():g}"
_UNAVAILABLE = Answer(
    503, f"503 Service Unavailable, Retry-After: {_SECONDS}", headers={"Retry-After": _SECONDS}
)


@dataclass(frozen=True, slots=True)
class Receivers:
    """All receivers. All but PagerDuty are listening."""

    mail: MailReceiver
    slack: HttpReceiver
    webhook: HttpReceiver
    pagerduty: HttpReceiver
    gone: HttpReceiver
    webhook_secret: str


@asynccontextmanager
async def open_receivers(ledger: Ledger) -> AsyncIterator[Receivers]:
    webhook_secret = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
    async with (
        MailReceiver("SMTP", ledger, mailboxes=(MAILBOX,)) as mail,
        HttpReceiver(
            "Slack",
            ledger,
            key_name="Idempotency-Key",
            read_key=lambda headers, _: headers["Idempotency-Key"],
            script=(_UNAVAILABLE, _UNAVAILABLE),
            usual=Answer(200, "200 OK, posted"),
        ) as slack,
        HttpReceiver(
            "Webhook",
            ledger,
            key_name="webhook-id",
            read_key=_signed_key(webhook_secret),
            script=(Answer(None, "reads the signed request, then hangs"),),
            usual=Answer(200, "200 OK, signature verified"),
        ) as webhook,
        HttpReceiver(
            "PagerDuty",
            ledger,
            key_name="dedup_key",
            read_key=lambda _, body: str(json.loads(body)["dedup_key"]),
            usual=Answer(202, "202 Accepted, incident opened"),
        ) as pagerduty,
        HttpReceiver(
            GONE_CHANNEL,
            ledger,
            key_name="webhook-id",
            read_key=lambda headers, _: headers["webhook-id"],
            usual=Answer(410, "410 Gone"),
        ) as gone,
    ):
        for receiver in (mail, slack, webhook, gone):
            await receiver.listen()
        yield Receivers(mail, slack, webhook, pagerduty, gone, webhook_secret)


def _signed_key(secret: str) -> ReadKey:
    verifier = Webhook(secret)

    def read(headers: Mapping[str, str], body: str) -> str:
        try:
            verifier.verify(body, dict(headers))
        except WebhookVerificationError:
            raise ForgedRequestError from None
        return headers["webhook-id"]

    return read
