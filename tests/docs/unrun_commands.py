"""Commands in the documentation that its tests don't run, because they take too long or change this checkout.

Their arguments are checked, and each has a reason that says which test covers it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.docs.fake_programs import RefusedError
from tests.processes import ROOT

_CI = (ROOT / ".ci" / "run").read_text()


@dataclass(frozen=True)
class UnrunCommand:
    """A command that the tests don't run."""

    command: str
    """The beginning of the command."""
    reason: str
    check: Callable[[Sequence[str]], None]
    """Checks the words that follow. Raises: RefusedError."""


def _nothing(arguments: Sequence[str]) -> None:
    if arguments:
        raise RefusedError(f"it takes no {' '.join(arguments)}")


def _of_module(name: str) -> Callable[[Sequence[str]], None]:
    """Allows options and names that occur in the module, numbers, and placeholders in capitals."""
    found = find_spec(name)
    assert found
    assert found.origin
    source = Path(found.origin).read_text()

    def check(arguments: Sequence[str]) -> None:
        for word in arguments:
            if re.fullmatch(r"-*[a-z-]+", word) and word != "--help" and f'"{word}"' not in source:
                raise RefusedError(f"{name} knows no {word}")

    return check


def _of_pytest(arguments: Sequence[str]) -> None:
    for word in arguments:
        if word.startswith("tests/") and not (ROOT / word).exists():
            raise RefusedError(f"there is no {word}")
        if word.startswith("-") and word.partition("=")[0] not in {"-n", "-k", "--durations"}:
            raise RefusedError(f"{word} is not among the options that are known here")


def _of_continuous_integration(program: str) -> Callable[[Sequence[str]], None]:
    def check(arguments: Sequence[str]) -> None:
        # There, a loop runs over the platforms.
        words = [re.sub(r"^(win32|darwin)$", '"$platform"', word) for word in arguments]
        if f".venv/bin/{' '.join([program, *words])}" not in _CI:
            raise RefusedError("continuous integration doesn't run it")

    return check


ELSEWHERE = (
    UnrunCommand("certctl-mcp demo", "takes 20 s; tests/e2e/test_demo.py runs it", _nothing),
    UnrunCommand("python -m pytest", "is how these tests are run", _of_pytest),
    UnrunCommand(
        "python -m tests.reliability",
        "takes minutes; tests/reliability/test_chaos.py runs it for a short time",
        _of_module("tests.reliability.__main__"),
    ),
    UnrunCommand(
        "python -m tests.benchmarks",
        "takes minutes; tests/test_benchmarks.py runs each on tiny data",
        _of_module("tests.benchmarks.__main__"),
    ),
    UnrunCommand(
        "python -m tests.evaluation",
        "takes a minute; tests/evaluation/test_questions.py asks the same questions",
        _of_module("tests.evaluation.__main__"),
    ),
    UnrunCommand(
        "python -m release",
        "takes a minute; tests/release tests what it consists of",
        _of_module("release.__main__"),
    ),
    UnrunCommand("python -m tests.ui.screenshots", "replaces the pictures, with a browser", _nothing),
    UnrunCommand(
        "python -m tests.settings_page",
        "replaces docs/settings.md; tests/certctl_mcp/config/test_reference.py compares them",
        _nothing,
    ),
    UnrunCommand("mypy", "is slow; continuous integration runs it", _of_continuous_integration("mypy")),
    UnrunCommand("ruff", "is run by continuous integration", _of_continuous_integration("ruff")),
    UnrunCommand("uv lock --check", "is run by continuous integration", _nothing),
    UnrunCommand("uv lock", "replaces uv.lock, which continuous integration checks", _nothing),
    UnrunCommand("claude --debug", "is the host's own", _nothing),
    UnrunCommand("gemini --debug", "is the host's own", _nothing),
)


def unrun_command(words: Sequence[str]) -> tuple[UnrunCommand, Sequence[str]] | None:
    """The row for a command, whose program must have no path, and the words that follow those of the row."""
    for row in ELSEWHERE:
        begun = row.command.split()
        if list(words[: len(begun)]) == begun:
            return row, words[len(begun) :]
    return None
