"""The interface for tracing accepts and attempts, which costs nothing if tracing is off."""

from contextlib import AbstractContextManager
from typing import Protocol

from certctl_mcp.delivery.sender import Answer
from storage.models import Claim, NewNotification


class AttemptSpan(Protocol):
    """The span of one attempt."""

    @property
    def traceparent(self) -> str:
        """The trace context for the receiver, in the form of W3C Trace Context."""
        ...

    def ended(self, answer: Answer) -> None:
        """Record how the attempt ended."""
        ...


class Tracing(Protocol):
    """Creates spans. They contain no untrusted text except the names of channels and types."""

    def accepting(self, new: NewNotification) -> AbstractContextManager[str]:
        """A span around an accept, in the trace of `new` if it has one, and its traceparent, which is to be
        stored."""
        ...

    def attempting(self, claim: Claim) -> AbstractContextManager[AttemptSpan]:
        """A span around an attempt, linked to the accept."""
        ...
