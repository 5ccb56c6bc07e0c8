"""Fakes of programs that can't run in a test, because they change the machine, or need a network or Docker.

Each checks its arguments against what the project has, and refuses those that it doesn't know.
"""

import argparse
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import typer
import typer.core

from certctl_mcp.cli.commands.app import app
from certctl_mcp.config.environment import VARIABLES
from certctl_mcp.config.settings import load_settings
from tests.docs.programs import Call
from tests.e2e.test_raw_protocol import INITIALIZE, RawClient
from tests.processes import ROOT, Program

_EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
_PACKAGES = (ROOT / ".ci" / "run").read_text().split()
_UNITS = {unit.stem: unit.read_text() for unit in (ROOT / "examples").glob("*.service")}


class RefusedError(Exception):
    """Arguments that the program would refuse, or that its fake doesn't know."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise RefusedError(f"the stand-in knows only a part of what {self.prog} takes: {message}")


def _parser(call: Call) -> _Parser:
    return _Parser(prog=call.name, add_help=False, allow_abbrev=False)


def _check_requirement(call: Call, requirement: str) -> None:
    """It must be the reader's own checkout, with existing extras."""
    path, _, extras = requirement.rstrip("]").partition("[")
    unknown = set(filter(None, extras.split(","))) - _EXTRAS.keys()
    if path != "." or unknown or not (call.directory / "pyproject.toml").exists():
        raise RefusedError(f"{requirement} can't be installed")


def _pip(call: Call) -> None:
    parser = _parser(call)
    parser.add_argument("command", choices=["install"])
    parser.add_argument("-e", "--editable", "--upgrade", action="store_true")
    parser.add_argument("requirement")
    _check_requirement(call, parser.parse_args(call.arguments).requirement)


def _uv(call: Call) -> None:
    parser = _parser(call)
    commands = parser.add_subparsers(required=True)
    tool = commands.add_parser("tool")
    tool.add_argument("command", choices=["install"])
    tool.add_argument("requirement")
    sync = commands.add_parser("sync")
    sync.add_argument("--locked", action="store_true", required=True)
    sync.add_argument("--no-editable", action="store_true")
    sync.add_argument("--extra", choices=_EXTRAS)
    sync.set_defaults(requirement=".")
    _check_requirement(call, parser.parse_args(call.arguments).requirement)


def _python(call: Call) -> None:
    """Only creates environments, which already exist: a checkout has one."""
    if call.arguments != ("-m", "venv", ".venv"):
        raise RefusedError("nothing stands in for it")


def _apt_get(call: Call) -> None:
    """Accepts the packages that continuous integration installs too."""
    command, *packages = call.arguments
    if command != "install" or not set(packages) <= set(_PACKAGES):
        raise RefusedError(f"continuous integration doesn't install all of: {' '.join(packages)}")


def _install(call: Call) -> None:
    """The real program, for a user that doesn't exist."""
    arguments = list(call.arguments)
    if "-o" in arguments:
        owner = arguments.index("-o")
        del arguments[owner : owner + 2]
    program = shutil.which("install")
    assert program
    done = subprocess.run([program, *arguments], cwd=call.directory, stderr=call.streams[2], check=False)
    if done.returncode:
        raise RefusedError("it failed")


def _systemctl(call: Call) -> None:
    command, unit = call.arguments
    if unit not in _UNITS or command not in {"reload", "restart", "start", "status", "stop"}:
        raise RefusedError(f"there is no {unit} to {command}")
    if command == "reload" and "\nExecReload=" not in _UNITS[unit]:
        raise RefusedError(f"{unit} can't be reloaded")


def _journalctl(call: Call) -> None:
    parser = _parser(call)
    parser.add_argument("-u", choices=_UNITS, required=True)
    parser.add_argument("--since", choices=["today"])
    parser.parse_args(call.arguments)


def _docker(call: Call) -> None:
    parser = _parser(call)
    commands = parser.add_subparsers(dest="command", required=True)
    compose = commands.add_parser("compose")
    compose.add_argument("action", choices=["up"])
    compose.add_argument("--detach", action="store_true")
    compose.add_argument("--build", action="store_true")
    build = commands.add_parser("build")
    build.add_argument("--tag", choices=["certctl-mcp"])
    build.add_argument("directory", choices=["."])
    run = commands.add_parser("run")
    run.add_argument("--rm", action="store_true")
    run.add_argument("--read-only", action="store_true")
    run.add_argument("--tmpfs", choices=["/tmp"])
    run.add_argument("--volume", choices=["queue:/data"])
    run.add_argument("--env-file", type=lambda name: call.directory / name)
    run.add_argument("image", choices=["certctl-mcp"])
    run.add_argument("arguments", nargs=argparse.REMAINDER)
    given = parser.parse_args(call.arguments)
    match given.command:
        case "compose":
            needed = set(re.findall(r"\$\{(\w+):\?", (call.directory / "compose.yaml").read_text()))
            secrets = _variables(call.directory / ".env")
            if secrets.keys() != needed or not all(secrets.values()):
                raise RefusedError(f".env needs {', '.join(needed)}")
            keys = {name: value for name, value in secrets.items() if name in VARIABLES}
            load_settings(None, _variables(call.directory / "channels.env") | keys)
        case "build" if not (call.directory / "Dockerfile").exists():
            raise RefusedError("there is no Dockerfile")
        case "run":
            check_arguments(given.arguments)
            if given.env_file:
                load_settings(None, _variables(given.env_file))


def _claude(call: Call) -> None:
    """Adds a server, which is then started as by the host."""
    separator = call.arguments.index("--")
    parser = _parser(call)
    parser.add_argument("group", choices=["mcp"])
    parser.add_argument("command", choices=["add"])
    parser.add_argument("name")
    parser.add_argument("-e", action="append", default=[])
    given = parser.parse_args(call.arguments[:separator])
    program, *arguments = call.arguments[separator + 1 :]
    if program != "certctl-mcp":
        raise RefusedError(f"{program} is not our program")
    variables = dict(text.split("=", 1) for text in given.e)
    pipe = subprocess.PIPE
    server = Program(
        "certctl_mcp",
        *arguments,
        environment={**call.environment, **variables},
        stdin=pipe,
        stdout=pipe,
        stderr=call.streams[2],
    )
    try:
        client = RawClient(server)
        client.ask(INITIALIZE)
        client.close()
        if server.wait() != 0:
            raise RefusedError("the server failed")
    finally:
        server.close()


def _variables(file: Path) -> dict[str, str]:
    """The variables of an env file for Docker."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def check_arguments(arguments: list[str]) -> None:
    """Check that our program accepts the arguments, without running anything."""
    program = typer.main.get_command(app)
    assert isinstance(program, typer.core.TyperGroup)
    # `--version` exits.
    with suppress(typer.Exit):
        context = program.make_context("certctl-mcp", [*arguments])
        if words := [*context._protected_args, *context.args]:
            program.commands[words[0]].make_context(words[0], words[1:])


STAND_INS: Mapping[str, Callable[[Call], None]] = {
    "apt-get": _apt_get,
    "claude": _claude,
    "docker": _docker,
    "install": _install,
    "journalctl": _journalctl,
    "pip": _pip,
    "pipx": _pip,
    "python": _python,
    "python3": _python,
    "systemctl": _systemctl,
    "uv": _uv,
}
