"""Who acts? Fronts say it once for a request; what is done on its behalf is kept under that name."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

LONGEST = 200
"""Characters of a name; clients choose their own."""

_actor: ContextVar[str | None] = ContextVar("actor", default=None)


def actor() -> str | None:
    """Who acts now; None where nobody said."""
    return _actor.get()


@contextmanager
def acting(name: str) -> Iterator[None]:
    """What is done in the body is done by `name`."""
    token = _actor.set(name[:LONGEST])
    try:
        yield
    finally:
        _actor.reset(token)
