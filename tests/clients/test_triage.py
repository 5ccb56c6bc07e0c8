"""Dead letters are diagnosed, requeued and delivered with each third-party client."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.clients import inspector
from tests.clients.client import NO, PATIENCE, YES, Answer, Client
from tests.clients.dead_letters import DEAD, DeadLetters
from tests.clients.libraries import in_javascript, in_python

Requeue = Callable[[Client, Mapping[str, Any]], None]


def when_the_user_says_yes(client: Client, wanted: Mapping[str, Any]) -> None:
    refused = client.call("requeue_notifications", **wanted)
    assert refused["changed"] == 0
    assert client.call("requeue_notifications", **wanted)["changed"] == DEAD
    assert len(client.asked) == 2
    assert all(f"Requeue {DEAD} notifications" in question for question in client.asked)


def by_a_confirmation(client: Client, wanted: Mapping[str, Any]) -> None:
    preview = client.call("requeue_notifications", **wanted)
    assert (preview["changed"], preview["would_change"]) == (0, DEAD)
    confirmed = client.call("requeue_notifications", **wanted, confirmation=preview["confirmation"])
    assert confirmed["changed"] == DEAD
    assert not client.asked


def one_by_one(client: Client, wanted: Mapping[str, Any]) -> None:
    """A confirmation does not outlive the server, which is another one in each call, and may end before it
    delivers unless that is what is asked for."""
    preview = client.call("requeue_notifications", **wanted)
    assert (preview["changed"], preview["would_change"]) == (0, DEAD)
    for sample in preview["sample_ids"]:
        assert client.call("requeue_notification", id=sample)["status"] == "pending"
    client.call("retry_due_notifications")


@dataclass(frozen=True, slots=True)
class Kind:
    """A client: the fixture that it runs on, how it is connected, and how it requeues."""

    needs: str
    connected: Callable[[Path, Mapping[str, str], Sequence[Answer]], AbstractContextManager[Client]]
    requeue: Requeue
    answers: tuple[Answer, ...] = ()


ASKED = (when_the_user_says_yes, (NO, YES))
NOT_ASKED = (by_a_confirmation, ())

CLIENTS: dict[str, Kind] = {
    "Inspector": Kind("node_packages", inspector.each_time, one_by_one),
    "Inspector, connected": Kind("node_packages", partial(inspector.connected, "modern"), *ASKED),
    "TypeScript SDK 1": Kind("node_packages", partial(in_javascript, "typescript_1.mjs", "legacy"), *ASKED),
    "TypeScript SDK 2": Kind("node_packages", partial(in_javascript, "typescript_2.mjs", "auto"), *ASKED),
    "Python SDK 1": Kind("python_with_mcp_1", partial(in_python, "python_1.py", "legacy"), *NOT_ASKED),
    "Python SDK 2": Kind("this_python", partial(in_python, "python_2.py", "2026-07-28"), *NOT_ASKED),
    "FastMCP": Kind("python_with_fastmcp", partial(in_python, "with_fastmcp.py", "auto"), *ASKED),
}


@pytest.fixture(scope="module")
def stories(
    request: pytest.FixtureRequest, dead_letters: DeadLetters, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, "Future[None]"]]:
    """They run concurrently, for those clients that are available."""
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
                told[name] = threads.submit(story, kind, installed, dead_letters, place)
        yield told


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_triages_dead_letters(stories: dict[str, "Future[None]"], client: str) -> None:
    stories[client].result()


def story(kind: Kind, installed: Path, dead_letters: DeadLetters, place: Path) -> None:
    with kind.connected(installed, dead_letters.copied_to(place), kind.answers) as client:
        triage(client, kind.requeue)
        assert dead_letters.has_delivered_from(place, PATIENCE)
        deadline = time.monotonic() + PATIENCE
        # The receiver knows a moment earlier.
        while client.call("dashboard_summary")["notifications"]["sent"] < DEAD:
            assert time.monotonic() < deadline
    assert sorted(dead_letters.delivered_from(place)) == sorted(dead_letters.ids)


def triage(client: Client, requeue: Requeue) -> None:
    (group,) = client.call("diagnose_dead_letters")["groups"]
    assert group["dead"] == DEAD
    sample = client.call("get_notification", id=group["sample_id"])["notification"]
    assert sample["status"] == "dead"
    assert "503" in sample["untrusted"]["last_error"]
    requeue(client, group["requeue"])
