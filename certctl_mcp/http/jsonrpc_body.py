"""Answers request bodies that the SDK's transport would drop or misread, by the rules of stdio.

For example, the SDK mistakes a request with the id 6.0 for a notification and never answers it.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from certctl_mcp.mcp_server.jsonrpc_lines import Batch, Rejection, encoded, read_message
from certctl_mcp.mcp_server.standard_streams import MAX_LINE


class ReadJsonRpcBody:
    """Passes on a POST with its message as it was read; rejects what isn't a message."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        received: list[Message] = []
        body = b""
        while True:
            message = await receive()
            received.append(message)
            body += message.get("body", b"")
            complete = message["type"] == "http.request" and not message.get("more_body", False)
            if complete or message["type"] != "http.request" or len(body) > MAX_LINE:
                break
        read = read_message(body, batches=False) if complete else None
        if isinstance(read, Rejection) and read.reply is not None:
            await _reject(send, encoded(read.reply))
            return
        if read is not None and not isinstance(read, Rejection | Batch):
            normalized = read.model_dump_json(by_alias=True, exclude_unset=True).encode()
            received = [{"type": "http.request", "body": normalized, "more_body": False}]

        async def replay() -> Message:
            return received.pop(0) if received else await receive()

        await self._app(scope, replay, send)


async def _reject(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})
