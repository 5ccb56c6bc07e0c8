"""The process that makes one attempt in isolation: `python -m certctl_mcp.delivery.attempt_process`.

It reads the attempt from stdin and writes the result to stdout. Its parent starts it for a notification that
may crash the process, so that the crash affects nothing else.
"""

import asyncio
import faulthandler
import os
import pickle
import sys
from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel

from certctl_mcp.config.destinations import Channel
from certctl_mcp.delivery.sender import Answer, Sender
from certctl_mcp.notifiers.base import DeliveryFailedError
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.registry import NotifierRegistry
from storage.models import Notification


@dataclass(frozen=True, slots=True)
class IsolatedAttempt:
    """The input of the process, with only the settings of the notification's channel."""

    notification: Notification
    channel: Channel
    send_timeout: timedelta
    ends_after: timedelta
    """When the process exits by itself, in case its parent has died."""


class Result(BaseModel):
    """The output of the process."""

    duration: timedelta
    failure: str | None = None
    permanent: bool = False
    retry_after: timedelta | None = None
    told_to_wait: bool = False
    kind: FailureKind | None = None

    @classmethod
    def of(cls, answer: Answer) -> "Result":
        failure = answer.failure
        if failure is None:
            return cls(duration=answer.duration)
        return cls(
            duration=answer.duration,
            failure=str(failure),
            permanent=failure.permanent,
            retry_after=failure.retry_after,
            told_to_wait=failure.told_to_wait,
            kind=failure.kind,
        )

    def answer(self) -> Answer:
        if self.failure is None:
            return Answer(self.duration, None)
        failure = DeliveryFailedError(
            self.failure,
            permanent=self.permanent,
            retry_after=self.retry_after,
            told_to_wait=self.told_to_wait,
            kind=self.kind,
        )
        return Answer(self.duration, failure)


async def _attempt(attempt: IsolatedAttempt) -> Answer:
    async with NotifierRegistry.open([attempt.channel], 1, send_timeout=attempt.send_timeout) as notifiers:
        sender = Sender(notifiers.find, attempt.channel.longest_attempt(attempt.send_timeout))
        return await sender.send(attempt.notification)


def main() -> None:
    faulthandler.enable()
    # Output of a notifier must not mix with the result.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Only the trusted parent writes here.
    attempt: IsolatedAttempt = pickle.load(sys.stdin.buffer)
    # This needs neither the event loop nor the interpreter's lock, which a hanging send may hold.
    faulthandler.dump_traceback_later(attempt.ends_after.total_seconds(), exit=True)
    with answers:
        answers.write(Result.of(asyncio.run(_attempt(attempt))).model_dump_json())
    # Threads that a notifier left behind must not keep the process from exiting.
    os._exit(0)


if __name__ == "__main__":
    main()
