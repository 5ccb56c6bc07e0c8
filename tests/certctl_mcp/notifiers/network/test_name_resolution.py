"""A name server that never responds delays only the channels that need it, and is named as the cause."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest

from certctl_mcp.config.destinations import Channel
from certctl_mcp.notifiers.base import DeliveryFailedError
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.registry import NotifierRegistry
from tests.builders import notification
from tests.certctl_mcp.notifiers.network.silent_name_server import (
    NoNamespaceError,
    on_host_with_silent_name_server,
)
from tests.certctl_mcp.notifiers.receiver import serve
from tests.certctl_mcp.notifiers.relay import relaying
from tests.certctl_mcp.notifiers.test_refusals import HTTP_CHANNELS

ALERTS = 30
"""Enough to fill the event loop's thread pool."""

CONNECT_TIMEOUT = timedelta(milliseconds=500)


def silent(kind: str) -> Channel:
    """A channel of this kind with a receiver whose name needs the silent name server."""
    if kind == "email":
        destination = {"kind": kind, "host": "mail.example.com", "from_address": "a@b.c", "security": "none"}
    else:
        destination = HTTP_CHANNELS[kind]("http://hooks.example.com/")
    return Channel.model_validate({"name": kind, "destination": destination})


async def deliver_despite_silence() -> list[DeliveryFailedError]:
    """Returns the failures of the channels whose names are not resolved."""
    kinds = ["email", *HTTP_CHANNELS]
    async with serve() as receiver, relaying() as relay:
        host, port = relay.address
        # Greeting a relay needs this host's full name, which is looked up at the same server.
        local = {"kind": "email", "host": host, "port": port, "from_address": "a@b.c", "security": "none"}
        by_name = HTTP_CHANNELS["webhook"](receiver.url.replace("127.0.0.1", "localhost"))
        working = [
            Channel.model_validate({"name": "Webhook", "destination": by_name}),
            Channel.model_validate({"name": "Email", "destination": local}),
        ]
        async with NotifierRegistry.open(
            [*map(silent, kinds), *working], 200, connect_timeout=CONNECT_TIMEOUT
        ) as registry:
            notifiers = {name: await registry.find(name) for name in registry.descriptions}

            async def send(channel: str) -> None:
                notifier = notifiers[channel]
                assert notifier is not None
                await notifier.send(notification(channel=channel, recipient="ada@example.com"))

            hanging = [asyncio.ensure_future(send(kind)) for kind in kinds for _ in range(ALERTS)]
            await asyncio.sleep(0)
            await send("Webhook")
            assert not any(task.done() for task in hanging)
            await asyncio.gather(send("Email"), send("Email"))
            failures = await asyncio.gather(*hanging, return_exceptions=True)
        assert len(receiver.received) == 1
        assert [taken.greeting for taken in relay.taken] == ["[127.0.0.1]"] * 2
    return [failure for failure in failures if isinstance(failure, DeliveryFailedError)]


def test_a_silent_name_server_delays_no_other_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certctl_mcp.notifiers.smtp.local_hostname._LOOK_UP_SECONDS", 0.2)
    try:
        failures = on_host_with_silent_name_server(tmp_path, lambda: asyncio.run(deliver_despite_silence()))
    except NoNamespaceError as error:
        # In CI, nothing may be skipped.
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    assert len(failures) == ALERTS * (1 + len(HTTP_CHANNELS))
    assert {failure.kind for failure in failures} == {FailureKind.DNS}
    assert {str(failure) for failure in failures} == {
        f"the name of {place} could not be resolved: no answer from the name servers within 0.5 s"
        for place in ("mail.example.com:587", "hooks.example.com:80")
    }
