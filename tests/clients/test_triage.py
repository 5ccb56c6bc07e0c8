"""Dead letters are looked through, given a new life and delivered, by each of other people's clients."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shutil import copy

import pytest

from certctl_mcp.application import open_application
from certctl_mcp.settings import load_settings
from storage.models import NotificationStatus
from tests.builders import new_notification
from tests.clients.clients import CLIENTS, PATIENCE, Calling, Kind, inspect
from tests.clients.receiver import Receiver, receiving

DEAD = 3


@dataclass(frozen=True, slots=True)
class Refused:
    """Dead letters, and the receiver that refused them for good, but takes them now."""

    ids: list[str]
    database: Path
    receiver: Receiver


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refused]:
    database = tmp_path_factory.mktemp("refused") / "notifications.db"
    with receiving() as receiver:
        ids = asyncio.run(dead_letters(database, receiver))
        receiver.mended = True
        yield Refused(ids, database, receiver)


@pytest.fixture(scope="module")
def stories(
    request: pytest.FixtureRequest, refused: Refused, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, "Future[None]"]]:
    """They run side by side, as far as their clients are there."""
    told: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(max_workers=3) as threads:
        for name, kind in CLIENTS.items():
            try:
                installed = request.getfixturevalue(kind.needs)
            except pytest.skip.Exception as absent:
                told[name] = Future()
                told[name].set_exception(absent)
            else:
                place = tmp_path_factory.mktemp("triage")
                told[name] = threads.submit(story, kind, installed, refused, place)
        yield told


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_triages_dead_letters(stories: dict[str, "Future[None]"], client: str) -> None:
    stories[client].result()


def test_the_inspector_has_nothing_against_the_schemas(node_packages: Path, tmp_path: Path) -> None:
    environment = settings(tmp_path / "notifications.db", "http://127.0.0.1:9/")
    told = inspect(node_packages, environment, "tools/list", "--strict", "--protocol-era", "modern")
    assert '"list_notifications"' in told


def story(kind: Kind, installed: Path, refused: Refused, place: Path) -> None:
    path = f"/{place.name}"
    database = Path(copy(refused.database, place))
    environment = settings(database, refused.receiver.url(path))
    with kind.connected(installed, environment) as call:
        triage(call, refused.ids)
    assert sorted(refused.receiver.taken[path]) == sorted(refused.ids)


def settings(database: Path, webhook: str) -> dict[str, str]:
    return {"CERTCTL_DATABASE_URL": f"sqlite:///{database}", "CERTCTL_WEBHOOK_URL": webhook}


async def dead_letters(database: Path, receiver: Receiver) -> list[str]:
    async with open_application(load_settings(None, settings(database, receiver.url("/")))) as application:
        sent = [await application.notifications.send(new_notification()) for _ in range(DEAD)]
        await application.notifications.retry_failed_notifications()
        ids = [accepted.notification.id for accepted in sent]
        for each in ids:
            notification, _ = await application.notifications.get(each)
            assert notification.status is NotificationStatus.DEAD
    return ids


def triage(call: Calling, ids: list[str]) -> None:
    assert call("dashboard_summary")["notifications_dead"] == DEAD
    listed = call("list_notifications", status="dead")["notifications"]
    assert sorted(notification["id"] for notification in listed) == sorted(ids)
    sample = call("get_notification", id=ids[0])
    assert "410" in str(sample)
    for notification in ids:
        assert call("requeue_notification", id=notification)["status"] == "pending"
    deadline = time.monotonic() + PATIENCE
    while len(call("list_notifications", status="sent")["notifications"]) < DEAD:
        assert time.monotonic() < deadline
    assert call("dashboard_summary")["notifications_dead"] == 0
