"""The program as people and shells use it: arguments, pipes, a terminal."""

import json
import subprocess
import threading
from pathlib import Path

import pytest

from tests.e2e.program import ALERT, PATIENCE, Terminal, certctl
from tests.e2e.queue_file import dead_letters, statuses
from tests.processes import ROOT, Program, forked


def test_without_a_command_stdout_belongs_to_the_protocol(environment: dict[str, str]) -> None:
    client = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    request = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client}
    ended = subprocess.run(
        forked("certctl_mcp"),
        cwd=ROOT,
        env=environment,
        input=json.dumps(request) + "\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    (answer,) = ended.stdout.splitlines()
    assert json.loads(answer)["result"]["serverInfo"]["name"] == "certctl-mcp"
    assert ended.returncode == 0
    assert "waiting for" not in ended.stderr


@pytest.mark.parametrize("arguments", [[], ["worker"], ["list"]])
def test_a_wrong_setting_prevents_the_start(environment: dict[str, str], arguments: list[str]) -> None:
    ended = certctl(environment | {"CERTCTL_NOTIFICATION_CONCURRENCY": "0"}, *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(
        "certctl-mcp: CERTCTL_NOTIFICATION_CONCURRENCY='0': must be a whole number"
    )
    assert ended.stderr.count("\n") == 1


def test_a_read_only_server_without_a_queue_exits(environment: dict[str, str], tmp_path: Path) -> None:
    server = Program(
        "certctl_mcp",
        "--read-only",
        environment=environment | {"CERTCTL_DATABASE_URL": f"sqlite:///{tmp_path}/data/queue.db"},
        # A host keeps stdin open.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    watchdog = threading.Timer(PATIENCE, server.kill)
    watchdog.start()
    assert server.stderr
    told = server.stderr.read().decode()
    assert server.wait() == 3
    watchdog.cancel()
    server.close()
    expected = f"no queue at {tmp_path}/data/queue.db (from CERTCTL_DATABASE_URL); nothing was created"
    assert told.endswith(f"certctl-mcp: {expected}\n")
    assert not (tmp_path / "data").exists()


def test_without_a_command_on_a_terminal_the_server_says_what_it_waits_for(
    environment: dict[str, str],
) -> None:
    terminal = Terminal(environment)
    terminal.wait_until("is waiting for an MCP client on stdin")
    terminal.wait_until("Press Ctrl-C to stop.")
    terminal.interrupt()
    assert terminal.ends() == 130
    assert "Traceback" not in terminal.seen


def test_a_list_fits_the_terminal_and_keeps_its_ids_whole(environment: dict[str, str]) -> None:
    dead_letters(environment, 2)
    found = json.loads(certctl(environment, "list", "--json").stdout)["data"]
    terminal = Terminal(environment, "list")
    assert terminal.ends() == 0
    assert all(len(line) <= 80 for line in terminal.seen.splitlines())
    assert all(notification["id"] in terminal.seen for notification in found)


def test_requeueing_by_filter_shows_the_count_and_asks_for_confirmation(environment: dict[str, str]) -> None:
    dead_letters(environment, 3)
    terminal = Terminal(environment, "requeue", "--status", "dead")
    terminal.wait_until("Requeue 3 notifications? [y/N]")
    terminal.type("n\n")
    assert terminal.ends() == 1
    assert "declined; nothing was changed" in terminal.seen
    assert statuses(environment) == {"dead"}

    terminal = Terminal(environment, "requeue", "--status", "dead")
    terminal.wait_until("[y/N]")
    terminal.type("y\n")
    assert terminal.ends() == 0
    assert "3 requeued" in terminal.seen
    assert "3/3" in terminal.seen
    assert statuses(environment) == {"pending"}


def test_ctrl_c_at_the_question_changes_nothing(environment: dict[str, str]) -> None:
    dead_letters(environment, 1)
    terminal = Terminal(environment, "requeue", "--status", "dead")
    terminal.wait_until("[y/N]")
    terminal.interrupt()
    assert terminal.ends() == 130
    assert "Traceback" not in terminal.seen
    assert statuses(environment) == {"dead"}


def test_send_reads_a_message_from_stdin_and_delivers_it_with_now(environment: dict[str, str]) -> None:
    ended = subprocess.run(
        [*forked("certctl_mcp"), "send", "-", *ALERT[2:], "--now", "--json"],
        cwd=ROOT,
        env=environment,
        input="two\nlines\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ended.returncode == 0
    notification = json.loads(ended.stdout)
    assert (notification["status"], notification["message"]) == ("sent", "two\nlines\n")


def test_a_closed_pipe_is_not_an_error(environment: dict[str, str]) -> None:
    dead_letters(environment, 1)
    process = subprocess.Popen(
        [*forked("certctl_mcp"), "list", "--json"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(PATIENCE) in (0, 1)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("certctl-mcp re", {"requeue", "read", "report", "resume"}),
        ("certctl-mcp list --status d", {"dead"}),
        ("certctl-mcp list --channel ", {"Webhook"}),
        ("certctl-mcp send x --type Rev", {"Revocation"}),
    ],
)
def test_shell_completion(environment: dict[str, str], line: str, offered: set[str]) -> None:
    completing = {
        "_CERTCTL_MCP_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - (not line.endswith(" "))),
    }
    assert set(certctl(environment | completing).stdout.split()) == offered


def test_shell_completion_of_the_ids_of_dead_letters(environment: dict[str, str]) -> None:
    dead_letters(environment, 1)
    (dead,) = json.loads(certctl(environment, "list", "--json").stdout)["data"]
    completing = {
        "_CERTCTL_MCP_COMPLETE": "complete_bash",
        "COMP_WORDS": "certctl-mcp show ",
        "COMP_CWORD": "2",
    }
    assert certctl(environment | completing).stdout.split() == [dead["id"]]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_common_shell_has_completion(environment: dict[str, str], shell: str) -> None:
    asked = {"_CERTCTL_MCP_COMPLETE": f"source_{shell}"}
    assert "_CERTCTL_MCP_COMPLETE" in certctl(environment | asked).stdout
