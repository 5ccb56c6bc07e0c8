"""The output of `config`: each setting with its value, source and meaning."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from pydantic import BaseModel, ConfigDict, JsonValue
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from certctl_mcp.config.sources import EffectiveSetting, Source
from certctl_mcp.text.untrusted import escape_hidden


class Configuration(BaseModel):
    """The settings of the program, and the file from which some may come."""

    model_config = ConfigDict(frozen=True)

    settings_file: str | None
    settings: tuple[EffectiveSetting, ...]


def setting_lines(settings: Sequence[EffectiveSetting]) -> Iterator[RenderableType]:
    """Sections with two lines for each setting."""
    for section, listed in groupby(settings, key=lambda setting: setting.section):
        yield Text(section, style="bold")
        for setting in listed:
            yield Padding(_heading(setting), (0, 0, 0, 2), expand=False)
            yield Padding(Text(setting.meaning, style="dim"), (0, 0, 0, 6), expand=False)
        yield Text()


def _heading(setting: EffectiveSetting) -> Text:
    value = _value(setting.value)
    line = Text(setting.variable or escape_hidden(setting.key), style="cyan")
    if value:
        line.append(f" = {escape_hidden(value)}", style="default")
    if setting.source is not Source.DEFAULT:
        return line.append(f"  ({setting.source})", style="green")
    in_words = "" if value else f": {setting.default or 'none'}"
    return line.append(f"  (default{in_words})", style="dim")


def _value(value: JsonValue) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return ",".join(_value(item) for item in value)
        case dict():
            return ", ".join(f"{name}: {_value(item)}" for name, item in value.items())
        case float():
            return f"{value:g}"
        case _:
            return str(value)
