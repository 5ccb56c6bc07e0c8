# mypy: disable-error-code="no-untyped-call,override,assignment,misc"
"""Apprise, with services defined by the tests and a real receiver."""

import asyncio
import io
import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, ClassVar

import anyio
import anyio.to_thread
import apprise
import pytest
from apprise.decorators import notify
from apprise.logger import logger
from apprise.manager_plugins import NotificationManager

from certctl_mcp.config.destinations import AppriseDestination
from certctl_mcp.notifiers.apprise import AppriseNotifier
from certctl_mcp.notifiers.failure_kinds import FailureKind
from tests.builders import notification
from tests.certctl_mcp.notifiers.failure_checks import assert_leaks_no_secret, failure_of
from tests.certctl_mcp.notifiers.receiver import Receiver, serve

# Apprise imports it on Python versions that still have it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def service(scheme: str) -> Callable[[Callable[[dict[str, str]], bool]], None]:
    """Register a service with Apprise, whose function receives the parts of the URL."""

    def register(deliver: Callable[[dict[str, str]], bool]) -> None:
        def called(body: str, title: str, notify_type: str, meta: dict[str, str], **kwargs: Any) -> bool:
            return deliver(meta)

        notify(on=scheme)(called)

    return register


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The output of a program's log handler at level debug."""
    root, written = logging.getLogger(), io.StringIO()
    handler, level = logging.StreamHandler(written), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(level)
    root.removeHandler(handler)


def notifier(receiver: Receiver, path: str = "") -> AppriseNotifier:
    url = receiver.url.replace("http://", "json://") + path
    return AppriseNotifier(AppriseDestination.model_validate({"url": url}))


async def test_title_and_text_arrive_and_the_text_names_the_notification(receiver: Receiver) -> None:
    await notifier(receiver).send(notification(id="notif-17", message="<b>*x*</b>"))
    assert receiver.only.json["title"] == "ExpirationWarning"
    assert receiver.only.json["message"] == "<b>*x*</b>\n\nNotification: notif-17"


async def test_a_failure_contains_the_message_of_apprise(receiver: Receiver) -> None:
    receiver.status = 503
    failure = await failure_of(notifier(receiver))
    assert str(failure).startswith("Apprise could not deliver: ")
    assert "503" in str(failure)
    assert not failure.permanent


async def test_failures_of_concurrent_sends_are_not_mixed_up(receiver: Receiver) -> None:
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


async def test_a_cancelled_send_ends_with_its_current_request() -> None:
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


@pytest.mark.parametrize(
    "url", ["nosuchservice://correct-horse", "discord://correct-horse", "tgram://correct-horse/1"]
)
def test_an_unusable_url_is_refused_without_showing_it(url: str, log: io.StringIO) -> None:
    with pytest.raises(ValueError, match="Apprise can't use the URL") as caught:
        AppriseNotifier(AppriseDestination.model_validate({"url": url}))
    assert "correct-horse" not in str(caught.value) + log.getvalue()


async def test_no_secret_leaks() -> None:
    @service("leaky")
    def refuse(meta: dict[str, str]) -> bool:
        logger.warning("refused by %s", meta["url"])
        return False

    url = "leaky://ada:correct-horse@host/0123456789abcdef?token=staple"
    leaky = AppriseNotifier(AppriseDestination.model_validate({"url": url}))
    await assert_leaks_no_secret(leaky, ["correct-horse", "0123456789abcdef", "staple"])


class Rooms(apprise.NotifyBase):
    """A service with several rooms in one URL, some of which may be closed."""

    service_name = "rooms"
    secure_protocol = "rooms"
    request_rate_per_sec = 0
    body_maxlen = 400
    heard: ClassVar[list[tuple[str, str]]] = []
    closed: ClassVar[set[str]] = set()
    seconds: ClassVar[float] = 0

    def __init__(self, targets: list[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.targets = targets or []

    def send(self, body: str, title: str = "", **kwargs: Any) -> bool:
        for room in self.targets:
            time.sleep(self.seconds)
            if room not in self.closed:
                self.heard.append((room, f"{title} {body}"))
        return not self.closed.intersection(self.targets)

    def url(self, *args: Any, **kwargs: Any) -> str:
        return "rooms://"

    @staticmethod
    def parse_url(url: str) -> dict[str, Any]:
        parsed: dict[str, Any] = apprise.NotifyBase.parse_url(url, verify_host=False)
        parsed["targets"] = apprise.NotifyBase.split_path(parsed["fullpath"])
        return parsed


@pytest.fixture
def rooms() -> Iterator[type[Rooms]]:
    manager = NotificationManager()
    manager.add(Rooms, schemas="rooms")
    Rooms.heard, Rooms.closed, Rooms.seconds = [], set(), 0
    yield Rooms
    manager.remove("rooms")


def in_rooms(url: str = "rooms://host/a/b/c", **options: Any) -> AppriseNotifier:
    return AppriseNotifier(AppriseDestination.model_validate({"url": url}), **options)


async def test_the_certificate_is_in_the_message(rooms: type[Rooms]) -> None:
    await in_rooms().send(notification(certificate_id="mc-api"))
    assert [room for room, _ in rooms.heard] == ["a", "b", "c"]
    assert all("Certificate: mc-api" in text for _, text in rooms.heard)


async def test_a_long_message_is_split_unless_the_url_says_otherwise(rooms: type[Rooms]) -> None:
    await in_rooms("rooms://host/a").send(notification(message="x" * 1000))
    assert len(rooms.heard) > 2
    assert sum(text.count("x") for _, text in rooms.heard) >= 1000
    rooms.heard.clear()
    await in_rooms("rooms://host/a?overflow=truncate").send(notification(message="x" * 1000))
    assert len(rooms.heard) == 1


async def test_a_retry_goes_only_to_the_rooms_that_were_missed(rooms: type[Rooms]) -> None:
    chat, sent = in_rooms(), notification()
    rooms.closed = {"b"}
    failure = await failure_of(chat, sent)
    assert "1 of 3 rooms are missing" in str(failure)
    rooms.closed = set()
    await chat.send(sent)
    assert [room for room, _ in rooms.heard] == ["a", "c", "b"]


async def test_no_room_is_started_without_time_left_and_none_gets_the_message_twice(
    rooms: type[Rooms],
) -> None:
    rooms.seconds = 0.1
    chat = in_rooms("rooms://host/a/b/c/d", send_timeout=timedelta(seconds=0.15))
    sent = notification()
    assert "no time was left" in str(await failure_of(chat, sent))
    await chat.send(sent)
    assert [room for room, _ in rooms.heard] == ["a", "b", "c", "d"]


async def test_a_delivery_by_a_cancelled_thread_counts(rooms: type[Rooms]) -> None:
    rooms.seconds = 0.1
    async with asyncio.timeout(0.02):
        await in_rooms("rooms://host/a").send(notification())
    assert len(rooms.heard) == 1


async def test_a_service_that_never_ends_causes_a_timeout_and_its_delivery_still_counts() -> None:
    answered = threading.Event()
    calls: list[dict[str, str]] = []

    @service("stuck")
    def wait(meta: dict[str, str]) -> bool:
        calls.append(meta)
        return answered.wait(60)

    stuck = AppriseNotifier(
        AppriseDestination.model_validate({"url": "stuck://host"}), longest=timedelta(milliseconds=50)
    )
    sent = notification()
    failure = await failure_of(stuck, sent)
    assert (str(failure), failure.kind) == ("Apprise did not end within 0.05 s", FailureKind.TIMEOUT)
    answered.set()
    for thread in threading.enumerate():
        if thread.name == "Apprise":
            await anyio.to_thread.run_sync(thread.join)
    await stuck.send(sent)
    assert len(calls) == 1


async def test_debug_logs_contain_no_token(receiver: Receiver, log: io.StringIO) -> None:
    receiver.status = 500
    await failure_of(notifier(receiver, "correct-horse-battery"))
    # The receiver's own access log is in this process too.
    assert not [
        line for line in log.getvalue().splitlines() if "correct-horse" in line and "POST /" not in line
    ]
