"""send, requeue and read: what they change, refuse and print."""

import json
import sys

import pytest

from storage.models import Notification, NotificationFilter, NotificationStatus
from tests.builders import Queue
from tests.certctl_mcp.cli.conftest import CommandLine

ALERT = ("send", "it expires", "--channel", "Webhook", "--type", "ExpirationWarning")


def three_dead(command_line: CommandLine) -> list[Notification]:
    async def made(queue: Queue) -> list[Notification]:
        return [await queue.dead(channel=channel) for channel in ("Webhook", "Webhook", "Slack")]

    return command_line.having(made)


def dead_letters(command_line: CommandLine) -> int:
    wanted = NotificationFilter(statuses=(NotificationStatus.DEAD,))
    return len(command_line.having(lambda queue: queue.repository.list(wanted)).items)


def test_send_prints_the_id_of_the_stored_notification(command_line: CommandLine) -> None:
    code, out, err = command_line(*ALERT, "--recipient", "ops", "--certificate", "cert-1")
    notification_id, status = out.split()
    stored = command_line.stored(notification_id)
    assert (code, status, err) == (0, "pending", "")
    assert (stored.message, stored.recipient, stored.certificate_id) == ("it expires", "ops", "cert-1")


def test_send_accepts_each_key_once(command_line: CommandLine) -> None:
    first = command_line(*ALERT, "--idempotency-key", "k")
    assert command_line(*ALERT, "--idempotency-key", "k").out == first.out
    other = command_line("send", "else", *ALERT[2:], "--idempotency-key", "k")
    assert other.code == 1
    assert "has different contents" in other.err


def test_send_now_prints_the_outcome(command_line: CommandLine) -> None:
    code, out, err = command_line(*ALERT, "--now", "--json")
    assert (code, json.loads(out)["status"]) == (1, "failed")
    assert err.startswith("certctl-mcp: not delivered yet: ")
    assert err.count("\n") == 1


def test_send_now_over_a_paused_channel_says_that_it_is_paused(command_line: CommandLine) -> None:
    command_line(*ALERT)
    assert command_line("pause", "Webhook", "--until", "1h", "--reason", "maintenance").code == 0
    code, _, err = command_line(*ALERT, "--now")
    assert code == 1
    assert "not delivered yet: It is due now, but its channel is paused until" in err


def test_requeue_by_id_prints_each_refusal_and_requeues_the_others(command_line: CommandLine) -> None:
    dead = three_dead(command_line)[0]
    sent = command_line.having(lambda queue: queue.sent())
    code, out, err = command_line("requeue", dead.id, dead.id, sent.id, "notif-nowhere")
    assert (code, out) == (1, "1 requeued, 2 refused\n")
    assert f"notification '{sent.id}' is sent: only dead, failed and undelivered" in err
    assert "'notif-nowhere'" in err
    assert command_line.stored(dead.id).status is NotificationStatus.PENDING


@pytest.mark.parametrize("by_id", [True, False])
def test_requeue_tells_a_person_what_happens_next(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, by_id: bool
) -> None:
    dead = three_dead(command_line)[0]
    selected = [dead.id] if by_id else ["--channel", "Webhook", "--yes"]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "No running process delivers over their channels" in command_line("requeue", *selected).err


def test_requeue_by_filter_takes_dead_letters_only(command_line: CommandLine) -> None:
    three_dead(command_line)
    failed = command_line.having(lambda queue: queue.failed())
    code, out, _ = command_line("requeue", "--channel", "Webhook", "--yes", "--json")
    assert code == 0
    assert json.loads(out) == {
        "changed": 2,
        "refused": [],
        "skipped": 0,
        "untouched": 0,
        "unknown": 0,
        "failure": None,
    }
    assert command_line.stored(failed.id) == failed
    assert dead_letters(command_line) == 1


def test_requeue_by_filter_requires_confirmation(command_line: CommandLine) -> None:
    three_dead(command_line)
    code, out, err = command_line("requeue", "--status", "dead")
    assert (code, out.splitlines()[0]) == (2, "3 notifications would be requeued")
    assert err == (
        "certctl-mcp: Requeue 3 notifications? There is no terminal for the question: add --yes. "
        "Nothing was changed.\n"
    )
    assert dead_letters(command_line) == 3


def test_requeueing_nothing_is_not_an_error(command_line: CommandLine) -> None:
    command_line("migrate")
    assert command_line("requeue", "--status", "dead") == (0, "0 requeued\n", "")


def test_more_than_one_batch_is_requeued_completely(command_line: CommandLine) -> None:
    async def many(queue: Queue) -> None:
        for _ in range(260):
            await queue.pending()
        for claim in await queue.claim_due():
            await queue.repository.mark_as_dead(claim, claim.expires_at - claim.started_at, "HTTP 410")

    command_line.having(many)
    assert command_line("requeue", "--status", "dead", "--yes").out == "260 requeued\n"
    assert dead_letters(command_line) == 0


def test_read_marks_notifications_as_read(command_line: CommandLine) -> None:
    first, second, _ = three_dead(command_line)
    assert command_line("read", first.id, second.id) == (0, "2 marked as read\n", "")
    assert command_line.stored(first.id).status is NotificationStatus.READ


@pytest.mark.parametrize("command", ["requeue", "read"])
def test_a_notification_being_attempted_is_left_to_its_worker(
    command_line: CommandLine, command: str
) -> None:
    claim = command_line.having(lambda queue: queue.claimed())
    code, _, err = command_line(command, claim.notification.id)
    assert code == 1
    assert "an attempt is under way" in err


def test_the_audit_log_records_who_ran_the_command(command_line: CommandLine) -> None:
    dead = command_line.having(lambda queue: queue.dead())
    assert command_line("requeue", dead.id).code == 0
    (entry,) = command_line.having(lambda queue: queue.repository.audit(dead.id, limit=10))
    assert entry.actor.startswith("cli:")
    assert entry.action.value == "requeue"


def test_a_channel_is_paused_and_resumed(command_line: CommandLine) -> None:
    command_line(*ALERT)
    code, out, err = command_line("pause", "Webhook", "--until", "2h", "--reason", "maintenance")
    assert (code, err) == (0, "")
    assert out.startswith("Paused until ")
    shown = command_line("channels").out
    assert "paused until" in shown
    assert "maintenance" in shown
    assert "Webhook until" in command_line("audit").out
    assert command_line("resume", "Webhook").out == "Resumed.\n"
    assert command_line("resume", "Webhook").out == "It was not paused.\n"
    assert "paused" not in command_line("channels").out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("Nowhere", "--until", "2h"), 2), (("Webhook", "--until", "soon"), 1), (("Webhook",), 2)],
)
def test_a_pause_with_missing_arguments_is_refused(
    command_line: CommandLine, arguments: tuple[str, ...], code: int
) -> None:
    command_line(*ALERT)
    assert command_line("pause", *arguments, "--reason", "maintenance").code == code
