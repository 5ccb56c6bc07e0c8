"""Hosts simulated by network namespaces, each with a link to PostgreSQL and one to the receivers.

The machine's own network is not touched.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

from tests.fork_server import enter_network

DATABASE = "10.87.1.1"
RECEIVER = "10.87.2.1"

_NUMBERS = count(1)


class NoNetworkError(Exception):
    """Network namespaces aren't available; the message says why."""


class Network:
    """A namespace for each host, one for the database and one for the receivers, which every host reaches."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._prefix = f"certctl{os.getpid()}x{next(_NUMBERS)}"
        self.database = f"{self._prefix}-database"
        self.receiver = f"{self._prefix}-receiver"
        self._hosts = tuple(hosts)

    def host(self, name: str) -> str:
        """The namespace of a host."""
        return f"{self._prefix}-{name}"

    def cut(self, host: str) -> None:
        """Drop all packets between the host and the database, without either noticing."""
        self._set(host, "down")

    def heal(self, host: str) -> None:
        self._set(host, "up")

    def listener(self, port: int) -> socket.socket:
        """A listening socket in the receivers' namespace, usable from any namespace."""

        def within() -> socket.socket:
            enter_network(self.receiver)
            return socket.create_server((RECEIVER, port))

        # A namespace belongs to a thread, and this one ends.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(within).result()

    def begin(self) -> None:
        for namespace in self._namespaces:
            _ip(f"netns add {namespace}")
            _ip("link set lo up", within=namespace)
        for side, address in ((self.database, DATABASE), (self.receiver, RECEIVER)):
            _ip(
                "link add bridge type bridge",
                f"addr add {address}/24 dev bridge",
                "link set bridge up",
                within=side,
            )
        for number, name in enumerate(self._hosts, 2):
            host = self.host(name)
            for side, address, line in (
                (self.database, DATABASE, "database"),
                (self.receiver, RECEIVER, "receiver"),
            ):
                _ip(
                    f"link add {line} type veth peer name {name} netns {side}",
                    f"addr add {address[:-1]}{number}/24 dev {line}",
                    f"link set {line} up",
                    within=host,
                )
                _ip(f"link set {name} master bridge", f"link set {name} up", within=side)

    def end(self) -> None:
        for namespace in self._namespaces:
            subprocess.run(["ip", "netns", "delete", namespace], stderr=subprocess.DEVNULL)

    @property
    def _namespaces(self) -> tuple[str, ...]:
        return (self.database, self.receiver, *(self.host(name) for name in self._hosts))

    def _set(self, host: str, state: str) -> None:
        # At the database's end, because at its own end the host would notice.
        _ip(f"link set {host} {state}", within=self.database)


@contextmanager
def network(*hosts: str) -> Iterator[Network]:
    """Hosts with these names, which must be short. Raises: NoNetworkError."""
    if os.geteuid() != 0:
        raise NoNetworkError("only root makes network namespaces")
    if shutil.which("ip") is None:
        raise NoNetworkError("iproute2 is not installed: apt-get install iproute2")
    made = Network(hosts)
    try:
        made.begin()
        yield made
    finally:
        made.end()


def _ip(*commands: str, within: str | None = None) -> None:
    namespace = ["-netns", within] if within else []
    done = subprocess.run(
        ["ip", *namespace, "-batch", "-"], input="\n".join(commands) + "\n", capture_output=True, text=True
    )
    if done.returncode:
        raise NoNetworkError(f"ip {commands[0]}: {done.stderr.strip()}")
