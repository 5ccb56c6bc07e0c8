"""A PgBouncer for the tests, in transaction mode, in front of their PostgreSQL."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from tests.postgresql import NoServerError, account, free_port

SERVER_CONNECTIONS = 2
"""Fewer than a process of ours opens, so that consecutive transactions use different server connections."""

_SETTINGS = """
[databases]
* = host={host} port={server_port} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
server_round_robin = 1
"""


@contextmanager
def pooled(url: str) -> Iterator[str]:
    """The URL of a PostgreSQL database behind a pooler. Raises: NoServerError."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        raise NoServerError("PgBouncer is not installed: apt-get install pgbouncer")
    server, port = urlsplit(url), free_port()
    with TemporaryDirectory(prefix="certctl-pgbouncer-") as directory:
        settings = Path(directory) / "pgbouncer.ini"
        settings.write_text(
            _SETTINGS.format(
                host=server.hostname, server_port=server.port, port=port, connections=SERVER_CONNECTIONS
            )
        )
        # PgBouncer refuses to run as root.
        Path(directory).chmod(0o755)
        pooler = subprocess.Popen([program, str(settings)], stderr=subprocess.PIPE, text=True, **account())
        try:
            assert pooler.stderr is not None
            told = []
            for line in pooler.stderr:
                told.append(line)
                if "process up" in line:
                    break
            else:
                raise NoServerError(f"PgBouncer did not start: {''.join(told)}")
            yield server._replace(netloc=f"postgres@127.0.0.1:{port}").geturl()
        finally:
            # Immediately, without waiting for its clients.
            pooler.kill()
            pooler.communicate()
