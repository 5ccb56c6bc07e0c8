"""The installed program as people, service managers and shells meet it: a process, a terminal, signals."""

import asyncio
import json
import os
import pty
import re
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from storage.clock import utc_now
from storage.database import Database
from storage.notifications import NotificationRepository
from tests.builders import Queue, SettableClock

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "certctl_mcp"]
PATIENCE = 30.0
ALERT = ["send", "it expires", "--channel", "Webhook", "--type", "ExpirationWarning"]

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Receiver(ThreadingHTTPServer):
    """Takes what is posted; while `answers` is not set, it keeps the sender waiting."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.set()
        if self.server.answers.wait(PATIENCE):
            self.send_response(204)
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield server
        server.answers.set()
        server.shutdown()
        serving.join()


@pytest.fixture
def environment(tmp_path: Path, receiver: Receiver) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CERTCTL_")}
    return kept | {
        "CERTCTL_DATABASE_URL": f"sqlite:///{tmp_path / 'notifications.db'}",
        "CERTCTL_WEBHOOK_URL": f"http://127.0.0.1:{receiver.server_port}/hooks/unguessable",
        "TERM": "xterm-256color",
    }


def certctl(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def dead_letters(environment: dict[str, str], count: int) -> None:
    async def make() -> None:
        clock = SettableClock(utc_now())
        async with Database.open(environment["CERTCTL_DATABASE_URL"], clock=clock) as database:
            queue = Queue(NotificationRepository(database), clock)
            for _ in range(count):
                await queue.dead("HTTP 410: gone")

    asyncio.run(make())


def statuses(environment: dict[str, str]) -> set[str]:
    path = environment["CERTCTL_DATABASE_URL"].removeprefix("sqlite:///")
    connection = sqlite3.connect(path)
    found = {status for (status,) in connection.execute("SELECT status FROM notification_events")}
    connection.close()
    return found


class Worker:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def wait_until(self, event: str) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            if event in line:
                return
        pytest.fail(f"{event!r} was never told")

    def ends(self) -> tuple[int, str]:
        _, rest = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, rest


@contextmanager
def working(environment: dict[str, str]) -> Iterator[Worker]:
    process = subprocess.Popen(
        [*COMMAND, "worker"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        yield Worker(process)
    finally:
        process.kill()
        process.communicate()


class Terminal:
    """A program on a terminal of its own, 80 columns wide."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self._terminal, program = pty.openpty()
        ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=program,
            stdout=program,
            stderr=program,
            preexec_fn=_own_terminal,
        )
        os.close(program)
        self._shown = b""

    @property
    def seen(self) -> str:
        return ANSI.sub("", self._shown.decode(errors="replace").replace("\r\n", "\n"))

    def wait_until(self, text: str) -> None:
        while text not in self.seen:
            if not self._reads_on():
                pytest.fail(f"{text!r} was never shown, but: {self.seen}")

    def type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def ends(self) -> int:
        """The exit code, once everything it showed is in `seen`."""
        while self._reads_on():
            pass
        code = self.process.wait(PATIENCE)
        os.close(self._terminal)
        return code

    def _reads_on(self) -> bool:
        """Wait for more to be shown; false once the program has closed its end."""
        try:
            self._shown += os.read(self._terminal, 65536)
        except OSError:
            return False
        return True


def _own_terminal() -> None:
    os.setsid()
    ioctl(0, termios.TIOCSCTTY, 0)


def test_a_worker_delivers_what_was_sent_before_and_what_is_sent_meanwhile(
    environment: dict[str, str], receiver: Receiver
) -> None:
    certctl(environment, *ALERT)
    with working(environment) as worker:
        worker.wait_until("delivering from the database")
        assert receiver.asked.wait(PATIENCE)
        receiver.asked.clear()
        certctl(environment, *ALERT)
        assert receiver.asked.wait(PATIENCE)
        worker.process.terminate()
        code, told = worker.ends()
    assert code == 0
    assert "2 sent, 0 failed" in told
    assert statuses(environment) == {"sent"}


def test_a_worker_tells_its_channels_without_secrets(environment: dict[str, str]) -> None:
    with working(environment) as worker:
        worker.wait_until("channel Webhook: webhook at 127.0.0.1:")
        worker.process.terminate()
        _, told = worker.ends()
    assert "unguessable" not in told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_end_a_worker_lets_the_attempt_under_way_end(
    environment: dict[str, str], receiver: Receiver, number: signal.Signals
) -> None:
    receiver.answers.clear()
    certctl(environment, *ALERT)
    with working(environment) as worker:
        assert receiver.asked.wait(PATIENCE)
        worker.process.send_signal(number)
        worker.wait_until(f"{number.name}: claiming nothing more")
        receiver.answers.set()
        code, told = worker.ends()
    assert code == 0
    assert "1 sent" in told


def test_told_twice_a_worker_ends_at_once(environment: dict[str, str], receiver: Receiver) -> None:
    receiver.answers.clear()
    certctl(environment, *ALERT)
    with working(environment) as worker:
        assert receiver.asked.wait(PATIENCE)
        worker.process.terminate()
        worker.wait_until("SIGTERM: claiming nothing more")
        worker.process.terminate()
        code, _ = worker.ends()
    assert code == -signal.SIGTERM


def test_a_worker_whose_database_can_t_be_used_says_so_on_one_line(environment: dict[str, str]) -> None:
    ended = certctl(environment | {"CERTCTL_DATABASE_URL": "sqlite:////dev/null/x.db"}, "worker")
    assert ended.returncode == 3
    assert re.fullmatch(r"certctl-mcp: the database /dev/null/x.db can't be opened: .*\n", ended.stderr)


def test_without_a_command_stdout_belongs_to_the_protocol(environment: dict[str, str]) -> None:
    client = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    request = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client}
    ended = subprocess.run(
        COMMAND,
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
def test_a_wrong_setting_stops_the_start(environment: dict[str, str], arguments: list[str]) -> None:
    ended = certctl(environment | {"CERTCTL_NOTIFICATION_CONCURRENCY": "0"}, *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(
        "certctl-mcp: CERTCTL_NOTIFICATION_CONCURRENCY='0': must be a whole number"
    )
    assert ended.stderr.count("\n") == 1


def test_without_a_command_on_a_terminal_it_says_what_it_waits_for(environment: dict[str, str]) -> None:
    terminal = Terminal(environment)
    terminal.wait_until("is waiting for an MCP client to speak on stdin")
    terminal.wait_until("Ctrl-C ends.")
    terminal.type("\x03")
    assert terminal.ends() in (0, 130)
    assert "Traceback" not in terminal.seen


def test_a_list_fits_the_terminal_and_keeps_its_ids_whole(environment: dict[str, str]) -> None:
    dead_letters(environment, 2)
    found = json.loads(certctl(environment, "list", "--json").stdout)["data"]
    terminal = Terminal(environment, "list")
    assert terminal.ends() == 0
    assert all(len(line) <= 80 for line in terminal.seen.splitlines())
    assert all(notification["id"] in terminal.seen for notification in found)


def test_requeueing_by_filter_counts_and_asks(environment: dict[str, str]) -> None:
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


def test_interrupted_at_the_question_nothing_is_changed(environment: dict[str, str]) -> None:
    dead_letters(environment, 1)
    terminal = Terminal(environment, "requeue", "--status", "dead")
    terminal.wait_until("[y/N]")
    terminal.type("\x03")
    assert terminal.ends() == 130
    assert "Traceback" not in terminal.seen
    assert statuses(environment) == {"dead"}


def test_send_reads_a_message_from_stdin_and_now_delivers_it(environment: dict[str, str]) -> None:
    ended = subprocess.run(
        [*COMMAND, "send", "-", *ALERT[2:], "--now", "--json"],
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


def test_a_reader_that_has_seen_enough_is_no_error(environment: dict[str, str]) -> None:
    dead_letters(environment, 1)
    process = subprocess.Popen(
        [*COMMAND, "list", "--json"],
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
        ("certctl-mcp re", {"requeue", "read"}),
        ("certctl-mcp list --status d", {"dead"}),
        ("certctl-mcp list --channel ", {"Webhook"}),
        ("certctl-mcp send x --type Rev", {"Revocation"}),
    ],
)
def test_a_shell_completes(environment: dict[str, str], line: str, offered: set[str]) -> None:
    completing = {
        "_CERTCTL_MCP_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - (not line.endswith(" "))),
    }
    assert set(certctl(environment | completing).stdout.split()) == offered


def test_a_shell_completes_the_ids_of_dead_letters(environment: dict[str, str]) -> None:
    dead_letters(environment, 1)
    (dead,) = json.loads(certctl(environment, "list", "--json").stdout)["data"]
    completing = {
        "_CERTCTL_MCP_COMPLETE": "complete_bash",
        "COMP_WORDS": "certctl-mcp show ",
        "COMP_CWORD": "2",
    }
    assert certctl(environment | completing).stdout.split() == [dead["id"]]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_common_shell_has_its_completion(environment: dict[str, str], shell: str) -> None:
    asked = {"_CERTCTL_MCP_COMPLETE": f"source_{shell}"}
    assert "_CERTCTL_MCP_COMPLETE" in certctl(environment | asked).stdout
