import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest
from apprise.decorators import notify
from apprise.logger import logger

from certctl_mcp.config.destinations import AppriseDestination
from certctl_mcp.notifiers.apprise import AppriseNotifier
from tests.builders import notification
from tests.certctl_mcp.notifiers.failing import assert_leaks_no_secret, failure_of
from tests.certctl_mcp.notifiers.receiver import Receiver, serve

# Apprise imports it on the Pythons that still have it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def service(scheme: str) -> Callable[[Callable[[dict[str, str]], bool]], None]:
    """Make Apprise know a service of the test's own, which is given the parts of its URL."""

    def register(deliver: Callable[[dict[str, str]], bool]) -> None:
        def called(body: str, title: str, notify_type: str, meta: dict[str, str], **kwargs: Any) -> bool:
            return deliver(meta)

        notify(on=scheme)(called)  # type: ignore[no-untyped-call]

    return register


def notifier(receiver: Receiver, path: str = "") -> AppriseNotifier:
    url = receiver.url.replace("http://", "json://") + path
    return AppriseNotifier(AppriseDestination.model_validate({"url": url}))


async def test_title_and_text_arrive_and_the_text_names_the_notification(receiver: Receiver) -> None:
    await notifier(receiver).send(notification(id="notif-17", message="<b>*x*</b>"))
    assert receiver.only.json["title"] == "ExpirationWarning"
    assert receiver.only.json["message"] == "<b>*x*</b>\n\nNotification: notif-17"


async def test_a_failure_says_what_apprise_says(receiver: Receiver) -> None:
    receiver.status = 503
    failure = await failure_of(notifier(receiver))
    assert str(failure).startswith("Apprise could not deliver: ")
    assert "503" in str(failure)
    assert not failure.permanent


async def test_failures_of_sends_at_the_same_time_are_not_mixed_up(receiver: Receiver) -> None:
    async with serve() as other:
        receiver.status, other.status = 503, 404
        ours, theirs = await asyncio.gather(failure_of(notifier(receiver)), failure_of(notifier(other)))
    assert "503" in str(ours)
    assert "404" not in str(ours)
    assert "404" in str(theirs)
    assert "503" not in str(theirs)


async def test_no_redirect_is_followed(receiver: Receiver) -> None:
    async with serve() as other:
        receiver.status, receiver.headers = 307, {"Location": other.url}
        await failure_of(notifier(receiver))
        assert other.received == []


async def test_a_send_that_is_cancelled_ends_when_the_request_under_way_does() -> None:
    requested, answered = threading.Event(), threading.Event()
    finished: list[bool] = []

    @service("slow")
    def wait(meta: dict[str, str]) -> bool:
        requested.set()
        finished.append(answered.wait(60))
        return True

    slow = AppriseNotifier(AppriseDestination.model_validate({"url": "slow://host"}))
    async with anyio.create_task_group() as sending:
        sending.start_soon(slow.send, notification())
        await anyio.to_thread.run_sync(requested.wait)
        sending.cancel_scope.cancel()
        asyncio.get_running_loop().call_soon(answered.set)
    assert finished == [True]


@pytest.mark.parametrize("url", ["nosuchservice://token", "discord://"])
def test_a_url_apprise_can_not_use_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match="Apprise can't use the URL") as caught:
        AppriseNotifier(AppriseDestination.model_validate({"url": url}))
    assert url not in str(caught.value)


async def test_no_secret_leaks() -> None:
    @service("leaky")
    def refuse(meta: dict[str, str]) -> bool:
        logger.warning("refused by %s", meta["url"])
        return False

    url = "leaky://ada:correct-horse@host/0123456789abcdef?token=staple"
    leaky = AppriseNotifier(AppriseDestination.model_validate({"url": url}))
    await assert_leaks_no_secret(leaky, ["correct-horse", "0123456789abcdef", "staple"])
