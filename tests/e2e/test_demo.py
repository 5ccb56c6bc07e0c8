"""The demo, run to its end and stopped in the middle."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.processes import ROOT, Program

COMMAND = [sys.executable, "-W", "error", "-m", "certctl_mcp", "demo"]
PATIENCE = 60.0

ACTS = {
    "1. Six alerts are accepted": ("> send_notification", '"status": "pending"'),
    "2. The receivers misbehave": (
        "503 Service Unavailable, Retry-After: 2",
        "reads the signed request, then hangs",
        "a repeat of this webhook-id, so it is ignored",
        "410 Gone",
        "550 no such mailbox",
        "mc-pay over PagerDuty: attempt 1 of 5 failed",
        "Connection refused",
        "mc-shop over Slack: delivered",
        "mc-cdn over Webhook: delivered",
        "mc-pay over PagerDuty: dead letter, no attempts are left",
    ),
    "3. An assistant examines": (
        '{"notifications_dead": 3',
        '> list_notifications {"status": ["dead"]}',
        "5 of 5 attempts failed",
    ),
    "4. PagerDuty is repaired": (
        "> requeue_notification",
        "202 Accepted, incident opened",
        "mc-pay over PagerDuty: delivered",
    ),
    "5. Alerts that can't be delivered": ("> mark_notification_read", '{"notifications_dead": 0'),
    "6. The proof": ("mc-shop Slack 3 1 Idempotency-Key", "mc-vpn Old-CMDB 1 0", "none was lost"),
}
"""Texts that each act must contain. Their order within an act depends on the receivers."""


def environment(directory: Path) -> dict[str, str]:
    """With all files that the demo keeps outside the checkout in the directory."""
    return os.environ | {"HOME": str(directory), "TMPDIR": str(directory), "COLUMNS": "80"}


def processes_in(directory: Path) -> list[str]:
    """The command lines that contain the directory: the server's contains its settings file."""
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(directory) in line]


def missing_from(story: str, title: str) -> tuple[str, ...]:
    """The expected texts that an act does not contain, ignoring line breaks."""
    _, found, rest = " ".join(story.split()).partition(title)
    assert found, f"{title!r} is missing:\n{story}"
    act, _, _ = rest.partition(next((later for later in ACTS if later > title), "(the end)"))
    return tuple(landmark for landmark in ACTS[title] if landmark not in act)


def test_the_demo_shows_every_act_in_80_columns_and_leaves_nothing_behind(tmp_path: Path) -> None:
    demo = subprocess.run(
        COMMAND,
        cwd=ROOT,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    story = demo.stdout
    assert demo.returncode == 0, story
    assert {title: missing_from(story, title) for title in ACTS} == dict.fromkeys(ACTS, ()), story
    assert demo.stderr == ""
    assert list(tmp_path.iterdir()) == []
    assert processes_in(tmp_path) == []
    lines = story.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_the_demo_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    demo = Program(
        "certctl_mcp",
        "demo",
        environment=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    # Reads need no time limit of their own: they end when the process does.
    watchdog = threading.Timer(PATIENCE, demo.kill)
    watchdog.start()
    assert demo.stdout
    assert demo.stderr
    assert any(b"hangs" in line for line in demo.stdout)
    assert processes_in(tmp_path) != []
    # A terminal's Ctrl-C reaches the whole group.
    os.killpg(demo.pid, number)
    assert b"Stopped." in demo.stdout.read()
    assert demo.stderr.read() == b""
    assert demo.wait() == 130
    watchdog.cancel()
    demo.close()
    assert list(tmp_path.iterdir()) == []
    assert processes_in(tmp_path) == []
