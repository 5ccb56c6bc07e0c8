"""A claim takes only notifications of the worker's own channels."""

from storage.models import Room
from tests.builders import WAIT, Queue, request


async def test_only_notifications_of_the_workers_channels_are_claimed(queue: Queue) -> None:
    for channel in ("Slack", "Email", "Teams"):
        await queue.pending(channel=channel)
        await queue.failed(channel=channel, wait=WAIT)
    queue.clock.advance(WAIT)
    claims = await queue.claim_due(channels=("Slack", "Teams", "Unknown"))
    assert sorted(claim.notification.channel for claim in claims) == ["Slack", "Slack", "Teams", "Teams"]
    assert [claim.notification.channel for claim in await queue.claim_due()] == ["Email", "Email"]


async def test_a_worker_without_a_channel_claims_nothing(queue: Queue) -> None:
    await queue.pending()
    assert await queue.claim_due(channels=()) == ()
    assert await queue.claim_due(channels=(), suspects=True) == ()


async def test_other_channels_do_not_hold_up_claims(queue: Queue) -> None:
    for _ in range(5):
        await queue.pending(channel="Slack")
    email = await queue.pending(channel="Email")
    found = await queue.repository.claim(request(slots=1, room=Room(1), channels=("Email",)))
    assert [claim.notification.id for claim in found.claims] == [email.id]
    assert not found.contended
