"""Dead letters in complete applications: database, deliveries and the rule from their settings together."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest

from certctl_mcp.config.settings import load_settings
from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier
from certctl_mcp.runtime.application import Application, open_application
from storage.models import DEAD_LETTERS, Notification, NotificationFilter, NotificationStatus
from tests.builders import SettableClock, new_notification
from tests.certctl_mcp.fake_notifiers import FailingNotifier, WorkingNotifier

pytestmark = pytest.mark.both_databases

CHANNELS = {
    "CERTCTL_SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/X",
    "CERTCTL_TEAMS_WEBHOOK_URL": "https://teams.example.com/x",
    "CERTCTL_SMTP_HOST": "mail.example.com",
    "CERTCTL_SMTP_FROM_ADDRESS": "alerts@example.com",
    "CERTCTL_NOTIFICATION_DEAD_LETTERS_ALERT": "Email",
    "CERTCTL_NOTIFICATION_DEAD_LETTERS_RECIPIENT": "ops@example.com",
    # Every failure is the last.
    "CERTCTL_NOTIFICATION_MAX_ATTEMPTS": "1",
}


class Fakes:
    """Replaces the notifiers of some channels."""

    def __init__(self, notifiers: Mapping[str, Notifier]) -> None:
        self._notifiers = notifiers
        self.descriptions = dict.fromkeys(notifiers, "a fake")

    async def find(self, channel: str) -> Notifier | None:
        return self._notifiers.get(channel)


@asynccontextmanager
async def processes(
    url: str, *settings: tuple[Mapping[str, str], Mapping[str, Notifier]]
) -> AsyncIterator[list[Application]]:
    """Applications on one database, each with variables and notifiers of its own."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                open_application(
                    load_settings(None, CHANNELS | {"CERTCTL_DATABASE_URL": url, **variables}),
                    notifiers=Fakes(notifiers),
                )
            )
            for variables, notifiers in settings
        ]


async def drain(applications: list[Application]) -> None:
    """Return once nothing is left to attempt anywhere."""
    with anyio.fail_after(30):
        while True:
            reports = [await one.notifications.retry_failed_notifications() for one in applications]
            if not any(report.sent + report.dead for report in reports):
                return


async def everything(application: Application) -> tuple[Notification, ...]:
    return (await application.repository.list(NotificationFilter(), limit=500)).items


def failing(error: str = "hooks.example.com answered 503") -> FailingNotifier:
    return FailingNotifier(SettableClock(), DeliveryFailedError(error))


async def test_fallbacks_end_even_if_all_channels_fail_and_processes_disagree(fresh_url: str) -> None:
    first = ({"CERTCTL_SLACK_FALLBACK": "Teams"}, {"Slack": failing(), "Email": failing()})
    second = ({"CERTCTL_TEAMS_FALLBACK": "Slack"}, {"Teams": failing()})
    async with processes(fresh_url, first, second) as (one, other):
        accepted = await one.repository.accept(new_notification(channel="Slack", recipient=""))
        await drain([one, other])
        rows = await everything(one)
    assert {row.status for row in rows} == {NotificationStatus.DEAD}
    # One alert about each channel, none about the alerts that died too.
    assert Counter((row.type, row.channel) for row in rows) == {
        ("ExpirationWarning", "Slack"): 1,
        ("ExpirationWarning", "Teams"): 1,
        (DEAD_LETTERS, "Email"): 2,
    }
    (taken_over,) = (row for row in rows if row.channel == "Teams")
    assert taken_over.origin_id == accepted.notification.id


async def test_many_deaths_at_once_in_several_processes_cause_one_alert(fresh_url: str) -> None:
    mail = WorkingNotifier()
    worker: tuple[dict[str, str], dict[str, Notifier]] = ({}, {"Slack": failing()})
    async with processes(fresh_url, worker, worker, ({}, {"Email": mail})) as (*workers, mailer):
        for _ in range(30):
            await mailer.repository.accept(new_notification(channel="Slack"))
        async with anyio.create_task_group() as tasks:
            for one in workers:
                tasks.start_soon(one.notifications.retry_failed_notifications)
        await drain([*workers, mailer])
        rows = await everything(mailer)
    (alert,) = (row for row in rows if row.type == DEAD_LETTERS)
    assert (alert.status, len(rows)) == (NotificationStatus.SENT, 31)
    (received,) = mail.received
    assert received.message.startswith("A notification over Slack has become a dead letter.")


async def test_a_notification_that_dies_again_after_a_requeue_has_one_replacement(fresh_url: str) -> None:
    teams = WorkingNotifier()
    notifiers = {"Slack": failing(), "Teams": teams, "Email": WorkingNotifier()}
    async with processes(fresh_url, ({"CERTCTL_SLACK_FALLBACK": "Teams"}, notifiers)) as (one,):
        accepted = await one.repository.accept(new_notification(channel="Slack"))
        for _ in range(2):
            await drain([one])
            await one.notifications.requeue_notification(accepted.notification.id, actor=None)
        await drain([one])
    assert len(teams.received) == 1
