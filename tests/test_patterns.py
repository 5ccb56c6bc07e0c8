"""Every regular expression of the two packages takes linear time on any text.

They are found by introspection, so that none can be forgotten: those compiled on import or in a cached
function, and literals passed to a function of `re`. Python's `re` backtracks, so a careless pattern can take
minutes on a malicious text.
"""

import ast
import importlib
import pkgutil
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import certctl_mcp
import storage

SCREENED = 3_000
"""Characters. A linear pattern processes this many in well under `SUSPICIOUS` seconds."""
SUSPICIOUS = 0.0002
LONG = 6_000
GROWTH = 2.5
LARGE = 50
"""Repetitions up to this bound count as constant time."""
CATEGORIES = {
    f"CATEGORY_{name}": re.compile(category)
    for name, category in {
        "WORD": r"\w",
        "NOT_WORD": r"\W",
        "DIGIT": r"\d",
        "NOT_DIGIT": r"\D",
        "SPACE": r"\s",
        "NOT_SPACE": r"\S",
    }.items()
}
BUILT_IN_FUNCTIONS = {
    "certctl_mcp/config/errors.py": "the names of this program's settings, joined",
    "certctl_mcp/notifiers/http/refusals.py": "fills a table of the module, where its patterns are found",
}
ANCHORED = {
    "certctl_mcp.config.destination_types": ("_HEADER_NAME",),
    "certctl_mcp.config.durations": ("_PARTS", "_SECONDS"),
    "certctl_mcp.notifiers.recipients": ("_ADDRESS", "_NAMED"),
    "certctl_mcp.notifiers.http.observed_connection": ("_STATUS_LINE",),
    "certctl_mcp.services.diagnosis.classification": ("_SENTENCES",),
}
"""Patterns that only `match` and `fullmatch` are called on. Others must also be linear when they search."""

SEPARATORS = ("", " ", ";", ",", "=", '"', "\\", "/", "\x00")


def modules() -> Iterator[ModuleType]:
    for package in (certctl_mcp, storage):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # Alembic runs its environment when it is imported; `__main__` would run the program.
            if not found.name.endswith(("__main__", ".env")):
                yield importlib.import_module(found.name)


def patterns_in(value: object) -> Iterator[re.Pattern[Any]]:
    match value:
        case re.Pattern():
            yield value
        case list() | tuple() | set() | frozenset():
            for item in value:
                yield from patterns_in(item)
        case dict():
            for item in (*value.keys(), *value.values()):
                yield from patterns_in(item)
        case _ if is_dataclass(value) and not isinstance(value, type):
            for field in fields(value):
                yield from patterns_in(getattr(value, field.name))


@dataclass(frozen=True)
class Use:
    """A pattern, and whether it is used only at the beginning of a text."""

    pattern: re.Pattern[Any]
    anchored: bool

    def apply(self, text: str) -> None:
        subject: Any = text if isinstance(self.pattern.pattern, str) else text.encode("latin-1", "replace")
        self.pattern.match(subject)
        self.pattern.fullmatch(subject)
        if not self.anchored:
            for _ in self.pattern.finditer(subject):
                pass


def compiled(module: ModuleType) -> Iterator[Use]:
    for name, value in vars(module).items():
        anchored = name in ANCHORED.get(module.__name__, ())
        yield from (Use(pattern, anchored) for pattern in patterns_in(value))
        returns = str(getattr(value, "__annotations__", {}).get("return", ""))
        if hasattr(value, "cache_info") and "re.Pattern" in returns and value.__module__ == module.__name__:
            yield from (Use(pattern, anchored) for pattern in patterns_in(value()))


def is_re_call(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr not in ("escape", "purge")
    )


def literals(tree: ast.AST) -> Iterator[Use]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and is_re_call(node) and isinstance(node.args[0], ast.Constant):
            assert isinstance(node.func, ast.Attribute)
            if node.func.attr != "compile":
                yield Use(re.compile(node.args[0].value), node.func.attr in ("match", "fullmatch"))


def undiscoverable_calls(tree: ast.Module) -> Iterator[ast.AST]:
    """Calls of `re` in a function that is not cached, with a pattern that is not a literal."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and not any(
            "cache" in ast.unparse(decorator) for decorator in function.decorator_list
        ):
            for node in ast.walk(function):
                if (
                    isinstance(node, ast.Call)
                    and is_re_call(node)
                    and not isinstance(node.args[0], ast.Constant)
                ):
                    yield node


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Each file, from the root of the repository."""
    for package in (certctl_mcp, storage):
        top = Path(package.__path__[0])
        for path in top.rglob("*.py"):
            yield path.relative_to(top.parent).as_posix(), ast.parse(path.read_text())


def all_uses() -> set[Use]:
    found = [use for module in modules() for use in compiled(module)]
    found += [use for _, tree in sources() for use in literals(tree)]
    searching = {use.pattern for use in found if not use.anchored}
    return {use for use in found if not use.anchored or use.pattern not in searching}


def test_every_pattern_can_be_found() -> None:
    hidden = {path for path, tree in sources() if any(undiscoverable_calls(tree))}
    assert hidden == set(BUILT_IN_FUNCTIONS)


def units_of(pattern: re.Pattern[Any]) -> list[str]:
    """Texts to repeat: those that `pattern` repeats without a bound, their prefixes, and the whole match."""
    parser = importlib.import_module("re._parser")
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    found: set[str] = set()
    found.add(write(parser.parse(source, pattern.flags & ~re.UNICODE), "", found))
    return sorted({text + separator for text in found if 0 < len(text) <= 60 for separator in SEPARATORS})


def write(items: Any, before: str, found: set[str]) -> str:
    """A text that matches the sequence `items`, which follow `before`."""
    text = ""
    for kind, value in items:
        text += write_item(str(kind), value, before + text, found)
    return text


def write_item(kind: str, value: Any, before: str, found: set[str]) -> str:
    match kind:
        case "LITERAL":
            return chr(value)
        case "NOT_LITERAL":
            return "a" if value != ord("a") else "b"
        case "ANY":
            return "a"
        case "IN":
            letters: set[str] = members(value)
            return "a" if "a" in letters else min(letters)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, body = value
            part = write(body, before, found)
            if most > LARGE:
                found.update((before, part, before + part))
            repetitions: int = min(max(least, 1), 20)
            return part * repetitions
        case "SUBPATTERN":
            return write(value[3], before, found)
        case "ATOMIC_GROUP":
            return write(value, before, found)
        case "BRANCH":
            written: list[str] = [write(branch, before, found) for branch in value[1]]
            return written[0]
        case "GROUPREF_EXISTS":
            return [write(branch, before, found) for branch in value[1:] if branch][-1]
        case _:
            return ""


def members(value: Any) -> set[str]:
    """Some characters of a character class."""
    candidates = "aAz0_-. \t\n:/%\\\"'=&;<@\x1b\u200b"
    negated = any(str(kind) == "NEGATE" for kind, _ in value)

    def holds(letter: str) -> bool:
        return any(
            (str(kind) == "LITERAL" and ord(letter) == item)
            or (str(kind) == "RANGE" and item[0] <= ord(letter) <= item[1])
            or (str(kind) == "CATEGORY" and CATEGORIES[str(item)].match(letter) is not None)
            for kind, item in value
        )

    found = {letter for letter in candidates if holds(letter) is not negated}
    return found or {chr(item if str(kind) == "LITERAL" else item[0]) for kind, item in value}


def seconds(use: Use, unit: str, length: int) -> float:
    text = repeated(unit, length)
    started = time.process_time()
    use.apply(text)
    return time.process_time() - started


def repeated(unit: str, length: int) -> str:
    return (unit * (length // len(unit) + 1))[:length]


def growth(use: Use, unit: str) -> float:
    """How much longer a text of twice the length takes; 0 if it is fast."""
    if seconds(use, unit, SCREENED) < SUSPICIOUS:
        return 0
    return min(seconds(use, unit, 2 * LONG) / seconds(use, unit, LONG) for _ in range(4))


def test_no_pattern_takes_more_than_linear_time() -> None:
    slow = [
        f"{use.pattern.pattern[:200]!r} on {unit!r}"
        for use in all_uses()
        for unit in units_of(use.pattern)
        if growth(use, unit) > GROWTH
    ]
    assert not slow, "\n".join(slow)


@pytest.mark.parametrize("careless", [r"a+b", r"name:\w+=[^,]+,", r"auth:[^,]+,|auth:[^;]+"])
def test_a_careless_pattern_is_detected(careless: str) -> None:
    use = Use(re.compile(careless), anchored=False)
    assert max(growth(use, unit) for unit in units_of(use.pattern)) > GROWTH
