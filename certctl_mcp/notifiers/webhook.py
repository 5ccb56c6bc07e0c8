"""Webhook: a JSON body to the operator's receiver, in the format of Standard Webhooks or of certctl."""

import hashlib
import hmac
from datetime import UTC
from functools import partial

from standardwebhooks import Webhook

from certctl_mcp.config.destinations import WebhookDestination
from certctl_mcp.notifiers.content import ContentWriter
from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.http.endpoint import Endpoint, SuccessCheck
from certctl_mcp.notifiers.http.json_body import encode
from certctl_mcp.notifiers.http.notifier import HttpNotifier, Post
from certctl_mcp.notifiers.http.success import configured_objection
from certctl_mcp.notifiers.idempotency import idempotency_key
from storage.models import Notification

_CERTCTL_TYPE = "notification"
"""The only type of event that certctl's server posts."""


class WebhookNotifier(HttpNotifier):
    """Posts `{"type", "timestamp", "data"}`; the receiver recognises a repeat by the header `webhook-id`.

    Each of several secrets signs, so a receiver that has any of them can verify.
    """

    def __init__(
        self, destination: WebhookDestination, client: HttpClient, content: ContentWriter | None = None
    ) -> None:
        super().__init__(_endpoint(destination, client), content)
        self._clock = client.clock
        self._signers = tuple(Webhook(key) for key in destination.signing_keys)

    def write(self, notification: Notification) -> Post:
        content = self._content.content(notification)
        created_at = notification.created_at.isoformat()
        body = encode(
            {
                "type": notification.type,
                "timestamp": created_at,
                "data": {
                    "id": notification.id,
                    "type": notification.type,
                    "certificate_id": notification.certificate_id,
                    "channel": notification.channel,
                    "recipient": notification.recipient,
                    "message": content.body,
                    "created_at": created_at,
                    **({"link": content.link} if content.link else {}),
                },
            }
        )
        return Post(body, self._headers(idempotency_key(notification), body) | _trace(notification))

    def _headers(self, key: str, body: bytes) -> dict[str, str]:
        # The library reads the digits of a time as UTC, whatever its zone.
        now = self._clock().astimezone(UTC)
        headers = {"webhook-id": key, "webhook-timestamp": str(int(now.timestamp()))}
        if self._signers:
            text = body.decode()
            signatures = (signer.sign(msg_id=key, timestamp=now, data=text) for signer in self._signers)
            headers["webhook-signature"] = " ".join(signatures)
        return headers


class CertctlWebhookNotifier(HttpNotifier):
    """Posts the same body as certctl's server, for receivers written for it.

    certctl documents the fields `id` and `type`, but its server sends `event_id` and `event_type`, so this
    sends all four. Unlike certctl's, the id is the same for every attempt.
    """

    def __init__(
        self, destination: WebhookDestination, client: HttpClient, content: ContentWriter | None = None
    ) -> None:
        super().__init__(_endpoint(destination, client), content)
        self._key = next((secret.get_secret_value().encode() for secret in destination.secrets), None)

    def write(self, notification: Notification) -> Post:
        content = self._content.content(notification)
        body = encode(
            {
                "id": notification.id,
                "type": _CERTCTL_TYPE,
                "event_id": notification.id,
                "event_type": _CERTCTL_TYPE,
                "recipient": notification.recipient,
                "subject": content.title,
                "body": content.body,
                "created_at": notification.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            }
        )
        headers = {"webhook-id": idempotency_key(notification)} | _trace(notification)
        if self._key is not None:
            signature = hmac.new(self._key, body, hashlib.sha256).hexdigest()
            headers |= {"X-Signature": f"sha256={signature}", "X-Signature-Algorithm": "sha256"}
        return Post(body, headers)


def _trace(notification: Notification) -> dict[str, str]:
    """Lets the receiver continue the trace, if there is one."""
    return {} if notification.traceparent is None else {"traceparent": notification.traceparent}


def _endpoint(destination: WebhookDestination, client: HttpClient) -> Endpoint:
    return Endpoint(
        client,
        destination.url.get_secret_value(),
        destination.confidential,
        headers={name: value.get_secret_value() for name, value in destination.headers.items()},
        gone_is_permanent=True,
        network=destination,
        check=_success_check(destination),
    )


def _success_check(destination: WebhookDestination) -> SuccessCheck | None:
    if not destination.success_status and not destination.success_json:
        return None
    return partial(configured_objection, statuses=destination.success_status, fields=destination.success_json)
