"""One line for each recorded outcome, with what an operator needs first."""

import logging
import re
from datetime import timedelta

import pytest

from certctl_mcp.delivery.outcome_log import SENT_A_SECOND, LoggedOutcomes
from certctl_mcp.notifiers.base import DeliveryFailedError
from storage.database import Database
from storage.repository import NotificationRepository
from tests.builders import Queue
from tests.certctl_mcp.fake_notifiers import FailingNotifier, WorkingNotifier
from tests.certctl_mcp.retry_loops import delivery
from tests.processes import ROOT

DOCUMENT = ROOT / "docs" / "operating.md"

pytestmark = pytest.mark.usefixtures("info")


@pytest.fixture
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


async def line_after(
    database: Database,
    queue: Queue,
    caplog: pytest.LogCaptureFixture,
    error: Exception | None,
    failures: int = 0,
) -> str:
    """The log line of an attempt with this outcome, without the notification's id and the duration."""
    notification = await queue.pending()
    for _ in range(failures):
        earlier = await queue.claim(notification.id)
        await queue.repository.record_failed_attempt(earlier, timedelta(0), "HTTP 503", timedelta(0))
    claim = await queue.claim(notification.id)
    notifier = WorkingNotifier() if error is None else FailingNotifier(queue.clock, error)
    logged = LoggedOutcomes(NotificationRepository(database))
    attempting = delivery(database, {"Webhook": notifier}, queue=logged)
    await attempting.record(claim, await attempting.attempt(claim))
    (line,) = caplog.messages
    assert line.startswith(f"{notification.id}, attempt {failures + 1} over Webhook, ")
    return re.sub(r"\d\.\d{3} s", "T", line.partition("over Webhook, ")[2])


@pytest.mark.parametrize(
    ("error", "failures", "line"),
    [
        (None, 0, "was delivered in T"),
        (DeliveryFailedError("HTTP 503"), 0, "failed after T and is retried in 1m: HTTP 503"),
        (DeliveryFailedError("HTTP 503"), 2, "failed after T and is retried in 4m: HTTP 503"),
        (
            DeliveryFailedError("HTTP 503"),
            4,
            "failed after T, its last retry, and is a dead letter: HTTP 503",
        ),
        (
            DeliveryFailedError("HTTP 410", permanent=True),
            0,
            "was refused permanently after T and is a dead letter: HTTP 410",
        ),
        (
            DeliveryFailedError("HTTP 429", told_to_wait=True, retry_after=timedelta(seconds=90)),
            0,
            "was told after T to wait for 1m30s: HTTP 429",
        ),
    ],
)
async def test_each_outcome_has_its_line(
    database: Database,
    queue: Queue,
    caplog: pytest.LogCaptureFixture,
    error: Exception | None,
    failures: int,
    line: str,
) -> None:
    assert await line_after(database, queue, caplog, error, failures) == line


LINES = re.findall(r"^notif-\S+, attempt \d over Slack, (.*)$", DOCUMENT.read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("error", "shown"),
    [*zip((DeliveryFailedError("HTTP 503: upstream unavailable"), None), LINES, strict=True)],
)
async def test_the_documentation_shows_what_is_logged(
    database: Database,
    queue: Queue,
    caplog: pytest.LogCaptureFixture,
    error: Exception | None,
    shown: str,
) -> None:
    assert await line_after(database, queue, caplog, error) == re.sub(r"\d\.\d{3} s", "T", shown)


async def test_an_error_is_logged_as_it_is_stored_and_within_bounds(
    database: Database, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    error = DeliveryFailedError("https://ada:hunter2@example.com answered " + "x" * 5000)
    line = await line_after(database, queue, caplog, error)
    assert "hunter2" not in line
    assert len(line) < 700


async def test_an_outcome_that_is_refused_is_not_logged_as_one(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    claim = await queue.claimed()
    await queue.repository.release(claim)
    assert not await LoggedOutcomes(queue.repository).record_sent(claim, timedelta(0))
    assert caplog.messages == []


async def test_of_thousands_a_second_some_are_logged_and_the_others_counted(
    queue: Queue, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def recorded(*_: object) -> bool:
        return True

    now = 0.0
    claim = await queue.claimed()
    monkeypatch.setattr(queue.repository, "record_sent", recorded)
    logged = LoggedOutcomes(queue.repository, clock=lambda: now)
    for _ in range(1000):
        await logged.record_sent(claim, timedelta(0))
    assert len(caplog.messages) == SENT_A_SECOND
    now = 1.0
    await logged.record_sent(claim, timedelta(0))
    await logged.record_sent(claim, timedelta(0))
    *_, first, second = caplog.messages
    assert first.endswith(f"and {1000 - SENT_A_SECOND} others before it")
    assert second.endswith("was delivered in 0.000 s")
