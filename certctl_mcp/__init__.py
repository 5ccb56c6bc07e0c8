"""A durable notification queue with retries and a dead-letter queue, operated through the Model Context
Protocol.

`Queue` and the other names below are the Python API; see docs/python.md. They are imported on first use, so
that `import certctl_mcp` is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from certctl_mcp.config.errors import SettingsError
    from certctl_mcp.queue import Queue, SyncQueue
    from certctl_mcp.services.errors import RequestError, UnknownChannelError
    from storage.errors import (
        IdempotencyConflictError,
        NotificationConflictError,
        NotificationNotFoundError,
        StorageError,
    )
    from storage.models import (
        Accepted,
        Attempt,
        NewNotification,
        Notification,
        NotificationFilter,
        NotificationStatus,
        SweepReport,
    )

__version__ = "0.1.0"

__all__ = [
    "Accepted",
    "Attempt",
    "IdempotencyConflictError",
    "NewNotification",
    "Notification",
    "NotificationConflictError",
    "NotificationFilter",
    "NotificationNotFoundError",
    "NotificationStatus",
    "Queue",
    "RequestError",
    "SettingsError",
    "StorageError",
    "SweepReport",
    "SyncQueue",
    "UnknownChannelError",
    "__version__",
]

_MODULES = {
    "certctl_mcp.config.errors": ("SettingsError",),
    "certctl_mcp.queue": ("Queue", "SyncQueue"),
    "certctl_mcp.services.errors": ("RequestError", "UnknownChannelError"),
    "storage.errors": (
        "IdempotencyConflictError",
        "NotificationConflictError",
        "NotificationNotFoundError",
        "StorageError",
    ),
    "storage.models": (
        "Accepted",
        "Attempt",
        "NewNotification",
        "Notification",
        "NotificationFilter",
        "NotificationStatus",
        "SweepReport",
    ),
}


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
