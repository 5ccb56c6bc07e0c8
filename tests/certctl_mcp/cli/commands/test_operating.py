"""diagnose, report, test, audit and watch: what an operator on call does at a terminal."""

import json
import os
import shlex
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from certctl_mcp.cli.terminal.formats import Format
from certctl_mcp.cli.terminal.output import print_json
from storage.models import Notification, Retained
from storage.operations.retention import Expiry, RetentionRun
from tests.builders import Queue
from tests.certctl_mcp.cli.conftest import CommandLine


async def a_bad_night(queue: Queue) -> list[Notification]:
    dead = [await queue.dead("hooks.example.com answered 503 Service Unavailable") for _ in range(3)]
    await queue.dead("mail.example.com:587 refused the login: 535 obey\x1b[2J", channel="Email")
    await queue.failed("no answer from hooks.example.com:443 within 30 s")
    return dead


def test_diagnose_prints_each_cause_and_what_to_do(command_line: CommandLine) -> None:
    command_line.having(a_bad_night)
    code, out, _ = command_line("diagnose")
    assert code == 0
    assert out.startswith("4 dead, 1 failed\n")
    assert "\nWebhook: " in out
    assert "(3 dead)" in out
    assert "  then: certctl-mcp requeue --channel Webhook\n" in out
    assert "\x1b" not in out
    document = json.loads(command_line("diagnose", "--channel", "Webhook", "--dead-only", "--json").out)
    assert (document["dead"], [cause["dead"] for cause in document["causes"]]) == (3, [3])
    assert document["causes"][0]["requeue"] is True


def test_diagnose_offers_a_separate_command_for_each_cause(command_line: CommandLine) -> None:
    async def two_causes(queue: Queue) -> None:
        for _ in range(3):
            await queue.dead("hooks.example.com answered 503 Service Unavailable", type="Revocation")
        for _ in range(2):
            await queue.dead("no answer from hooks.example.com:443 within 30 s", type="Revocation")
        await queue.dead("no answer from hooks.example.com:443 within 30 s")

    command_line.having(two_causes)
    out = command_line("diagnose", "--type", "Revocation").out
    begins = "  then: certctl-mcp requeue --channel Webhook --type Revocation --text"
    assert f"{begins} 'hooks.example.com answered 503'\n" in out
    assert f"{begins} 'no answer from hooks.example.com:443 within'\n" in out
    for cause in json.loads(command_line("diagnose", "--type", "Revocation", "--json").out)["causes"]:
        command = shlex.split(cause["requeue_command"])[1:]
        assert json.loads(command_line(*command, "--yes", "--json").out)["changed"] == cause["dead"]


def test_diagnose_finds_nothing_in_a_healthy_queue(command_line: CommandLine) -> None:
    command_line("migrate")
    assert command_line("diagnose").out == "0 dead, 0 failed\n"
    assert "did you mean 'Webhook'?" in command_line("diagnose", "--channel", "webhok").err


def test_report_counts_attempts_by_channel(command_line: CommandLine) -> None:
    command_line.having(a_bad_night)
    lines = command_line("report", "--since", "1h").out.splitlines()
    assert lines[1].split() == [
        *("CHANNEL", "ATTEMPTS", "DELIVERED", "RETRIED", "DIED"),
        *("SKIPPED", "ABANDONED", "MEDIAN", "P95"),
    ]
    assert lines[2].split() == ["Webhook", "4", "0", "1", "3", "0", "0", "-", "-"]
    assert lines[-1].split()[:2] == ["all", "5"]
    document = json.loads(command_line("report", "--json").out)
    assert document["overall"]["died"] == 4
    assert command_line("report", "--since", "2h", "--until", "1h").out.endswith("none\n")


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["report", "--since", "last week"], "for --since: 'last week' is not a point in time"),
        (["report", "--since", "1h", "--until", "2h"], "for --since: must be before the end"),
        (["report", "--since", "2020-01-01"], "for --since: must be at most 366d before the end"),
        (["diagnose", "--status", "dead"], "for --status: is not for diagnose"),
    ],
)
def test_a_wrong_period_is_refused(command_line: CommandLine, arguments: list[str], wrong: str) -> None:
    code, out, err = command_line(*arguments)
    assert (code, out) == (2, "")
    assert wrong in err


def test_test_prints_why_a_channel_does_not_deliver_and_stores_nothing(command_line: CommandLine) -> None:
    code, out, err = command_line("test", "Webhook")
    assert (code, out) == (1, "")
    assert err.startswith("certctl-mcp: not delivered: the connection to 127.0.0.1:9 failed")
    assert not command_line.database.exists()
    misspelt = command_line("test", "webhok")
    assert misspelt.code == 2
    assert "did you mean 'Webhook'?" in misspelt.err
    command_line("migrate")
    assert json.loads(command_line("test", "Webhook", "--json").out)["failure"] is not None
    assert command_line("audit").out.splitlines()[1].split()[-2] == "test"


def test_test_previews_a_type_and_sends_it_only_on_request(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(
        """
        public_url = "https://alerts.example.com"
        [channels.Webhook.templates.Revocation]
        body = "$type for $recipient\\n$link"
        [channels.Email]
        host = "127.0.0.1"
        port = 9
        from_address = "certs@example.com"
        recipients = ["*@example.com"]
        security = "none"
        """
    )
    monkeypatch.setenv("CERTCTL_CONFIG", str(settings))
    revocation = ["--type", "Revocation", "--recipient", "ops@example.com"]
    code, out, err = command_line("test", "Webhook", *revocation)
    assert (code, err) == (0, "")
    assert json.loads(out)["data"]["message"].startswith(
        "Revocation for ops@example.com\nhttps://alerts.example.com/n/"
    )
    mail = command_line("test", "Email", *revocation)
    assert mail.code == 0
    assert "To: ops@example.com\n" in mail.out
    assert "Subject: Revocation: " in mail.out
    assert not command_line.database.exists()
    sent = command_line("test", "Webhook", *revocation, "--send")
    assert sent.code == 1
    assert json.loads(sent.out)["type"] == "Revocation"
    assert "not delivered: the connection to 127.0.0.1:9 failed" in sent.err
    nobody = command_line("test", "Email", "--type", "Revocation", "--recipient", "ops")
    assert (nobody.code, nobody.out) == (1, "")
    assert "can't be sent: not an e-mail address: 'ops'" in nobody.err
    eve = command_line("test", "Email", "--type", "Revocation", "--recipient", "eve@evil.example", "--send")
    assert eve.code == 1
    assert "may only go to *@example.com" in eve.err


def test_the_databases_of_a_copy_come_from_variables_and_files(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command_line.having(a_bad_night)
    target = tmp_path / "copied.db"
    secret = tmp_path / "database-url"
    secret.write_text(f"sqlite:///{target}\n")
    monkeypatch.setenv("CERTCTL_COPY_FROM", f"sqlite:///{command_line.database}")
    code, out, _ = command_line("copy", "--to", f"@{secret}")
    assert (code, out.splitlines()[0]) == (0, "notifications: 5")
    monkeypatch.setenv("CERTCTL_COPY_TO", f"@{secret}")
    assert "notifications: 5, 5 of them already there" in command_line("copy").out
    code, _, err = command_line("copy", "--to", f"@{tmp_path / 'missing'}")
    assert code == 2
    assert "the file can't be read" in err


def test_the_audit_log_shows_who_did_what_even_to_deleted_notifications(command_line: CommandLine) -> None:
    first, second, _ = command_line.having(a_bad_night)
    command_line("requeue", first.id)
    command_line("read", second.id)
    command_line("purge", "--until", "0s", "--yes")
    rows = [line.split() for line in command_line("audit").out.splitlines()]
    assert rows[0] == ["WHEN", "WHO", "WHAT", "ID"]
    assert [(row[-2], row[-1]) for row in rows[1:]] == [
        ("purge", second.id),
        ("read", second.id),
        ("requeue", first.id),
    ]
    assert all(row[3].startswith("cli:") for row in rows[1:])
    entries = json.loads(command_line("audit", first.id, "--json").out)["data"]
    assert [entry["action"] for entry in entries] == ["requeue"]
    assert len(command_line("audit", "-n", "2", "-o", "ndjson").out.splitlines()) == 2


def test_the_audit_log_of_a_misspelt_id_is_not_empty_but_refused(command_line: CommandLine) -> None:
    command_line.having(lambda queue: queue.dead())
    code, out, err = command_line("audit", "notif-nowhere")
    assert (code, out) == (1, "")
    assert "no notification has the id 'notif-nowhere'" in err


def test_the_audit_log_shows_what_retention_deleted(command_line: CommandLine) -> None:
    async def expired(queue: Queue) -> None:
        await queue.sent()
        queue.clock.advance(timedelta(days=2))
        run = RetentionRun("worker-1")
        await queue.repository.delete_expired(Expiry(Retained.SENT, queue.clock(), run))

    command_line.having(expired)
    (row,) = command_line("audit").out.splitlines()[1:]
    assert row.split()[-4:] == ["worker-1", "retention", "1", "sent"]
    (entry,) = json.loads(command_line("audit", "--json").out)["data"]
    assert (entry["action"], entry["detail"]) == ("retention", "1 sent")


def test_watch_shows_the_queue_until_it_is_interrupted(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    command_line.having(a_bad_night)

    def interrupted(document: BaseModel, form: Format) -> None:
        print_json(document, form)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("certctl_mcp.cli.terminal.output.print_json", interrupted)
    code, out, _ = command_line("watch", "-o", "ndjson")
    assert code == 130
    assert json.loads(out.splitlines()[0])["notifications_dead"] == 4
