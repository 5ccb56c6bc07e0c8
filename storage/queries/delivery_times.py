"""Histograms of the times that deliveries took, rounded so that a few numbers describe any number of them."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from operator import add

from sqlalchemy import ColumnElement, case

_LONGEST = 10**12
"""Milliseconds, about 30 years. Longer times count as this long."""


def _steps() -> Iterator[tuple[int, int]]:
    """The limits, each with the step of the times below it: at most a tenth of any of them."""
    unit = 1
    while unit * 100 <= _LONGEST:
        for below, step in ((20, 1), (50, 2), (100, 5)):
            yield below * unit, step * unit
        unit *= 10


def _times() -> Iterator[int]:
    time = 0
    for below, step in _steps():
        yield from range(time, below, step)
        time = below
    yield _LONGEST


TIMES = tuple(_times())
"""Every rounded time, in milliseconds: 0 to 20, 22 to 50, 55 to 100, 110 to 200, and so on."""

_PLACES = {time: place for place, time in enumerate(TIMES)}


def rounded(milliseconds: ColumnElement[int]) -> ColumnElement[int]:
    """One of `TIMES`, at most 5 % off. A negative time, which only clocks that differ can cause, is zero."""
    steps = ((milliseconds < below, (milliseconds + step // 2) // step * step) for below, step in _steps())
    return case((milliseconds < 0, 0), *steps, else_=_LONGEST)


class Histogram:
    """How many deliveries took how long."""

    __slots__ = ("_first", "_numbers")

    def __init__(self, stored: Sequence[int] = ()) -> None:
        """`stored` is what another one had to store."""
        self._first = stored[0] if stored else 0
        self._numbers = list(stored[1:])

    @property
    def stored(self) -> list[int]:
        """The place of the shortest time in `TIMES`, and the numbers from there on."""
        return [self._first, *self._numbers] if self._numbers else []

    def count(self, time: int, number: int) -> None:
        """Add so many deliveries with one of `TIMES`."""
        self.add(Histogram((_PLACES[time], number)))

    def add(self, other: "Histogram") -> None:
        theirs = other._numbers
        if not theirs:
            return
        if not self._numbers:
            self._first = other._first
        before = self._first - other._first
        if before > 0:
            self._first = other._first
            self._numbers[:0] = [0] * before
        begin = other._first - self._first
        end = begin + len(theirs)
        self._numbers += [0] * (end - len(self._numbers))
        self._numbers[begin:end] = map(add, self._numbers[begin:end], theirs)

    def percentile(self, percent: int) -> timedelta | None:
        """By nearest rank: the shortest time within which `percent` of them were delivered."""
        rank, of = 0, sum(self._numbers)
        for time, number in zip(TIMES[self._first :], self._numbers, strict=False):
            rank += number
            if number and rank * 100 >= of * percent:
                return timedelta(milliseconds=time)
        return None
