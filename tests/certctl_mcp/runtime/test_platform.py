"""Platform-dependent code: both variants load, and streams work even if descriptors can't be polled."""

import ast
import os
import subprocess
import sys

import anyio
import pytest

from certctl_mcp.runtime.platform import ThreadedReader, write_in_thread
from tests.processes import ROOT

POSIX_MODULES = {"fcntl", "termios", "pwd", "grp", "resource", "tty", "pty", "readline", "select"}
POSIX_NAMES = {
    "SIGHUP",
    "SIGKILL",
    "SIGSTOP",
    "SIGCONT",
    "SIGALRM",
    "SIGUSR1",
    "SIGUSR2",
    "SIGCHLD",
    "poll",
    "epoll",
    "getuid",
    "geteuid",
    "fork",
    "pidfd_open",
    "chown",
    "mkfifo",
    "add_signal_handler",
    "statvfs",
    "killpg",
    "getrlimit",
}

PLATFORM_MODULES = ("certctl_mcp.runtime.platform", "storage.platform")

PROGRAMS = (
    "certctl_mcp.cli.commands.serve",
    "certctl_mcp.cli.worker",
    "certctl_mcp.mcp_server.stdio",
    "certctl_mcp.mcp_server.server",
    "certctl_mcp.runtime.application",
    "certctl_mcp.http.serving",
    "storage.maintenance.backup",
)
"""The modules that serving and delivering import."""

WITHOUT_POSIX = f"""
import importlib, os, select, signal, sys, types
import aiohttp, aiosmtplib, alembic.command, sqlite3, anyio, anyio._backends._asyncio, fastapi, getpass, jwt
import mcp.server.mcpserver, mcp.server.apps, mcp.server.streamable_http_manager, sqlalchemy, typer, uvicorn
for name in {sorted(POSIX_MODULES - {"select"})}:
    sys.modules[name] = None
for module in (signal, select, os):
    for name in {sorted(POSIX_NAMES)}:
        if hasattr(module, name):
            delattr(module, name)
here, sys.platform = sys.platform, "win32"
sys.modules["msvcrt"] = types.ModuleType("msvcrt")
signal.SIGBREAK = 21
for name in {PLATFORM_MODULES}:
    importlib.import_module(name)
sys.platform = here
for name in {PROGRAMS}:
    importlib.import_module(name)
"""
"""Removes what Windows lacks, once the libraries are loaded, and loads the Windows variant."""


def test_the_programs_load_without_posix_modules() -> None:
    """A substitute for Windows, which can't be tested here."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_POSIX], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_only_the_platform_modules_use_platform_dependent_functions() -> None:
    users = {
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for package in ("certctl_mcp", "storage")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import) and POSIX_MODULES & {alias.name for alias in node.names})
        or (isinstance(node, ast.ImportFrom) and node.module in POSIX_MODULES)
        or (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in {"os", "signal", "select", "loop"}
            and node.attr in POSIX_NAMES
        )
    }
    assert users == set(PLATFORM_MODULES)


async def test_a_thread_reads_the_data_and_the_end_of_the_stream() -> None:
    readable, writable = os.pipe()
    reader = ThreadedReader(readable)
    await write_in_thread(writable, b"x" * 1000)
    with anyio.fail_after(10):
        assert await reader.read() == b"x" * 1000
        os.close(writable)
        assert await reader.read() == b""
        assert await reader.read() == b""
    os.close(readable)


async def test_more_data_than_a_pipe_holds_is_written_while_it_is_read() -> None:
    readable, writable = os.pipe()
    reader = ThreadedReader(readable)
    received = b""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write_in_thread, writable, b"y" * 300_000)
        with anyio.fail_after(10):
            while len(received) < 300_000:
                received += await reader.read()
    assert received == b"y" * 300_000
    os.close(writable)
    assert await reader.read() == b""
    os.close(readable)


async def test_a_closed_peer_is_an_error_for_the_writer() -> None:
    readable, writable = os.pipe()
    os.close(readable)
    with pytest.raises(BrokenPipeError):
        await write_in_thread(writable, b"x")
    os.close(writable)


def test_a_blocked_read_does_not_keep_the_process_from_exiting() -> None:
    program = """
import os, anyio
from certctl_mcp.runtime.platform import ThreadedReader
readable, writable = os.pipe()
async def main():
    with anyio.move_on_after(0.1):
        await ThreadedReader(readable).read()
anyio.run(main)
print("done")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
