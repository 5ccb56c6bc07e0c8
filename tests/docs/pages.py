"""The pages of the documentation, and the blocks and commands that they show."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from tests.processes import ROOT

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in (
        *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *sorted((ROOT / "docs").glob("*.md")),
    )
}

SHELL = "sh"

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]{1,200})`")
_NAME = re.compile(r"[a-z]+")
_CONTINUED = re.compile(r"\\\n *")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """A command that a reader types."""

    page: str
    line: int
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


Step = tuple[Command, ...]
"""Commands that belong together: those of a block, or one within a sentence."""


def blocks(page: str, language: str | None = None) -> list[Block]:
    """The blocks of a page, or those in one language."""
    text = PAGES[page]
    found = [Block(page, _line(text, block), block[1], block[2]) for block in _BLOCK.finditer(text)]
    return [block for block in found if language in (None, block.language)]


def steps(page: str, programs: frozenset[str]) -> list[Step]:
    """The commands that a reader types, in the order of the page.

    Code within a sentence is a command if it begins with one of the `programs` and is more than a name like
    `certctl-mcp worker`.
    """
    shown = [(block.line, commands(block)) for block in blocks(page, SHELL)]
    typed = {command.text for _, step in shown for command in step}
    within = [(command.line, (command,)) for command in _within_sentences(page, programs)]
    inline = [(line, step) for line, step in within if step[0].text not in typed]
    return [step for _, step in sorted([*shown, *inline], key=lambda found: found[0])]


def commands(block: Block) -> Step:
    """The commands of a shell block: one a line, unless a backslash or a quote continues it on the next."""
    found: list[Command] = []
    begun, text = 0, ""
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        begun = begun if text else number
        text += line
        if line.endswith("\\") or _has_open_quote(text):
            text += "\n"
        elif text:
            found.append(Command(block.page, begun, _CONTINUED.sub(" ", text)))
            text = ""
    assert not text, f"{block.place}: a quote is never closed"
    return tuple(found)


def _within_sentences(page: str, programs: frozenset[str]) -> Iterator[Command]:
    """Each command once."""
    text = _BLOCK.sub(lambda block: "\n" * block[0].count("\n"), PAGES[page])
    for code in {code[1]: code for code in reversed(list(_CODE.finditer(text)))}.values():
        program, *arguments = code[1].split(" ")
        is_name = all(_NAME.fullmatch(argument) for argument in arguments)
        if program.rpartition("/")[2] in programs and not is_name:
            yield Command(page, _line(text, code), code[1])


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1


def _has_open_quote(text: str) -> bool:
    try:
        shlex.split(text.removesuffix("\\"))
    except ValueError:
        return True
    return False
