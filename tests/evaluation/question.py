"""A question of the evaluation: its text, the night before it, and the calls that answer it."""

from abc import ABC, abstractmethod
from typing import ClassVar

from tests.evaluation.assistant import Assistant
from tests.evaluation.night import Night

Answer = object
"""Something to compare: a number, a name, a set of them."""


class Question(ABC):
    """Asked of several nights that chance makes different, so that no answer can be known beforehand."""

    asked: ClassVar[str]
    calls: ClassVar[int]
    """The most that the reference solution may need."""
    tokens: ClassVar[int]
    """Likewise, of the answers that it reads."""

    @abstractmethod
    async def happened(self, night: Night) -> Answer:
        """Make the database, and give the right answer."""

    @abstractmethod
    async def reference(self, assistant: Assistant) -> Answer:
        """Find the answer, or do what was asked and tell what was done. Knows nothing but the question."""
