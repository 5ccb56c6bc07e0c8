"""list, show, summary and channels: their output for people and for programs."""

import json
from io import StringIO

import anyio
import pytest
from rich.console import Console

from certctl_mcp.cli.commands.following import follow_matches
from certctl_mcp.cli.terminal.notifications import notification_rows
from storage.models import Notification, NotificationFilter, NotificationStatus
from tests.builders import NOON, Queue, notification
from tests.certctl_mcp.cli.conftest import CommandLine
from tests.storage.raw_sql import run


def ids(printed: str) -> list[str]:
    return [row["id"] for row in json.loads(printed)["data"]]


def test_an_empty_queue_lists_nothing_and_says_so(command_line: CommandLine) -> None:
    command_line("migrate")
    assert command_line("list") == (0, "", f"No notification in {command_line.database} matches.\n")
    assert json.loads(command_line("list", "--json").out) == {
        "database": str(command_line.database),
        "data": [],
        "next_cursor": None,
    }


def test_without_a_terminal_each_row_is_one_line_with_the_whole_id(
    command_line: CommandLine,
) -> None:
    dead = command_line.having(
        lambda queue: queue.dead("HTTP 410: gone\nfor good", type="Renewal" + "x" * 20)
    )
    heading, row = command_line("list").out.splitlines()
    assert heading.split() == ["ID", "STATUS", "CHANNEL", "CERTIFICATE", "TYPE", "ACCEPTED", "WHAT"]
    assert row.startswith(dead.id)
    assert "HTTP 410: gone for good" in row


def test_untrusted_text_cannot_control_the_terminal_or_style_itself(command_line: CommandLine) -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07 [red]markup[/red] :boom: \u202etxet\nnotif-forged  sent"
    found = command_line.having(lambda queue: queue.dead(hostile, message=hostile, recipient="a\x9bm"))
    for arguments in (["list"], ["show", found.id], ["list", "--json"]):
        printed = command_line(*arguments).out
        assert not any(hidden in printed for hidden in "\x1b\x07\x9b\u202e")
    shown = command_line("show", found.id).out
    assert "\\u{1b}[2J" in shown
    assert "[red]markup[/red] :boom:" in shown
    assert len(command_line("list").out.splitlines()) == 2


def test_secrets_are_not_shown(command_line: CommandLine) -> None:
    found = command_line.having(lambda queue: queue.pending(message="token=abcdefghijklm"))
    assert "abcdefghijklm" not in command_line("show", found.id).out


def test_filters_select_notifications(command_line: CommandLine) -> None:
    async def several(queue: Queue) -> tuple[Notification, ...]:
        return (
            await queue.dead("HTTP 410", channel="Slack"),
            await queue.failed("timeout", certificate_id="cert-7"),
            await queue.pending(recipient="ops@example.com", type="Revocation"),
        )

    dead, failed, pending = command_line.having(several)
    for arguments, expected in (
        (["--status", "dead", "--status", "failed"], [failed.id, dead.id]),
        (["--status", "DEAD"], [dead.id]),
        (["--channel", "Slack"], [dead.id]),
        (["--certificate", "cert-7"], [failed.id]),
        (["--recipient", "ops@example.com"], [pending.id]),
        (["--type", "Revocation"], [pending.id]),
        (["--text", "TIMEOUT"], [failed.id]),
        (["--since", "1h"], [pending.id, failed.id, dead.id]),
        (["--until", "1h"], []),
        (["--since", "2020-01-01", "--until", "2020-01-02T08:00+02:00"], []),
    ):
        assert ids(command_line("list", "--json", *arguments).out) == expected


def test_a_cursor_continues_the_list_and_all_prints_every_page(command_line: CommandLine) -> None:
    async def five(queue: Queue) -> list[str]:
        return [(await queue.pending()).id for _ in range(5)]

    newest_first = command_line.having(five)[::-1]
    first = command_line("list", "--json", "--limit", "2").out
    cursor = json.loads(first)["next_cursor"]
    assert cursor in command_line("list", "--limit", "2").err
    rest = command_line("list", "--json", "--cursor", cursor).out
    assert ids(first) + ids(rest) == newest_first
    assert ids(command_line("list", "--json", "--limit", "2", "--all").out) == newest_first
    refused = command_line("list", "--cursor", "x")
    assert refused.code == 2
    assert "'x' is not a page cursor" in refused.err


def test_skipped_notifications_are_not_shown_as_delivered(command_line: CommandLine) -> None:
    skipped = command_line.having(lambda queue: queue.skipped())
    assert "sent (not delivered)" in command_line("list").out
    assert "sent (not delivered)" in command_line("show", skipped.id).out


def test_show_prints_the_attempts_and_what_can_be_done(command_line: CommandLine) -> None:
    dead = command_line.having(lambda queue: queue.dead("HTTP 410: gone"))
    printed = command_line("show", dead.id).out
    assert "0.25 s" in printed
    assert "certctl-mcp requeue retries it from scratch" in printed
    document = json.loads(command_line("show", dead.id, "--json").out)
    assert document["notification"]["id"] == dead.id
    assert [attempt["outcome"] for attempt in document["attempts"]] == ["dead"]


def test_show_prints_whether_the_certificate_has_been_renewed_since(command_line: CommandLine) -> None:
    dead = command_line.having(lambda queue: queue.dead(certificate_id="mc-1"))
    assert "renewed since" not in command_line("show", dead.id).out
    command_line.having(lambda queue: queue.pending(type="RenewalSuccess", certificate_id="mc-1"))
    assert "mc-1, renewed since" in command_line("show", dead.id).out


@pytest.mark.parametrize("command", ["show", "read", "requeue"])
def test_an_unknown_id_is_reported(command_line: CommandLine, command: str) -> None:
    command_line("migrate")
    code, _, err = command_line(command, "notif-nowhere")
    assert code == 1
    assert "no notification has the id 'notif-nowhere'" in err


def test_the_summary_counts_the_queue(command_line: CommandLine) -> None:
    command_line.having(lambda queue: queue.dead())
    document = json.loads(command_line("summary", "--json").out)
    assert document["notifications_dead"] == 1
    assert "Certificates" in command_line("summary").out


def test_channels_are_listed_with_their_destination_and_record(command_line: CommandLine) -> None:
    command_line.having(lambda queue: queue.dead("HTTP 410: gone"))
    printed = command_line("channels").out
    assert "webhook at 127.0.0.1:9 (not signed)" in printed
    assert "unreachable" not in printed
    assert "1 dead" in printed
    (channel,) = json.loads(command_line("channels", "--json").out)["data"]
    assert channel["record"]["outcomes"]["dead"] == 1


def test_without_channels_the_output_says_what_to_do(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CERTCTL_WEBHOOK_URL")
    assert "No channel is configured" in command_line("channels").err


def test_reading_commands_change_nothing(command_line: CommandLine) -> None:
    failed = command_line.having(lambda queue: queue.failed())
    for arguments in (["list"], ["show", failed.id], ["summary"], ["channels"]):
        command_line(*arguments)
    page = command_line.having(lambda queue: queue.repository.list(NotificationFilter()))
    assert page.items == (failed,)


def test_no_line_of_piped_output_ends_with_a_space(command_line: CommandLine) -> None:
    async def some(queue: Queue) -> Notification:
        await queue.failed("timeout", certificate_id="cert-7")
        await queue.skipped()
        return await queue.dead("HTTP 410: gone\n  for good  ", message="two\n\nlines  \n")

    dead = command_line.having(some)
    for arguments in (
        ["list"],
        ["show", dead.id],
        ["summary"],
        ["channels"],
        ["send", "it expires", "--channel", "Webhook", "--type", "X"],
        ["migrate"],
        ["requeue", "--status", "dead", "--dry-run"],
        ["--help"],
        ["list", "--help"],
    ):
        ended = command_line(*arguments)
        assert ended.code == 0
        assert [line for line in ended.out.splitlines() if line != line.rstrip()] == []
        assert len(ended.out) < 20_000


def test_the_attempt_count_includes_the_last_attempt(command_line: CommandLine) -> None:
    async def five(queue: Queue) -> str:
        notification = await queue.pending()
        for number in range(5):
            (claim,) = await queue.claim_due()
            took = claim.expires_at - claim.started_at
            if number == 4:
                await queue.repository.mark_as_dead(claim, took, "HTTP 503")
            else:
                await queue.repository.record_failed_attempt(claim, took, "HTTP 503", took * 0)
        return notification.id

    shown = command_line("show", command_line.having(five)).out
    assert "Attempts 5 of 5 attempts" in " ".join(shown.split())
    refused = command_line.having(lambda queue: queue.dead("HTTP 410"))
    assert "refused permanently at attempt 1" in command_line("show", refused.id).out


def test_an_id_can_be_given_by_its_beginning_or_its_end(command_line: CommandLine) -> None:
    async def some(queue: Queue) -> list[str]:
        return [(await queue.dead()).id for _ in range(3)]

    first, second, third = command_line.having(some)
    assert first in command_line("show", first[-10:]).out
    assert command_line("requeue", first[-10:], first, second[:-1]).out == "2 requeued\n"
    ambiguous = command_line("show", "notif-")
    assert ambiguous.code == 2
    assert "'notif-' matches several ids: " in ambiguous.err
    assert all(each in ambiguous.err for each in (first, second, third))
    assert "no notification has the id 'x'" in command_line("show", "x").err


def test_formats_for_programs(command_line: CommandLine) -> None:
    async def three(queue: Queue) -> list[str]:
        return [(await queue.pending()).id for _ in range(3)]

    newest_first = command_line.having(three)[::-1]
    assert command_line("list", "-o", "json").out == command_line("list", "--json").out
    lines = command_line("list", "-o", "ndjson", "-n", "2", "--all").out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == newest_first
    assert len(command_line("summary", "-o", "ndjson").out.splitlines()) == 1
    assert command_line("list", "-o", "text").out.startswith("ID ")
    for arguments, wrong in (
        (["-o", "yaml"], "for --output: 'yaml' is not one of text, json, ndjson"),
        (["--json", "-o", "ndjson"], "--json and -o ndjson contradict each other"),
        (["--follow", "--json"], "for --follow: needs text or -o ndjson"),
    ):
        refused = command_line("list", *arguments)
        assert refused.code == 2
        assert wrong in refused.err


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (80, "ID STATUS CHANNEL AGE CERTIFICATE TYPE: WHAT"),
        (140, "ID STATUS CHANNEL CERTIFICATE AGE WHAT"),
        (170, "ID STATUS CHANNEL CERTIFICATE TYPE ACCEPTED WHAT"),
    ],
)
def test_a_list_has_headings_and_fits_every_width(width: int, headings: str) -> None:
    rows = [notification(certificate_id="mc-api", message="it expires " * 50), notification(channel="x" * 99)]
    console = Console(width=width, file=StringIO())
    console.print(notification_rows(rows, NOON, width))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert all(len(line.rstrip()) <= width for line in lines)
    assert " ".join(" ".join(lines).split()).startswith(headings)
    assert any("mc-api" in line for line in lines)


def test_an_empty_list_names_the_database(command_line: CommandLine) -> None:
    command_line("migrate")
    assert command_line("list").err == f"No notification in {command_line.database} matches.\n"
    assert "did you mean 'Webhook'?" in command_line("list", "--channel", "webhok").err


async def test_following_shows_new_and_changed_notifications(queue: Queue) -> None:
    shown = [await queue.pending() for _ in range(2)][::-1]
    followed = follow_matches(queue.repository, NotificationFilter(), shown[:1])
    with anyio.fail_after(10):
        new = await queue.dead()
        assert [each.id for each in await anext(followed)] == [new.id]
        await queue.repository.requeue(new.id)
        (requeued,) = await anext(followed)
    assert (requeued.id, requeued.status) == (new.id, NotificationStatus.PENDING)


def test_a_dead_letter_and_its_replacement_refer_to_each_other(command_line: CommandLine) -> None:
    dead = command_line.having(lambda queue: queue.dead())
    other = command_line.having(lambda queue: queue.pending(channel="Email"))
    run(
        command_line.database,
        "UPDATE notification_events SET origin_id = $1 WHERE id = $2",
        dead.id,
        other.id,
    )
    shown = command_line("show", dead.id).out
    assert f"Replaced by  {other.id}" in shown
    assert f"In place of  {dead.id}" in command_line("show", other.id).out
    assert json.loads(command_line("show", dead.id, "--json").out)["replaced_by"] == other.id
    assert json.loads(command_line("show", other.id, "--json").out)["notification"]["origin_id"] == dead.id
