"""Checks on the failures of any notifier, called by every notifier's tests."""

import traceback
from collections.abc import Iterable

import pytest

from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier
from storage.models import Notification
from tests.builders import notification


async def failure_of(notifier: Notifier, sent: Notification | None = None) -> DeliveryFailedError:
    """The failure raised by sending."""
    with pytest.raises(DeliveryFailedError) as caught:
        await notifier.send(sent or notification())
    return caught.value


async def assert_leaks_no_secret(
    notifier: Notifier, secrets: Iterable[str], sent: Notification | None = None
) -> None:
    """Neither the message of a failure nor its traceback contains one of `secrets`.

    The receiver must refuse the request and repeat it in its response.
    """
    failure = await failure_of(notifier, sent)
    shown = str(failure) + repr(failure) + "".join(traceback.format_exception(failure))
    for secret in secrets:
        assert secret not in shown
    assert "[redacted]" in str(failure)
