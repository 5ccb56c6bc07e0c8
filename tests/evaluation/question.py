"""A question of the evaluation: its text, the night before it, and the calls that answer it."""

from abc import ABC, abstractmethod
from typing import ClassVar

from tests.evaluation.assistant import Assistant
from tests.evaluation.night import Night

Answer = object
"""A value to compare: a number, a name, or a set of them."""


class Question(ABC):
    """Asked about several random nights, so that no answer can be known beforehand."""

    asked: ClassVar[str]
    calls: ClassVar[int]
    """The most calls that the reference solution may make."""
    tokens: ClassVar[int]
    """The most tokens of results that it may read."""

    @abstractmethod
    async def happened(self, night: Night) -> Answer:
        """Create the night's alerts; returns the right answer."""

    @abstractmethod
    async def reference(self, assistant: Assistant) -> Answer:
        """Find the answer, or do what was asked and report it. Knows only the question."""
