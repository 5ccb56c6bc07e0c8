"""A host whose name server never responds: a thread in a network namespace of its own."""

import ctypes
import os
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

_NEW_NETWORK, _NEW_MOUNTS, _NEW_NAME = 0x40000000, 0x00020000, 0x04000000
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18

RESOLV_CONF = """
nameserver 127.0.0.1
search default.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
"""
"""As in a Kubernetes pod, every name is first looked up in each of the search domains."""


class NoNamespaceError(Exception):
    """Namespaces aren't available; the message says why."""


def on_host_with_silent_name_server(directory: Path, act: Callable[[], Result]) -> Result:
    """Run `act` on such a host and return its result. `directory` is for its files.

    Raises: NoNamespaceError.
    """

    def within() -> Result:
        # The namespaces belong to this thread and those it starts, and end with them.
        try:
            _enter(directory)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NoNamespaceError(f"no network namespace: {error}") from error
        with ExitStack() as stack:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                server = stack.enter_context(socket.socket(socket.AF_INET, kind))
                server.bind(("127.0.0.1", 53))
                if kind is socket.SOCK_STREAM:
                    server.listen()
            return act()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(within).result()


def _enter(directory: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def done(result: int) -> None:
        if result:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    resolv_conf = directory / "resolv.conf"
    resolv_conf.write_text(RESOLV_CONF)
    done(libc.unshare(_NEW_NETWORK | _NEW_MOUNTS | _NEW_NAME))
    done(libc.sethostname(b"pod-1", 5))
    done(libc.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None))
    done(libc.mount(bytes(resolv_conf), b"/etc/resolv.conf", None, _BIND, None))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, capture_output=True)
