"""Dataclasses for what is made for each delivery: frozen for the type checker alone.

Freezing them at run time sets each field by a call of its own, which takes six times as long.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def struct(cls: type[T]) -> type[T]:
    """A dataclass whose instances are compared and hashed by value, and are never to be changed."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
