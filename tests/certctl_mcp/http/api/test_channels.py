"""Channels are tested over REST with one attempt, which is audited."""

import pytest

from storage.models import NotificationFilter
from tests.builders import Queue
from tests.certctl_mcp.http.conftest import KEYS, OPERATOR, READER, Serve, Served

CHANNELS = "/api/v1/channels"


async def test_a_test_message_is_sent_and_audited(served: Served, queue: Queue) -> None:
    async with served.client(OPERATOR) as client:
        tested = await client.post(f"{CHANNELS}/Webhook/test")
    assert tested.status_code == 200
    assert tested.json() == {"delivered": True, "seconds": tested.json()["seconds"]}
    (entry,) = await queue.repository.audit_log(limit=10)
    assert (entry.actor, entry.action.value) == ("http:otto", "test")
    assert (await queue.repository.list(NotificationFilter(), limit=1)).items == ()


async def test_a_failed_test_returns_the_reason_without_secrets(serve: Serve) -> None:
    served = await serve(
        CERTCTL_API_KEYS_NAMED=KEYS, refused_by_slack="HTTP 403 for token=hunter22, no such hook"
    )
    async with served.client(OPERATOR) as client:
        tested = (await client.post(f"{CHANNELS}/Slack/test", json={})).json()
    assert tested["delivered"] is False
    assert "HTTP 403" in tested["error"]
    assert "hunter22" not in tested["error"]


@pytest.mark.parametrize(
    ("name", "body", "status", "problem"),
    [
        ("Webhok", {}, 422, "did you mean 'Webhook'?"),
        ("a%2Fb%2520c", {}, 422, "no channel named 'a/b%20c' is configured"),
        ("Webhook", {"to": "x"}, 400, "to: Extra inputs are not permitted"),
        ("Webhook", {"recipient": "x" * 256}, 400, "recipient: String should have at most 255 characters"),
    ],
)
async def test_an_invalid_test_request_is_refused(
    served: Served, queue: Queue, name: str, body: dict[str, str], status: int, problem: str
) -> None:
    async with served.client(OPERATOR) as client:
        refused = await client.post(f"{CHANNELS}/{name}/test", json=body)
    assert refused.status_code == status
    assert problem in refused.json()["message"]
    assert await queue.repository.audit_log(limit=1) == ()


async def test_a_reader_cannot_test_a_channel(served: Served) -> None:
    async with served.client(READER) as client:
        assert (await client.post(f"{CHANNELS}/Webhook/test")).status_code == 403


async def test_a_channel_name_can_contain_a_slash(served: Served, queue: Queue) -> None:
    await queue.pending(channel="on/call")
    pause = {"until": "2h", "reason": "maintenance"}
    async with served.client(OPERATOR) as client:
        paused = await client.post(f"{CHANNELS}/on%2Fcall/pause", json=pause)
        resumed = await client.post(f"{CHANNELS}/on%2Fcall/resume")
    assert (paused.status_code, resumed.json()) == (200, {"was_paused": True})
