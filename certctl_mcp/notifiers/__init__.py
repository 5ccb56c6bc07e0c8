"""One file a channel; what they share is in `base` (the protocol), `http` (requests) and `registry`."""

from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier

__all__ = ["DeliveryFailedError", "Notifier"]
