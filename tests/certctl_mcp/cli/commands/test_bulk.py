"""Bulk requeue, read and purge: previewed, bounded in memory, and reported exactly however they end."""

import json
import os
import signal
import tracemalloc
from collections.abc import Sequence

import anyio
import pytest

from storage.errors import ChangeUnknownError, DiskFullError, StorageError
from storage.models import BulkReport, Notification, NotificationFilter, NotificationStatus, Room
from storage.repository import NotificationRepository
from tests.builders import Queue
from tests.certctl_mcp.cli.conftest import CommandLine

BATCH = 2
MEBIBYTE = 1 << 20


async def many_dead(queue: Queue, number: int, message: str = "it expires") -> list[str]:
    async with anyio.create_task_group() as tasks:
        for _ in range(number):
            tasks.start_soon(lambda: queue.pending(message=message))
    claims = await queue.claim_due(slots=number, room=Room(number))
    async with anyio.create_task_group() as tasks:
        for claim in claims:
            tasks.start_soon(
                queue.repository.mark_as_dead, claim, claim.expires_at - claim.started_at, "HTTP 410"
            )
    return [claim.notification.id for claim in claims]


def statuses(command_line: CommandLine) -> dict[str, int]:
    counted = command_line.having(lambda queue: queue.repository.count_by_status())
    return {status.value: count for status, count in counted.items() if count}


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.operations.bulk.LARGEST_BULK", BATCH)
    monkeypatch.setattr("certctl_mcp.cli.commands.bulk.BATCH", BATCH)


def test_bulk_actions_do_not_load_messages_into_memory(command_line: CommandLine) -> None:
    """80 notifications of 500 kB are 40 MB."""
    ids = command_line.having(lambda queue: many_dead(queue, 80, "x" * 500_000))
    # The first call's imports are not part of the measurement.
    assert command_line("requeue", "--channel", "Webhook", "--dry-run").code == 0
    for arguments in (["requeue", "--channel", "Webhook", "--yes"], ["read", *ids]):
        tracemalloc.start()
        ended = command_line(*arguments)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert ended.out.startswith("80 ")
        assert peak < 10 * MEBIBYTE


@pytest.mark.parametrize("by_id", [True, False])
@pytest.mark.usefixtures("small_batches")
def test_an_interrupted_command_finishes_its_batch_and_leaves_the_rest(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, by_id: bool
) -> None:
    ids = command_line.having(lambda queue: many_dead(queue, 2 * BATCH + 1))
    requeue_all = NotificationRepository.requeue_all

    async def interrupted(self: NotificationRepository, ids: Sequence[str], *, actor: str) -> BulkReport:
        os.kill(os.getpid(), signal.SIGINT)
        # Both the handler and the cancellation have run before the batch ends.
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
        return await requeue_all(self, ids, actor=actor)

    monkeypatch.setattr(NotificationRepository, "requeue_all", interrupted)
    code, out, _ = command_line("requeue", *(ids if by_id else ["--status", "dead", "--yes"]), "--json")
    changes = json.loads(out)
    assert code == 130
    assert (changes["changed"], changes["untouched"]) == (BATCH, BATCH + 1)
    assert statuses(command_line) == {"pending": BATCH, "dead": BATCH + 1}


@pytest.mark.parametrize(
    ("failure", "unknown"),
    [(DiskFullError("the disk is full"), 0), (ChangeUnknownError("it was lost"), BATCH)],
)
@pytest.mark.parametrize("by_id", [True, False])
@pytest.mark.usefixtures("small_batches")
def test_a_database_failure_ends_the_command_and_unknown_results_are_reported(
    command_line: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    failure: StorageError,
    unknown: int,
    by_id: bool,
) -> None:
    ids = command_line.having(lambda queue: many_dead(queue, 2 * BATCH + 1))
    requeue_all = NotificationRepository.requeue_all
    batches = iter((True, False))

    async def failing(self: NotificationRepository, ids: Sequence[str], *, actor: str) -> BulkReport:
        if next(batches):
            return await requeue_all(self, ids, actor=actor)
        raise failure

    monkeypatch.setattr(NotificationRepository, "requeue_all", failing)
    code, out, err = command_line("requeue", *(ids if by_id else ["--status", "dead", "--yes"]), "--json")
    assert code == 3
    assert err.splitlines()[-1] == f"certctl-mcp: {failure}"
    assert json.loads(out) == {
        "changed": BATCH,
        "refused": [],
        "skipped": 0,
        "untouched": BATCH + 1 - unknown,
        "unknown": unknown,
        "failure": str(failure),
    }


def test_a_dry_run_counts_and_changes_nothing(command_line: CommandLine) -> None:
    async def mixed(queue: Queue) -> None:
        await many_dead(queue, 3)
        await queue.failed(channel="Slack")
        await queue.sent()

    command_line.having(mixed)
    before = statuses(command_line)
    code, out, err = command_line("requeue", "--status", "dead,failed", "--dry-run")
    assert (code, err) == (0, "")
    assert out.startswith("4 notifications would be requeued\n")
    assert "  3 dead\n  1 failed\n  3 over Webhook\n  1 over Slack\n" in out
    preview = json.loads(command_line("read", "--channel", "Webhook", "--dry-run", "--json").out)
    assert (preview["would_change"], preview["by_channel"]) == (3, {"Webhook": 3})
    assert statuses(command_line) == before


def test_read_by_filter_asks_for_confirmation_and_takes_dead_letters_only(command_line: CommandLine) -> None:
    command_line.having(lambda queue: many_dead(queue, 2))
    pending = command_line.having(lambda queue: queue.pending())
    refused = command_line("read", "--channel", "Webhook")
    assert refused.code == 2
    assert "Mark as read 2 notifications? There is no terminal" in refused.err
    assert command_line("read", "--channel", "Webhook", "--yes").out == "2 marked as read\n"
    assert command_line.stored(pending.id) == pending


def test_purge_deletes_old_settled_notifications(command_line: CommandLine) -> None:
    async def some(queue: Queue) -> tuple[Notification, ...]:
        return await queue.sent(), await queue.dead(), await queue.pending()

    _, dead, pending = command_line.having(some)
    assert command_line("purge", "--until", "1h", "--yes").out == "0 purged\n"
    assert command_line("purge", "--until", "0s", "--yes").out == "1 purged\n"
    assert command_line("purge", "--until", "0s", "--status", "dead", "--yes").out == "1 purged\n"
    page = command_line.having(lambda queue: queue.repository.list(NotificationFilter()))
    assert page.items == (pending,)
    assert dead.status is NotificationStatus.DEAD


def test_purge_from_cron_prints_nothing_unless_it_fails(command_line: CommandLine) -> None:
    command_line.having(lambda queue: queue.sent())
    daily = ("purge", "--until", "0s", "--yes", "--quiet")
    assert command_line(*daily) == (0, "", "")
    assert statuses(command_line) == {}
    assert command_line(*daily) == (0, "", "")
    command_line.database.write_bytes(b"not a database")
    code, out, err = command_line(*daily)
    assert (code, out) == (3, "")
    assert err.startswith("certctl-mcp: ")


def test_without_yes_purge_shows_what_it_would_delete_and_deletes_nothing(command_line: CommandLine) -> None:
    sent = command_line.having(lambda queue: queue.sent())
    code, out, err = command_line("purge", "--until", "0s")
    assert code == 2
    assert out.startswith("1 notification would be purged\n")
    assert "  1 sent\n  1 over Webhook\n" in out
    assert "add --yes. Nothing was changed." in err
    assert command_line.stored(sent.id) == sent


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["purge"], "for --until: give one, such as 30d"),
        (["purge", "--status", "dead"], "for --until: give one, such as 30d"),
        (["purge", "--until", "1d", "--status", "pending"], "for --status: purge does not apply to pending"),
        (["read"], "by their ids or select them with a filter"),
        (["read", "--status", "dead"], "for ID: give ids, or select by channel"),
        (["requeue", "notif-1", "--dry-run"], "for --dry-run: is for a filter, not for ids"),
    ],
)
def test_arguments_that_an_action_does_not_support_are_refused(
    command_line: CommandLine, arguments: list[str], wrong: str
) -> None:
    code, out, err = command_line(*arguments)
    assert (code, out) == (2, "")
    assert wrong in err
    assert not command_line.database.exists()


def test_a_misspelt_channel_in_a_filter_is_an_error(command_line: CommandLine) -> None:
    command_line.having(lambda queue: queue.dead())
    code, _, err = command_line("requeue", "--channel", "Webhok", "--yes")
    assert code == 2
    assert "did you mean 'Webhook'?" in err
