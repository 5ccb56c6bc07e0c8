"""One module per channel; shared: `base` (the protocol), `http` (requests) and `registry`."""

from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier

__all__ = ["DeliveryFailedError", "Notifier"]
