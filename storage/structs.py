"""Dataclasses for objects that are created for every delivery: frozen for the type checker only.

Freezing them at run time would set each field with a separate call, which takes six times as long.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def struct(cls: type[T]) -> type[T]:
    """A dataclass whose instances are compared and hashed by value, and must never be changed."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
