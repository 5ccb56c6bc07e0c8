"""The processes of a run: workers and servers with different channels, and one with a settable clock."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.reliability.chaos.receiver import SENDER
from tests.reliability.chaos.schedule import LEASE, SEND_TIMEOUT
from tests.reliability.fleet import SERVER, WORKER, Launch

CHANNELS = ("Alpha", "Beta", "Gamma")

SETTINGS = {
    "CERTCTL_NOTIFICATION_SEND_TIMEOUT": f"{SEND_TIMEOUT:g}s",
    "CERTCTL_NOTIFICATION_LEASE": f"{LEASE:g}s",
    "CERTCTL_NOTIFICATION_BACKOFF_BASE": "0.2s",
    "CERTCTL_NOTIFICATION_BACKOFF_CAP": "1s",
    "CERTCTL_NOTIFICATION_RETRY_INTERVAL": "1s",
    "CERTCTL_NOTIFICATION_DELIVER": "true",
}

_MEMBERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "worker-1": (WORKER, ("Alpha", "Beta")),
    "worker-2": (WORKER, ("Beta", "Gamma")),
    "server-1": (SERVER, ("Gamma", "Alpha")),
    "observer": (("--read-only",), ()),
}
WITH_CLOCK = "worker-with-a-clock"

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def launches(place: Path, receiver: str) -> dict[str, Launch]:
    """How to start each process, by its name. The one with a settable clock needs libfaketime."""
    found = {
        name: Launch(command, settings={"CERTCTL_CONFIG": _config(place, name, channels, receiver)})
        for name, (command, channels) in _MEMBERS.items()
    }
    if _LIBRARIES:
        settings = {
            "CERTCTL_CONFIG": _config(place, WITH_CLOCK, CHANNELS, receiver),
            "LD_PRELOAD": str(_LIBRARIES[-1]),
            "FAKETIME_TIMESTAMP_FILE": str(clock_file(place)),
            "FAKETIME_NO_CACHE": "1",
            # The monotonic clock stays right.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        set_clock(place, 0)
        found[WITH_CLOCK] = Launch(WORKER, settings=settings, fresh=True)
    return found


def set_clock(place: Path, days: int) -> None:
    """Set the clock of the process with a settable one to this many days from now."""
    beside = clock_file(place).with_suffix(".new")
    beside.write_text(f"{days:+d}d\n")
    os.replace(beside, clock_file(place))


def clock_file(place: Path) -> Path:
    return place / "clock"


def _config(place: Path, name: str, channels: tuple[str, ...], receiver: str) -> str:
    tables = [
        f'[channels.{channel}]\nkind = "webhook"\nurl = "{receiver}/{channel}"\n'
        f'headers = {{ {SENDER} = "{name}" }}\n'
        for channel in channels
    ]
    config = place / f"{name}.toml"
    config.write_text("\n".join(tables))
    return str(config)
