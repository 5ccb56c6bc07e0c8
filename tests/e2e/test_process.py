"""A server on stdio as its host runs it: a process with pipes, or sockets, or files, and signals."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.client import ConnectMode
from mcp_types import TextContent

from tests.processes import ROOT, Program, Stream, forked

PROTOTYPE = "tests.e2e.prototype_server"
COMMAND = [sys.executable, "-m", PROTOTYPE]
PATIENCE = 30.0

LEGACY = ["2025-06-18", "2025-11-25"]
MODERN = "2026-07-28"

Message = dict[str, object]


class Server:
    """The prototype as a process, with its output on stderr."""

    def __init__(self, process: Program | subprocess.Popen[bytes]) -> None:
        self.process = process
        self.log = ""

    def send(self, said: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(said)
        self.process.stdin.flush()

    def close_input(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()

    @property
    def stdout(self) -> IO[bytes]:
        assert self.process.stdout
        return self.process.stdout

    def wait_until(self, event: str) -> None:
        """Read its output until the event; fails if it exits first."""
        assert self.process.stderr
        while line := self.process.stderr.readline().decode():
            self.log += line
            if event in line:
                return
        pytest.fail(f"{event!r} is missing from: {self.log}")

    def ends(self) -> int:
        """The exit code, once all its output is read."""
        assert self.process.stderr
        self.log += self.process.stderr.read().decode()
        return self.process.wait()

    def ends_in_order(self) -> bool:
        code = self.ends()
        in_order = self.log.endswith("draining\nclosed\nreturned\n") and "Traceback" not in self.log
        return code == 0 and in_order


@contextmanager
def serving(
    *ways: str, stdin: Stream = subprocess.PIPE, stdout: Stream = subprocess.PIPE
) -> Iterator[Server]:
    process = Program(PROTOTYPE, *ways, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)
    # Blocking reads need no time limit of their own: they end when the process does.
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        yield Server(process)
    finally:
        watchdog.cancel()
        process.close()


def line(message: Message) -> bytes:
    return json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n"


def opening(version: str) -> bytes:
    params = {
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    return line({"id": 0, "method": "initialize", "params": params}) + line(
        {"method": "notifications/initialized"}
    )


def call(request: int, tool: str, version: str = LEGACY[0], **arguments: object) -> bytes:
    params: Message = {"name": tool, "arguments": arguments}
    if version == MODERN:
        prefix = "io.modelcontextprotocol/"
        params["_meta"] = {
            f"{prefix}protocolVersion": version,
            f"{prefix}clientInfo": {"name": "test", "version": "1"},
            f"{prefix}clientCapabilities": {},
        }
    return line({"id": request, "method": "tools/call", "params": params})


def session(version: str, *calls: bytes) -> bytes:
    return b"".join(calls) if version == MODERN else opening(version) + b"".join(calls)


def answers(output: bytes) -> dict[int, str]:
    """The text of each answer to a call, by the request's id."""
    texts = {}
    for written in output.splitlines():
        message = json.loads(written)
        if "content" in message.get("result", {}):
            texts[message["id"]] = message["result"]["content"][0]["text"]
    return texts


def errors(output: bytes) -> dict[int, str]:
    messages = [json.loads(written) for written in output.splitlines()]
    return {message["id"]: message["error"]["message"] for message in messages if "error" in message}


def test_the_end_of_input_ends_the_server() -> None:
    with serving() as server:
        server.wait_until("open")
        server.close_input()
        assert server.ends_in_order()


@pytest.mark.parametrize("version", [*LEGACY, MODERN])
def test_every_request_before_the_end_of_input_is_answered(version: str) -> None:
    calls = [call(1, "slow", version, seconds=0.3), call(2, "echo", version, text="hello")]
    with serving() as server:
        server.send(session(version, *calls))
        server.close_input()
        assert answers(server.stdout.read()) == {1: "done", 2: "hello"}
        assert server.ends_in_order()


def test_a_last_line_without_a_line_break_is_answered() -> None:
    with serving() as server:
        server.send(session(LEGACY[0], call(1, "echo", text="hello")).removesuffix(b"\n"))
        server.close_input()
        assert answers(server.stdout.read()) == {1: "hello"}


def test_the_server_does_not_wait_for_a_cancelled_call() -> None:
    cancelled = line({"method": "notifications/cancelled", "params": {"requestId": 1}})
    with serving() as server:
        server.send(session(LEGACY[0], call(1, "slow", seconds=60)))
        server.wait_until("slow begins")
        server.send(cancelled)
        server.close_input()
        assert answers(server.stdout.read()) == {}
        assert server.ends_in_order()


def test_lines_that_are_not_messages_are_skipped() -> None:
    with serving() as server:
        server.send(b"\nnonsense\n\xff\xfe{}\n" + session(LEGACY[0], call(1, "echo", text="hello")))
        server.close_input()
        assert answers(server.stdout.read()) == {1: "hello"}


def test_invalid_utf_8_is_replaced() -> None:
    with serving() as server:
        server.send(session(LEGACY[0], call(1, "echo", text="a?z").replace(b"?", b"\xff")))
        server.close_input()
        assert answers(server.stdout.read()) == {1: "a\ufffdz"}


def test_messages_larger_than_a_pipe_pass_in_both_directions() -> None:
    text = "x" * 3_000_000
    with serving() as server:
        feeder = threading.Thread(target=server.send, args=(session(LEGACY[0], call(1, "echo", text=text)),))
        feeder.start()
        received = [server.stdout.readline(), server.stdout.readline()]
        feeder.join()
        assert answers(b"".join(received)) == {1: text}
        server.close_input()
        assert server.ends_in_order()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_server_while_its_input_stays_open(number: signal.Signals) -> None:
    with serving() as server:
        server.wait_until("open")
        server.process.send_signal(number)
        assert server.ends_in_order()
        assert f"ending: {number.name}" in server.log


def test_a_signal_cancels_the_calls_in_flight() -> None:
    with serving() as server:
        server.send(session(LEGACY[0], call(1, "slow", seconds=60)))
        server.wait_until("slow begins")
        server.process.terminate()
        assert errors(server.stdout.read()) == {1: "Connection closed"}
        assert server.ends_in_order()


def test_a_signal_after_the_end_of_input_ends_the_wait_for_answers() -> None:
    with serving() as server:
        server.send(session(LEGACY[0], call(1, "slow", seconds=60)))
        server.close_input()
        server.wait_until("slow begins")
        server.process.terminate()
        assert server.ends_in_order()


def test_a_second_signal_ends_the_server_at_once() -> None:
    with serving("drains-for-ever") as server:
        server.wait_until("open")
        server.process.terminate()
        server.wait_until("draining")
        server.process.terminate()
        assert server.ends() == -signal.SIGTERM
        assert "closed" not in server.log


def test_a_lifespan_that_does_not_end_is_cancelled() -> None:
    with serving("drains-for-ever", "ends-soon") as server:
        server.wait_until("open")
        server.process.terminate()
        assert server.ends() == 0
        assert "cut off: the server did not finish" in server.log
        assert server.log.endswith("returned\n")


def test_a_signal_ends_the_server_while_nobody_reads_its_output() -> None:
    with serving() as server:
        server.send(session(LEGACY[0], call(1, "large", size=1_000_000)))
        server.wait_until("large answers")
        server.process.terminate()
        assert server.ends_in_order()


def test_a_closed_output_ends_the_server_without_an_error() -> None:
    with serving() as server:
        server.wait_until("open")
        server.stdout.close()
        server.send(opening(LEGACY[0]))
        assert server.ends_in_order()
        assert "ending: nobody reads stdout" in server.log


def test_an_output_closed_during_a_response_ends_the_server_without_an_error() -> None:
    with serving() as server:
        server.send(session(LEGACY[0], call(1, "large", size=1_000_000)))
        server.stdout.readline()
        server.wait_until("large answers")
        server.stdout.close()
        assert server.ends_in_order()


PARENT = """
import signal, subprocess, sys
subprocess.Popen(sys.argv[1:])
signal.pause()
"""


@pytest.mark.parametrize("ways", [(), ("no-pidfd",)])
def test_the_death_of_its_parent_ends_the_server_although_the_pipe_stays_open(ways: tuple[str, ...]) -> None:
    stdin, held_open = os.pipe()
    command = [sys.executable, "-c", PARENT, *COMMAND, *ways]
    parent = subprocess.Popen(command, cwd=ROOT, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    watchdog = threading.Timer(PATIENCE, os.close, [held_open])
    watchdog.start()
    with parent:
        server = Server(parent)
        server.wait_until("open")
        parent.kill()
        # The server holds the same stderr: it ends only with the server.
        assert server.ends() == -signal.SIGKILL
        assert watchdog.is_alive()
        assert "ending: the parent process died" in server.log
        assert server.log.endswith("draining\nclosed\nreturned\n")
    watchdog.cancel()
    os.close(held_open)
    os.close(stdin)


def test_a_socket_can_be_served() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, serving(stdin=theirs.fileno(), stdout=theirs.fileno()) as server:
        theirs.close()
        ours.sendall(session(LEGACY[0], call(1, "echo", text="hello")))
        ours.shutdown(socket.SHUT_WR)
        with ours.makefile("rb") as received:
            assert answers(received.read()) == {1: "hello"}
        assert server.ends_in_order()


def test_a_socket_reset_by_its_peer_ends_the_server() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, serving(stdin=theirs.fileno(), stdout=theirs.fileno()) as server:
        theirs.close()
        server.wait_until("open")
        ours.sendall(opening(LEGACY[0]))
        ours.close()
        assert server.ends_in_order()


def test_input_and_output_can_be_files(tmp_path: Path) -> None:
    script, output = tmp_path / "script.jsonl", tmp_path / "answers.jsonl"
    script.write_bytes(session(LEGACY[0], call(1, "echo", text="hello")))
    with (
        script.open("rb") as stdin,
        output.open("wb") as stdout,
        serving(stdin=stdin, stdout=stdout) as server,
    ):
        assert server.ends_in_order()
    assert answers(output.read_bytes()) == {1: "hello"}


def test_an_empty_input_ends_the_server() -> None:
    with serving(stdin=subprocess.DEVNULL) as server:
        assert server.ends_in_order()


def test_a_terminal_can_be_served() -> None:
    ours, theirs = pty.openpty()
    with serving(stdin=theirs) as server:
        os.close(theirs)
        os.write(ours, session(LEGACY[0], call(1, "echo", text="hello")))
        server.stdout.readline()
        assert answers(server.stdout.readline()) == {1: "hello"}
        # Hang up, as when a terminal's window is closed.
        os.close(ours)
        assert server.ends_in_order()


def test_stray_output_does_not_corrupt_the_protocol() -> None:
    with serving() as server:
        server.send(session(LEGACY[0], call(1, "chatty")))
        server.close_input()
        output = server.stdout.read()
        assert answers(output) == {1: "0"}
        assert b"stray" not in output
        assert server.ends_in_order()
        for stray in ("stray print", "stray write", "stray child"):
            assert stray in server.log


def test_a_failed_lifespan_logs_its_own_exception() -> None:
    with serving("no-database") as server:
        assert server.ends() == 1
        assert "RuntimeError: the database can't be opened" in server.log
        assert "ExceptionGroup" not in server.log


@pytest.mark.parametrize("mode", ["legacy", "auto", MODERN])
async def test_after_serving_a_client_the_server_shuts_down_cleanly(
    mode: ConnectMode, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    script = f"cd {ROOT} && exec {' '.join(forked(PROTOTYPE))} 2> {log}"
    async with Client(StdioServerParameters(command="sh", args=["-c", script]), mode=mode) as client:
        result = await client.call_tool("echo", {"text": "hello"})
    assert result.content == [TextContent(type="text", text="hello")]
    assert log.read_text().endswith("draining\nclosed\nreturned\n")
