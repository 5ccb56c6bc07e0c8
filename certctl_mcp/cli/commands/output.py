"""The options `--json` and `-o`, which every command with a parameter `json` takes."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, TypeVar

import typer

from certctl_mcp.cli.terminal.formats import Format

Result = TypeVar("Result")

_NAMES = ("text", Format.JSON.value, Format.NDJSON.value)

_OPTIONS = (
    inspect.Parameter(
        "json",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, typer.Option("--json", help="The same as -o json.")],
    ),
    inspect.Parameter(
        "output",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            str | None,
            typer.Option(
                "--output",
                "-o",
                metavar="FORMAT",
                help="text, json, or ndjson (one document per line).",
                autocompletion=lambda: list(_NAMES),
            ),
        ],
    ),
)


def output_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give `command` options for its output format instead of its parameter `json`, if it has one."""
    signature = inspect.signature(command)
    if "json" not in signature.parameters:
        return command

    @wraps(command)
    def formatted(json: bool = False, output: str | None = None, **given: object) -> Result:
        return command(json=_format(json, output), **given)

    others = [
        parameter.replace(kind=parameter.KEYWORD_ONLY)
        for parameter in signature.parameters.values()
        if parameter.name != "json"
    ]
    formatted.__signature__ = signature.replace(parameters=[*others, *_OPTIONS])  # type: ignore[attr-defined]
    formatted.__annotations__ = {
        name: kind for name, kind in command.__annotations__.items() if name != "json"
    }
    return formatted


def _format(json: bool, output: str | None) -> Format:
    """Raises: typer.BadParameter."""
    name = output or ("json" if json else "text")
    if name not in _NAMES:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(_NAMES)}", param_hint="--output")
    if json and name != Format.JSON:
        raise typer.BadParameter(f"--json and -o {name} contradict each other")
    return Format.TEXT if name == "text" else Format(name)
