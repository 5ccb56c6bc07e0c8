"""Attempts in a child process: its result is returned, and a crash affects nothing else."""

import os
import pickle
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE

import anyio
import anyio.to_thread
import pytest

from certctl_mcp.config.destinations import Channel, PluginDestination
from certctl_mcp.delivery import attempt_process, isolation
from certctl_mcp.delivery.attempt_process import IsolatedAttempt
from certctl_mcp.delivery.isolation import IsolatedAttempts
from certctl_mcp.delivery.sender import Answer
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.runtime.platform import kill_group
from tests.builders import notification

NOTIFIER = """
import asyncio, ctypes, os, subprocess, sys, threading, time
from datetime import timedelta
from certctl_mcp.notifiers.base import DeliveryFailedError
from certctl_mcp.notifiers.failure_kinds import FailureKind

class Acting:
    def __init__(self, options):
        self.options = options

    async def send(self, notification):
        await getattr(self, notification.message)()

    async def deliver(self):
        print("a notifier that prints")

    async def deliver_and_leave_a_thread(self):
        threading.Thread(target=time.sleep, args=(600,)).start()

    async def fail(self):
        raise DeliveryFailedError("HTTP 429: slow down", retry_after=timedelta(seconds=7),
            told_to_wait=True, kind=FailureKind.RATE_LIMITED)

    async def refuse(self):
        raise DeliveryFailedError("HTTP 410", permanent=True)

    async def exit(self):
        os._exit(7)

    async def exit_well(self):
        os._exit(0)

    async def segfault(self):
        ctypes.string_at(0)

    async def hang(self):
        await asyncio.sleep(600)

    async def block(self):
        child = subprocess.Popen(["sleep", "600"])
        with open(self.options["pid"], "w") as file:
            print(os.getpid(), child.pid, file=file)
        time.sleep(600)

    async def show_environment(self):
        raise DeliveryFailedError(" ".join(sorted(os.environ)))

    async def aclose(self):
        pass
"""

TIMEOUT = timedelta(seconds=20)
PATIENCE = 30.0


@pytest.fixture
def attempts(tmp_path: Path) -> IsolatedAttempts:
    metadata = tmp_path / "acting-1.0.dist-info"
    metadata.mkdir()
    (tmp_path / "acting.py").write_text(NOTIFIER)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acting\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[certctl_mcp.notifiers]\nacting = acting:Acting\n")
    return isolated(tmp_path)


def isolated(site: Path, timeout: timedelta = TIMEOUT) -> IsolatedAttempts:
    destination = PluginDestination(notifier="acting", options={"pid": str(site / "pid")})
    environ = os.environ | {
        "PYTHONPATH": str(site),
        "CERTCTL_SMTP_PASSWORD": "of another channel",
        "certctl_webhook_secret": "of another channel",
        "PGPASSWORD": "of the database",
    }
    return IsolatedAttempts([Channel(name="Pager", destination=destination)], timeout, kill_group, environ)


async def send(attempts: IsolatedAttempts, message: str) -> Answer:
    return await attempts.send(notification(channel="Pager", message=message))


@pytest.mark.parametrize("message", ["deliver", "deliver_and_leave_a_thread"])
async def test_a_delivery_is_reported_despite_output_and_leftover_threads(
    attempts: IsolatedAttempts, message: str
) -> None:
    answer = await send(attempts, message)
    assert (answer.failure, answer.crashed) == (None, False)
    assert answer.duration < TIMEOUT


async def test_a_failure_is_reported_with_all_its_fields(attempts: IsolatedAttempts) -> None:
    failure = (await send(attempts, "fail")).failure
    assert failure is not None
    assert (str(failure), failure.permanent) == ("HTTP 429: slow down", False)
    assert (failure.retry_after, failure.told_to_wait) == (timedelta(seconds=7), True)
    assert failure.kind is FailureKind.RATE_LIMITED
    refusal = (await send(attempts, "refuse")).failure
    assert refusal is not None
    assert refusal.permanent


@pytest.mark.parametrize(
    ("message", "ending"),
    [
        ("exit", "ended with exit code 7"),
        ("exit_well", "ended with exit code 0"),
        ("segfault", "was killed by SIGSEGV"),
    ],
)
async def test_a_crashed_process_is_reported(attempts: IsolatedAttempts, message: str, ending: str) -> None:
    answer = await send(attempts, message)
    assert answer.crashed
    assert str(answer.failure) == f"the process that attempted it {ending} without a result"


async def test_a_child_gets_only_the_settings_of_its_channel(attempts: IsolatedAttempts) -> None:
    names = str((await send(attempts, "show_environment")).failure).split()
    assert "PYTHONPATH" in names
    assert not [name for name in names if name.upper().startswith(("CERTCTL_", "PG"))]


async def test_a_hanging_send_ends_at_the_send_timeout(attempts: IsolatedAttempts, tmp_path: Path) -> None:
    answer = await send(isolated(tmp_path, timedelta(milliseconds=100)), "hang")
    assert str(answer.failure) == "no answer within the send timeout of 0.1 s"
    assert not answer.crashed


async def test_a_blocked_process_ends_at_the_send_timeout(
    attempts: IsolatedAttempts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "START_UP", timedelta(seconds=1))
    answer = await send(isolated(tmp_path, timedelta(milliseconds=100)), "block")
    assert str(answer.failure) == "no answer within the send timeout of 0.1 s"
    assert not answer.crashed


async def test_a_cancelled_attempt_leaves_no_process_running(
    attempts: IsolatedAttempts, tmp_path: Path
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send, attempts, "block")
        pids = await anyio.to_thread.run_sync(words_in, tmp_path / "pid")
        tasks.cancel_scope.cancel()
    for pid in pids:
        await anyio.to_thread.run_sync(wait_until_ended, pid)


async def test_a_channel_without_a_notifier_does_not_blame_the_notification(
    attempts: IsolatedAttempts,
) -> None:
    answer = await attempts.send(notification(channel="Pigeon"))
    assert answer.failure is not None
    assert (answer.failure.permanent, answer.failure.kind) == (False, FailureKind.NO_NOTIFIER)


def test_a_child_exits_when_its_parent_has_died(attempts: IsolatedAttempts, tmp_path: Path) -> None:
    destination = PluginDestination(notifier="acting", options={"pid": str(tmp_path / "pid")})
    attempt = IsolatedAttempt(
        notification(channel="Pager", message="block"),
        Channel(name="Pager", destination=destination),
        TIMEOUT,
        ends_after=timedelta(seconds=3),
    )
    environ = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-P", "-m", attempt_process.__name__]
    ended = subprocess.run(command, input=pickle.dumps(attempt), env=environ, stdout=PIPE, check=False)
    assert (ended.returncode, ended.stdout) == (1, b"")
    # Unless the machine was busy, the child has started a process of its own by then.
    if (tmp_path / "pid").exists():
        _, left = words_in(tmp_path / "pid")
        os.kill(int(left), signal.SIGKILL)


def words_in(path: Path) -> list[str]:
    """The words in a file, once it has a complete line."""
    until = time.monotonic() + PATIENCE
    while not path.exists() or not path.read_text().endswith("\n"):
        assert time.monotonic() < until
        time.sleep(0.01)
    return path.read_text().split()


def wait_until_ended(pid: str) -> None:
    """Wait for a process that has been sent a signal."""
    status = Path(f"/proc/{pid}/stat")
    until = time.monotonic() + PATIENCE
    while status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < until
        time.sleep(0.01)
