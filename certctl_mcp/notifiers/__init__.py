"""One module per channel, the protocol (`base`) and the registry; subpackages for HTTP, SMTP and the
network."""

from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier

__all__ = ["DeliveryFailedError", "Notifier"]
