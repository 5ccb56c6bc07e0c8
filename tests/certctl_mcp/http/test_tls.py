"""A certificate that is replaced while the server runs is used from the next connection on."""

import asyncio
import os
import shutil
import ssl
import threading
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from certctl_mcp.config.errors import SettingsError
from certctl_mcp.http.tls import CertificateFiles, ReloadingContext

NAME = "localhost"


class Issued:
    """Files of a certificate that an authority of the test has issued."""

    def __init__(self, directory: Path) -> None:
        self.authority = trustme.CA()
        self.files = CertificateFiles(directory / "cert.pem", directory / "key.pem")
        self.issue()

    def issue(self) -> None:
        issued = self.authority.issue_cert(NAME)
        issued.private_key_pem.write_to_path(self.files.key)
        issued.cert_chain_pems[0].write_to_path(self.files.certificate)


@pytest.fixture
def issued(tmp_path: Path) -> Issued:
    return Issued(tmp_path)


async def serial(tls: ReloadingContext, issued: Issued, **trust: ssl.TLSVersion) -> str:
    """The number of the certificate that a client is shown."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=tls.context)
    trusting = ssl.create_default_context()
    issued.authority.configure_trust(trusting)
    for name, version in trust.items():
        setattr(trusting, name, version)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with anyio.fail_after(10):
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=NAME)
            certificate = writer.get_extra_info("peercert")
            writer.close()
            await writer.wait_closed()
    return str(certificate["serialNumber"])


async def test_a_new_certificate_is_used_after_a_reload(issued: Issued) -> None:
    tls = ReloadingContext(issued.files)
    before = await serial(tls, issued)
    issued.issue()
    assert await serial(tls, issued) == before
    tls.reload()
    after = await serial(tls, issued)
    assert after != before
    tls.reload()
    assert await serial(tls, issued) == after


async def test_the_certificate_files_are_polled(issued: Issued) -> None:
    tls = ReloadingContext(issued.files)
    before = await serial(tls, issued)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tls.watch, timedelta(milliseconds=10))
        issued.issue()
        with anyio.fail_after(10):
            while await serial(tls, issued) == before:
                pass
        tasks.cancel_scope.cancel()


async def test_a_hanging_file_system_blocks_neither_the_event_loop_nor_the_exit(
    issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ReloadingContext(issued.files)
    hanging, released = threading.Event(), threading.Event()

    def hang(_: CertificateFiles) -> None:
        hanging.set()
        released.wait(20)

    monkeypatch.setattr(CertificateFiles, "state", hang)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tls.watch, timedelta(milliseconds=1))
            await anyio.to_thread.run_sync(hanging.wait, 10)
            assert await serial(tls, issued)
            tasks.cancel_scope.cancel()
    released.set()


@pytest.mark.parametrize("damage", ["half", "gone", "foreign key", "a pipe", "too large"])
async def test_unusable_files_leave_the_current_certificate_in_use(issued: Issued, damage: str) -> None:
    tls = ReloadingContext(issued.files)
    before = await serial(tls, issued)
    match damage:
        case "half":
            issued.files.certificate.write_text("-----BEGIN CERTIFICATE-----\nMIIB")
        case "gone":
            issued.files.key.unlink()
        case "a pipe":
            # Opening a pipe waits for a writer.
            issued.files.key.unlink()
            os.mkfifo(issued.files.key)
        case "too large":
            os.truncate(issued.files.key, 2**40)
        case _:
            issued.authority.issue_cert(NAME).private_key_pem.write_to_path(issued.files.key)
    tls.reload()
    assert await serial(tls, issued) == before
    issued.files.key.unlink(missing_ok=True)
    issued.issue()
    tls.reload()
    assert await serial(tls, issued) != before


async def test_a_link_that_is_moved_to_another_directory_is_noticed(issued: Issued, tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        issued.issue()
        for name in ("cert.pem", "key.pem"):
            shutil.copy2(tmp_path / name, tmp_path / version / name)
    link = tmp_path / "now"
    link.symlink_to(tmp_path / "1")
    tls = ReloadingContext(CertificateFiles(link / "cert.pem", link / "key.pem"))
    before = await serial(tls, issued)
    link.unlink()
    link.symlink_to(tmp_path / "2")
    tls.reload()
    assert await serial(tls, issued) != before


async def test_tls_1_1_is_refused_and_1_2_is_not(issued: Issued) -> None:
    tls = ReloadingContext(issued.files)
    assert tls.context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert await serial(tls, issued, maximum_version=ssl.TLSVersion.TLSv1_2)


def test_unusable_files_prevent_the_start(issued: Issued) -> None:
    issued.files.key.write_text("no key")
    with pytest.raises(SettingsError, match=r"can.t use .* for TLS"):
        ReloadingContext(issued.files)


def test_a_key_with_a_passphrase_is_refused_without_a_prompt(issued: Issued) -> None:
    key = serialization.load_pem_private_key(issued.files.key.read_bytes(), None)
    issued.files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    with pytest.raises(SettingsError, match=r"can.t use .* for TLS"):
        ReloadingContext(issued.files)
