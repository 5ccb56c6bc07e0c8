"""Notifiers of other packages, which register them as entry points of `certctl_mcp.notifiers`.

An entry point is a callable that takes the options of its table in the settings,
`Mapping[str, str | int | float | bool]`, and returns a `Notifier`.
"""

import traceback
from importlib.metadata import EntryPoint, entry_points

from certctl_mcp.config.destinations import PluginDestination
from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier, delivery_failed
from certctl_mcp.notifiers.failure_kinds import FailureKind
from storage.models import Notification

GROUP = "certctl_mcp.notifiers"


class UnusablePluginError(Exception):
    """The entry point is not installed, or does not return a notifier. The message says which and why."""


def check_installed(name: str) -> None:
    """Check that an entry point of this name is installed, without importing it.

    Raises:
        UnusablePluginError: there is none; the message lists those installed.
    """
    _entry_point(name)


class PluginNotifier:
    """A notifier of another package, whose errors don't show the secrets in its options.

    Raises:
        UnusablePluginError: it can't be imported, refuses its options, or is not a notifier.
    """

    def __init__(self, destination: PluginDestination) -> None:
        self._confidential = destination.confidential
        entry_point = _entry_point(destination.notifier)
        try:
            notifier = entry_point.load()(destination.options)
        except Exception as error:  # noqa: BLE001 - another package's code may raise anything
            failure = delivery_failed(f"{entry_point.value} failed: {error}", self._confidential)
            raise UnusablePluginError(str(failure)) from None
        if not isinstance(notifier, Notifier):
            raise UnusablePluginError(
                f"{entry_point.value} did not return a notifier: send and aclose are required"
            )
        self._notifier = notifier

    async def send(self, notification: Notification) -> None:
        try:
            await self._notifier.send(notification)
        except DeliveryFailedError as failure:
            raise delivery_failed(
                str(failure),
                self._confidential,
                permanent=failure.permanent,
                retry_after=failure.retry_after,
                told_to_wait=failure.told_to_wait,
                kind=failure.kind,
            ) from None
        except Exception as error:  # noqa: BLE001 - another package's code may raise anything
            # Its message may contain a secret from the options, which are only known here.
            reason = "".join(traceback.format_exception_only(error)).strip()
            raise delivery_failed(
                f"the notifier failed: {reason}", self._confidential, kind=FailureKind.DEFECT
            ) from None

    async def aclose(self) -> None:
        await self._notifier.aclose()


def _entry_point(name: str) -> EntryPoint:
    installed = entry_points(group=GROUP)
    if name not in installed.names:
        names = ", ".join(sorted(installed.names)) or "none"
        raise UnusablePluginError(f"no installed package has a notifier {name!r}; installed are: {names}")
    return installed[name]
