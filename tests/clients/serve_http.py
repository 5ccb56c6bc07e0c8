"""The real server for the conformance suite: over streamable HTTP, on a free loopback port.

Its settings come from the environment. Once it listens, it prints its address on one line.
"""

import os
import socket

import uvicorn

from certctl_mcp.config.settings import load_settings
from certctl_mcp.mcp_server.server import build_server
from tests.clients.conformance_adapter import adapt_request


def main() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        print(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
        server = build_server(load_settings(None, os.environ))
        server.middleware.insert(0, adapt_request)
        app = server.streamable_http_app()
        # Of the two parsers that uvicorn can use, h11 strips header values, as our own server does.
        uvicorn.Server(uvicorn.Config(app, log_level="warning", http="h11")).run(sockets=[listening])


if __name__ == "__main__":
    main()
