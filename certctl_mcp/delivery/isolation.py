"""Attempts in a child process, for notifications that may crash the process.

The child receives only the settings of its channel, through a pipe; variables with settings are removed from
its environment.
"""

import asyncio
import logging
import os
import pickle
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta

import anyio
from pydantic import ValidationError

from certctl_mcp.config.destinations import Channel
from certctl_mcp.delivery import attempt_process
from certctl_mcp.delivery.attempt_process import IsolatedAttempt, Result
from certctl_mcp.delivery.sender import Answer, no_notifier, timed_out
from certctl_mcp.delivery.suspects import START_UP
from certctl_mcp.notifiers.base import DeliveryFailedError
from storage.models import Notification

logger = logging.getLogger(__name__)

_SPARE = timedelta(seconds=5)
"""The process exits by itself this long after its parent should have killed it."""

_LONGEST_ANSWER = 100_000
"""The maximum in characters; a longer result can't come from our program."""

_SETTINGS = ("CERTCTL_", "PG")
"""The prefixes of variables with settings of this program or its database."""


class IsolatedAttempts:
    """Starts a process for each attempt, and ends it with the attempt."""

    def __init__(
        self,
        channels: Iterable[Channel],
        send_timeout: timedelta,
        kill_group: Callable[[int], None],
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`kill_group` kills the process group led by the process with this id."""
        self._channels = {channel.name: channel for channel in channels}
        self._send_timeout = send_timeout
        self._kill_group = kill_group
        self._environ = {
            name: value for name, value in environ.items() if not name.upper().startswith(_SETTINGS)
        }

    async def send(self, notification: Notification) -> Answer:
        """Like `Sender.send`. The result shows if the process died."""
        channel = self._channels.get(notification.channel)
        if channel is None:
            return no_notifier(notification.channel)
        timeout = channel.longest_attempt(self._send_timeout)
        limit = START_UP + timeout
        attempt = pickle.dumps(
            IsolatedAttempt(notification, channel, self._send_timeout, ends_after=limit + _SPARE)
        )
        begun = time.monotonic()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                attempt_process.__name__,
                stdin=PIPE,
                stdout=PIPE,
                env=self._environ,
                start_new_session=True,
            )
        except OSError as error:
            return Answer(timedelta(0), DeliveryFailedError(f"no process can be started for it: {error}"))
        try:
            with anyio.move_on_after(limit.total_seconds()):
                output, _ = await process.communicate(attempt)
                return _answer(output, await process.wait(), timedelta(seconds=time.monotonic() - begun))
            return Answer(timedelta(seconds=time.monotonic() - begun), timed_out(timeout))
        finally:
            # The process, and any that it has started.
            self._kill_group(process.pid)
            with anyio.CancelScope(shield=True):
                await process.wait()


def _answer(output: bytes, code: int, duration: timedelta) -> Answer:
    if code == 0 and len(output) <= _LONGEST_ANSWER:
        with suppress(ValidationError):
            return Result.model_validate_json(output).answer()
    ending = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
    failure = DeliveryFailedError(f"the process that attempted it {ending} without a result")
    return Answer(duration, failure, crashed=True)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
