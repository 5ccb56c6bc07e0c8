"""Checks of the files that the settings name: whether they can be used, and who else can read them."""

import shlex
import ssl
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import anyio.to_thread

from certctl_mcp.checks.results import CheckResult, fail, ok, warn
from certctl_mcp.config.network import NetworkSettings
from certctl_mcp.config.settings import Settings
from certctl_mcp.notifiers.network.os_errors import os_reason
from certctl_mcp.notifiers.network.tls import client_context
from storage.platform import owner_of


async def check_files(settings: Settings) -> tuple[CheckResult, ...]:
    return await anyio.to_thread.run_sync(lambda: tuple(_files(settings)), abandon_on_cancel=True)


def _files(settings: Settings) -> Iterator[CheckResult]:
    if (config := settings.origin.path) is not None:
        yield _private("settings file", config.expanduser())
    cert, key = settings.http.tls_cert, settings.http.tls_key
    if cert is not None and key is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        yield _certificates("TLS certificate", (cert, key), partial(context.load_cert_chain, cert, key))
        yield _private("TLS key", key)
    for secret in settings.secret_files:
        yield _private("secret", secret.path)
    for channel in settings.channels:
        network = channel.destination
        if not isinstance(network, NetworkSettings):
            continue
        files = [Path(file) for file in (network.ca_file, network.client_cert, network.client_key) if file]
        if files:
            yield _certificates(f"files of {channel.name}", files, partial(client_context, network))
        if network.client_cert is not None:
            yield _private(f"client key of {channel.name}", Path(network.client_key or network.client_cert))


def _private(name: str, file: Path) -> CheckResult:
    """A file that holds secrets."""
    try:
        mode = file.stat().st_mode & 0o777
        owner = owner_of(file)
        file.open("rb").close()
    except OSError as error:
        return fail(name, f"{file} can't be read: {os_reason(error)}", "check its path, owner and mode")
    found = f"{file}, mode {mode:03o}" + ("" if owner is None else f", owner {owner}")
    if mode & 0o044:
        remedy = f"chmod 600 {shlex.quote(str(file))}"
        return warn(name, f"{found}: other users of this machine can read it", remedy)
    return ok(name, found)


def _certificates(name: str, files: Sequence[Path], load: Callable[[], object]) -> CheckResult:
    listed = ", ".join(map(str, files))
    try:
        load()
    except OSError as error:
        return fail(name, f"{listed} can't be used: {os_reason(error)}", "each must be a readable PEM file")
    return ok(name, listed)
