"""Variants for each database. The backend chooses its own, so operations need no conditions."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PerDatabase(Generic[T]):
    """A statement or a function for each database."""

    sqlite: T
    postgresql: T


class Choose(Protocol):
    """Returns what belongs to the backend's own database."""

    def __call__(self, choices: PerDatabase[T], /) -> T: ...


def for_sqlite(choices: PerDatabase[T], /) -> T:
    return choices.sqlite


def for_postgresql(choices: PerDatabase[T], /) -> T:
    return choices.postgresql
