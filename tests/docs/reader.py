"""A reader who follows a page and types its commands into a shell, with their own checkout and home
directory."""

import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

from tests import postgresql
from tests.docs.fake_programs import STAND_INS, RefusedError
from tests.docs.pages import Command, Step
from tests.docs.programs import Call, Programs, programs
from tests.docs.unrun_commands import unrun_command
from tests.processes import ROOT, Program

OURS = "certctl-mcp"
OF_AN_ENVIRONMENT = (OURS, "mypy", "pip", "python", "ruff", "uv")
"""The programs in a virtual environment."""
OF_THE_MACHINE = ("chmod", "curl", "mkdir", "mv", "openssl", "touch")
"""Programs that are run unchanged."""
OF_POSTGRESQL = ("pg_dump", "pg_restore", "psql")
ON_THE_PATH = (OURS, "gemini", *STAND_INS)
NAMES = frozenset({*ON_THE_PATH, *OF_AN_ENVIRONMENT, *OF_THE_MACHINE, *OF_POSTGRESQL})

NOT_FOUND, NOT_UNDERSTOOD = 127, 64
HOW_TO_COVER = """
Either the command is wrong, or the tests don't know it yet. Add a program that can run as it is to
OF_THE_MACHINE in tests/docs/reader.py. One that can't needs a stand-in in tests/docs/fake_programs.py or, if
another test covers it, a row in tests/docs/unrun_commands.py.
"""

PATIENCE = 60.0
"""Seconds."""

_SHELL = shutil.which("bash") or "/bin/bash"


@dataclass(frozen=True)
class KeepsRunning:
    """A command that runs until the reader stops it."""

    arguments: re.Pattern[str]
    ready: str
    """The output that shows that it works."""
    ended_by: signal.Signals = signal.SIGTERM
    code: int = 0


KEEP_RUNNING = (
    KeepsRunning(re.compile(r"serve --http"), "serving on "),
    KeepsRunning(re.compile(r"worker(?!.*--once)"), "delivering from "),
    KeepsRunning(re.compile(r"list .*--follow"), "CHANNEL", signal.SIGINT, 130),
    KeepsRunning(re.compile(r"watch"), "dead", signal.SIGINT, 130),
)

REMEMBERED = {"ID": re.compile(r"\bnotif-[\w-]+"), "12-19c3...": re.compile(r'(?<="confirmation":")[^"]+')}
"""Names in the examples for values that an earlier command has shown."""


class Typed:
    """A command that was typed into a shell."""

    def __init__(self, process: subprocess.Popen[bytes], shown: int) -> None:
        self.process = process
        self._shown = shown
        self._text = b""
        self._changed = threading.Condition()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    @property
    def shown(self) -> str:
        return self._text.decode(errors="replace").replace("\r\n", "\n")

    def is_ready(self, text: str) -> bool:
        """Wait until it has shown the text; false if it exited before."""
        with self._changed:
            self._changed.wait_for(lambda: text in self.shown or not self._reading.is_alive(), PATIENCE)
            return text in self.shown

    def ends(self) -> int:
        """The exit code. Raises: TimeoutExpired."""
        code = self.process.wait(PATIENCE)
        self._reading.join()
        return code

    def _read(self) -> None:
        with open(self._shown, "rb", buffering=0) as stream:
            while True:
                try:
                    text = stream.read(65536)
                except OSError:
                    # The other end of the terminal is closed.
                    text = b""
                with self._changed:
                    self._text += text
                    self._changed.notify_all()
                if not text:
                    return


@dataclass
class Reader:
    """Follows pages. What differs between the example and here is in `variables`, `names` and `answers`."""

    place: Path
    programs: Programs
    variables: dict[str, str]
    names: dict[str, str] = field(default_factory=dict)
    """The values here for names in the examples: addresses, paths, ports."""
    instead: dict[str, str] = field(default_factory=dict)
    """Commands that are typed in place of others, because those would change the machine."""
    answers: dict[str, str] = field(default_factory=dict)
    """The answers typed to the questions of a command."""
    running: list[Program] = field(default_factory=list)

    @property
    def directory(self) -> Path:
        return self.place / "checkout"

    def follow(self, step: Step) -> dict[str, str]:
        """Type the commands of a step; returns the output of each. Any still running are stopped at the end.

        Fails the test if one of them doesn't work.
        """
        shown: dict[str, str] = {}
        unfinished: list[tuple[Command, Typed, KeepsRunning, Program]] = []
        for command in step:
            keeps = _keeps_running(command)
            typed = self._type(command)
            if keeps is None:
                self._expect(command, typed, 0)
                shown[command.text] = typed.shown
            elif typed.is_ready(keeps.ready):
                unfinished.append((command, typed, keeps, self.running[-1]))
            else:
                self._fail(command, typed)
        for command, typed, keeps, program in unfinished:
            program.send_signal(keeps.ended_by)
            self._expect(command, typed, keeps.code)
            shown[command.text] = typed.shown
        return shown

    def stop(self) -> None:
        """Stop all commands that still run."""
        for program in self.running:
            program.kill()

    def _type(self, command: Command) -> Typed:
        text = self.instead.get(command.text) or _replaced(command.text, self.names)
        exported = shlex.quote(str(self.place / "exported"))
        script = f"trap 'export -p > {exported}' EXIT; . {exported}; set -eu; {text}"
        answers = self.answers.get(command.text)
        if answers is None:
            shown, theirs = os.pipe()
            stdin = subprocess.DEVNULL
        else:
            shown, theirs = pty.openpty()
            stdin = theirs
        process = subprocess.Popen(
            [_SHELL, "-c", script],
            cwd=self.directory,
            env=self.variables,
            stdin=stdin,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        if answers is not None:
            os.write(shown, answers.encode())
        return Typed(process, shown)

    def _expect(self, command: Command, typed: Typed, code: int) -> None:
        try:
            ended = typed.ends()
        except subprocess.TimeoutExpired:
            self._fail(command, typed)
        if ended != code:
            self._fail(command, typed)
        for name, looks_like in REMEMBERED.items():
            if found := looks_like.search(typed.shown):
                self.names[name] = found[0]

    def _fail(self, command: Command, typed: Typed) -> NoReturn:
        self.stop()
        code = typed.ends()
        hint = HOW_TO_COVER if code in (NOT_FOUND, NOT_UNDERSTOOD) else ""
        pytest.fail(f"{command.place}: `{command.text}` exited with {code} and showed:\n{typed.shown}{hint}")

    def answer(self, call: Call) -> int:
        """Run a program that was called by its name."""
        if (found := unrun_command([call.name, *call.arguments])) is None and call.name == OURS:
            return call.run("certctl_mcp", *call.arguments, started=self.running.append)
        try:
            if found is not None:
                row, rest = found
                row.check(rest)
            else:
                STAND_INS.get(call.name, _unknown)(call)
        except RefusedError as refused:
            call.say(f"{call}: {refused}")
            return NOT_UNDERSTOOD
        return 0


def _keeps_running(command: Command) -> KeepsRunning | None:
    program, _, arguments = re.sub(r"^([A-Z_]+=\S+ )+", "", command.text).partition(" ")
    return next((kind for kind in KEEP_RUNNING if program == OURS and kind.arguments.match(arguments)), None)


def _unknown(call: Call) -> None:
    raise RefusedError("nothing stands in for it")


def _replaced(text: str, names: Mapping[str, str]) -> str:
    longest_first = sorted(map(re.escape, names), key=len, reverse=True)
    return re.sub(rf"(?<![\w.-])({'|'.join(longest_first)})(?!\w)", lambda name: names[name[0]], text)


@contextmanager
def reading(place: Path) -> Iterator[Reader]:
    """A reader without any settings, in a checkout with an environment."""

    def answer(call: Call) -> int:
        return reader.answer(call)

    path, checkout = place / "bin", place / "checkout"
    with programs(answer) as served:
        for name in ON_THE_PATH:
            served.put(path / name)
        for name in OF_AN_ENVIRONMENT:
            served.put(checkout / ".venv" / "bin" / name)
            served.put(place / "opt" / "certctl-mcp" / "bin" / name)
        for name in OF_THE_MACHINE:
            if found := shutil.which(name):
                (path / name).symlink_to(found)
        # The program next to its server; the one on Debian's PATH is a wrapper.
        with suppress(postgresql.NoServerError):
            for name in OF_POSTGRESQL:
                (path / name).symlink_to(postgresql.programs() / name)
        for entry in ROOT.iterdir():
            if not entry.name.startswith("."):
                (checkout / entry.name).symlink_to(entry)
        (place / "exported").touch()
        home = place / "home"
        home.mkdir()
        variables = {
            "HOME": str(home),
            "PATH": str(path),
            "NO_PROXY": "*",
            "TERM": "dumb",
            # The usual port may be in use.
            "CERTCTL_SERVER_PORT": "0",
        }
        roots = {name: f"{place}{name}" for name in ("/etc/certctl-mcp", "/opt/certctl-mcp", "/run/secrets")}
        roots |= {name: f"{place}{name}" for name in ("/var/backups/certctl-mcp", "/var/lib/certctl-mcp")}
        for root in roots.values():
            Path(root).mkdir(parents=True, exist_ok=True)
        reader = Reader(place, served, variables, roots)
        try:
            yield reader
        finally:
            reader.stop()
