"""The README's commands, typed into a shell as they stand: an alert arrives, an assistant finds its server.

Only what installs is a stand-in, which notes its arguments; a release installs for real.
"""

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.http_receiver import Receiver
from tests.e2e.test_raw_protocol import INITIALIZE, RawClient
from tests.processes import ROOT, Program, forked

EXAMPLE = "https://alerts.example.com/hook"
BLOCKS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def the_block_with(command: str) -> str:
    (found,) = (block for block in BLOCKS if command in block)
    return str(found)


@dataclass
class Shell:
    """A user's, without any setting."""

    home: Path

    def type(self, commands: str) -> str:
        """What the commands print. The first one that fails ends it."""
        programs = self.home / "bin"
        environment = {"HOME": str(self.home), "PATH": f"{programs}:/usr/bin:/bin", "NO_PROXY": "*"}
        script = ["bash", "-euc", commands]
        done = subprocess.run(script, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def add_program(self, name: str, text: str) -> None:
        program = self.home / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)

    def add_stand_in(self, name: str) -> None:
        note = shlex.quote(str(self.home / name))
        self.add_program(name, f'#!/bin/sh\nprintf "%s\\n" "$@" > {note}\n')

    def arguments_of(self, stand_in: str) -> list[str]:
        return (self.home / stand_in).read_text().splitlines()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    found = Shell(tmp_path)
    found.add_program("certctl-mcp", f'#!/bin/sh\nexec {shlex.join(forked("certctl_mcp"))} "$@"\n')
    return found


def test_the_first_alert_takes_three_commands_and_arrives(shell: Shell, receiver: Receiver) -> None:
    shell.add_stand_in("pipx")
    commands = the_block_with("certctl-mcp send")
    assert len(commands.splitlines()) == 3
    here = f"http://127.0.0.1:{receiver.server_port}/hook"
    assert shell.type(commands.replace(EXAMPLE, here)).endswith("  sent\n")
    assert shell.arguments_of("pipx") == ["install", "."]
    assert receiver.count == 1


def test_the_host_is_given_a_command_that_serves(shell: Shell) -> None:
    shell.add_stand_in("claude")
    shell.type(the_block_with("claude mcp add"))
    *options, variable, separator, program = shell.arguments_of("claude")
    assert options == ["mcp", "add", "certctl-notifications", "-e"]
    assert (separator, program) == ("--", "certctl-mcp")
    environment = os.environ | {"HOME": str(shell.home)} | dict([variable.split("=", 1)])
    pipe = subprocess.PIPE
    process = Program("certctl_mcp", environment=environment, stdin=pipe, stdout=pipe, stderr=pipe)
    client = RawClient(process)
    assert client.ask(INITIALIZE)["result"]["serverInfo"]["name"]
    client.close()
    assert process.wait() == 0
    process.close()
